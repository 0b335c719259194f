"""Silence where a container without times of sound would close up a gap.

AVI, DV and MXF play sound from the picture's beginning on and without a pause, so sound that sets
in later would be early; and MXF and DV leave out pictures that have no sound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from vidref.errors import UnsupportedStreamError

if TYPE_CHECKING:
    import av.packet

    from vidref.media.reader import Reader

UNTIMED = ("avi", "dv", "mxf")
NEEDS_SOUND_TO_THE_END = ("dv", "mxf")
LEAST_GAP_S = Fraction(1, 50)  # less is the rounding of clocks, and not heard
LEAST_HEARD_S = Fraction(1, 25)
PIECE_S = Fraction(1, 10)
PCM = re.compile(r"pcm_s(\d+)[lb]e")


def refuse_late_sound(reader: Reader, muxer: str, shift: Fraction, drop: frozenset[int]) -> None:
    """Coded sound cannot be lengthened by silence: what would be heard too early is named."""
    if muxer not in UNTIMED or not reader.span.is_whole:
        return
    for stream in reader.container.streams.audio:
        is_coded = not PCM.fullmatch(stream.codec_context.name)
        if stream.index in drop or not is_coded or stream.start_time is None:
            continue
        late = stream.start_time * (stream.time_base or 1) - shift
        if late > LEAST_HEARD_S:
            raise UnsupportedStreamError(
                f"{muxer} cannot begin stream {stream.index} (sound, {stream.codec_context.name}) "
                f"{float(late):.2f} s after the picture, as {reader.clip.name} does; write an "
                f".mkv or .mov, or leave it out with --drop {stream.index}."
            )


class Silence:
    """Keeps count of how far each sound has come, and makes what is missing."""

    def __init__(self, muxer: str) -> None:
        self._muxer = muxer
        self._until: dict[int, Fraction] = {}
        self._added: dict[int, Fraction] = {}

    def before(self, packet: av.packet.Packet[Any], stream: Any) -> Iterator[av.packet.Packet[Any]]:
        """What `stream` needs so that this packet of it is heard when it should be."""
        if self._muxer not in UNTIMED or not _block_bytes(stream) or packet.pts is None:
            return
        begins = packet.pts * packet.time_base
        yield from self._up_to(begins, stream)
        length = Fraction(packet.size // _block_bytes(stream), stream.codec_context.sample_rate)
        self._until[stream.index] = max(begins, self._until.get(stream.index, begins)) + length

    def after(self, end: Fraction, stream: Any) -> Iterator[av.packet.Packet[Any]]:
        """What `stream` needs so that no picture before `end` is without sound."""
        if self._muxer in NEEDS_SOUND_TO_THE_END and _block_bytes(stream):
            yield from self._up_to(end, stream)

    def notes(self) -> list[str]:
        return [
            f"{self._muxer} plays sound without a pause: {float(seconds):.2f} s of silence were "
            f"added to stream {index}."
            for index, seconds in self._added.items()
        ]

    def _up_to(self, moment: Fraction, stream: Any) -> Iterator[av.packet.Packet[Any]]:
        rate, block = stream.codec_context.sample_rate, _block_bytes(stream)
        at = self._until.get(stream.index, Fraction(0))
        if moment - at < LEAST_GAP_S:
            return
        self._added[stream.index] = self._added.get(stream.index, Fraction(0)) + moment - at
        first, last = round(at * rate), round(moment * rate)
        piece = int(PIECE_S * rate)
        for place in range(first, last, piece):
            count = min(piece, last - place)
            packet: Any = av.Packet(bytes(count * block))
            packet.pts = packet.dts = place
            packet.duration, packet.time_base = count, Fraction(1, rate)
            packet.stream = stream
            yield packet
        self._until[stream.index] = moment


def _block_bytes(stream: Any) -> int:
    """Bytes of one moment of uncompressed sound in all channels; 0 for any other stream."""
    context = stream.codec_context if stream.type == "audio" else None
    kind = PCM.fullmatch(context.name) if context is not None else None
    return int(kind[1]) // 8 * context.channels if kind and context is not None else 0
