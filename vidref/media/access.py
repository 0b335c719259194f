"""Any frame of a clip by its timestamp: the very frame that reading from the beginning gives.

A jump goes to a keyframe that is shown no later than the wanted frame, because what is shown before
the keyframe that decoding began at (the leading frames of an open GOP) may refer to frames that
were never decoded. Whatever a jump cannot vouch for (no timestamps in the file, a clock that is set
anew, damage, a keyframe that needs earlier frames) is read from the beginning instead: slower, and
right by definition.

decord is not used: measured (`tests/benchmarks/results/analyse.md`), it is not faster here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import av
import av.error

from vidref.errors import InputError
from vidref.media.clock import credible
from vidref.media.deinterlace import deinterlaced
from vidref.media.frames import Frame, Passing
from vidref.media.opening import decoder_for, open_input, picture_stream
from vidref.media.probe import picture_rate
from vidref.media.reader import Reader

if TYPE_CHECKING:
    import av.packet

UNKNOWN_INDEX = -1
# A frame this close ahead of the last one is reached sooner by decoding on than by a jump.
READ_ON_S = Fraction(5)
# Each jump that lands too late is tried again from this much further back, then four times that.
STEP_BACK_S = Fraction(1)
MOST_JUMPS = 4
# Deinterlacing looks at the frame before; what has one behind it comes out as in a whole run.
FIELDS_NEED = 2


class FrameAccess:
    """Random access to one clip; frames have no index here (it is -1).

    `is_clean` is what a reader found that went through the whole clip: that its `damage` counts
    nothing. Packets do not tell: they may be whole and hold pictures that are not.
    """

    def __init__(
        self,
        path: Path,
        threads: int = 0,
        deinterlace: bool = False,
        is_clean: bool = False,
    ) -> None:
        self._path = path
        self._threads = threads
        self._deinterlace = deinterlace
        self._container = open_input(path)
        try:
            self._video = picture_stream(self._container, str(path))
            self._decoder = decoder_for(self._video, threads)
            self._decoder.options = {"err_detect": "explode"}  # nothing mended is worth having
            self._base = self._video.time_base or Fraction(1, 90_000)
            self._usual = max(1, round(1 / (picture_rate(self._video) * self._base)))
            self._run: Iterator[Frame] | None = None
            self._run_at: int | None = None
            self._can_jump = is_clean
        except BaseException:
            self._container.close()
            raise
        self._reader: Reader | None = None
        self._items: Iterator[Frame | Passing] = iter(())
        self._read_at: int | None = None

    def frame_at(self, pts: int) -> Frame:
        """The frame shown at exactly `pts`, in the stream's time base."""
        frame = self._jump(pts) if self._can_jump else None
        return frame or self._read_up_to(pts)

    def frames_at(self, wanted: Iterable[int]) -> Iterator[Frame]:
        """Several frames, in the order of time, which is the cheapest."""
        for pts in sorted(set(wanted)):
            yield self.frame_at(pts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._decoder.is_open:
            self._decoder.flush_buffers()
        self._container.close()
        if self._reader is not None:
            self._reader.close()

    def _jump(self, pts: int) -> Frame | None:
        """The frame, if decoding from a keyframe surely gives it."""
        ahead = None if self._run_at is None else (pts - self._run_at) * self._base
        if ahead is None or not 0 < ahead <= READ_ON_S:
            self._run = self._run_towards(pts)
        found = None
        for frame in self._run or ():
            self._run_at = frame.pts
            if frame.pts >= pts:
                found = frame
                break
        if found is None or found.pts != pts or found.image.is_corrupt:
            self._run = self._run_at = None
            return None
        return found

    def _run_towards(self, pts: int) -> Iterator[Frame] | None:
        """Decoded frames from a keyframe on that is shown early enough; None if there is none."""
        back, target = Fraction(0), pts
        for _ in range(MOST_JUMPS):
            packets = self._packets_from(target)
            keyframe = _first_keyframe(packets, pts)
            if keyframe is not None and keyframe.pts is not None and keyframe.pts <= pts:
                run = self._decode(keyframe, packets)
                if not self._deinterlace:
                    return run
                led = list(islice(run, FIELDS_NEED))
                if led and led[-1].pts < pts:
                    return _from(led, run)
            back = 4 * back if back else STEP_BACK_S
            target = pts - round(back / self._base)
        return None

    def _packets_from(self, ticks: int) -> Iterator[av.packet.Packet[Any]]:
        try:
            self._container.seek(ticks, stream=self._video, backward=True)
        except (av.error.FFmpegError, OSError):
            return
        self._decoder.flush_buffers()
        with suppress(av.error.FFmpegError, OSError):
            yield from self._container.demux(self._video)

    def _decode(
        self, keyframe: av.packet.Packet[Any], packets: Iterator[av.packet.Packet[Any]]
    ) -> Iterator[Frame]:
        frames: Iterator[Any] = self._trusted(keyframe, packets)
        return (
            (f for f in deinterlaced(frames) if isinstance(f, Frame))
            if self._deinterlace
            else frames
        )

    def _trusted(
        self, keyframe: av.packet.Packet[Any], packets: Iterator[av.packet.Packet[Any]]
    ) -> Iterator[Frame]:
        """Frames from the keyframe on, for as long as their own timestamps run forward."""
        assert keyframe.pts is not None
        last = keyframe.pts - 1
        for image in self._images(keyframe, packets):
            pts = credible(image.pts)
            if pts is not None and pts < keyframe.pts:
                continue  # a leading frame, shown before the keyframe
            if pts is None or pts <= last:
                return
            last = pts
            yield Frame(
                image, UNKNOWN_INDEX, pts, credible(image.duration) or self._usual, self._base
            )

    def _images(
        self, keyframe: av.packet.Packet[Any], packets: Iterator[av.packet.Packet[Any]]
    ) -> Iterator[av.video.frame.VideoFrame]:
        # A packet that cannot be decoded ends the run: what follows it may be mended from it.
        with suppress(av.error.FFmpegError):
            yield from self._decoder.decode(keyframe)
            for packet in packets:
                if packet.size:
                    yield from self._decoder.decode(packet)
            yield from self._decoder.decode(None)

    def _read_up_to(self, pts: int) -> Frame:
        if self._reader is None or self._read_at is None or self._read_at >= pts:
            if self._reader is not None:
                self._reader.close()
            self._reader = Reader(self._path, None, self._threads, self._deinterlace)
            self._items = iter(self._reader)
        for item in self._items:
            if isinstance(item, Frame):
                self._read_at = item.pts
                if item.pts == pts:
                    return Frame(item.image, UNKNOWN_INDEX, pts, item.duration, item.time_base)
                if item.pts > pts:
                    break
        raise InputError(
            f"{self._path} has no frame at {pts} (in ticks of {self._base} s): "
            "the plan was made for another version of it; analyse it again."
        )


def _first_keyframe(
    packets: Iterator[av.packet.Packet[Any]], pts: int
) -> av.packet.Packet[Any] | None:
    """The first keyframe, unless what is decoded by then is shown after `pts`."""
    for packet in packets:
        if packet.is_keyframe and packet.size:
            return packet
        if packet.dts is None or packet.dts > pts:
            return None
    return None


def _from(first: list[Frame], rest: Iterator[Frame]) -> Iterator[Frame]:
    yield from first
    yield from rest
