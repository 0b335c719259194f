"""What a reader is asked for and hands on: frames, passing packets, an account of the damage."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av.packet
    import av.video.frame


@dataclass(slots=True)
class Frame:
    """One presented picture: its planes as decoded, and when it is shown."""

    image: av.video.frame.VideoFrame
    index: int
    pts: int
    duration: int
    time_base: Fraction

    @property
    def time(self) -> Fraction:
        return self.pts * self.time_base


@dataclass(slots=True)
class Passing:
    """A packet of any other stream, on its way to the output untouched."""

    packet: av.packet.Packet[Any]
    stream_index: int


@dataclass(slots=True)
class Damage:
    """What could not be read, counted."""

    broken_places: int = 0
    undecodable_packets: int = 0
    corrupt_frames: int = 0
    untimed_frames: int = 0
    clock_jumps: int = 0
    ended_early: bool = False

    def sentence(self, name: str) -> str | None:
        """What to tell the user, or nothing."""
        counts = [
            (self.broken_places, "the file is damaged or cut off in {} place{s}"),
            (self.undecodable_packets, "{} packet{s} could not be decoded"),
            (self.corrupt_frames, "{} damaged frame{s}"),
            (self.untimed_frames, "{} frame{s} had no usable timestamp"),
            (self.clock_jumps, "the clock was set anew {} time{s} and now runs on"),
        ]
        parts = [text.format(n, s="" if n == 1 else "s") for n, text in counts if n]
        if self.ended_early:
            parts.append("it ends early")
        return f"{name}: {', '.join(parts)}; everything readable was kept." if parts else None


@dataclass(frozen=True)
class Span:
    """The part of the clip to read, in seconds from its beginning; an open end is None."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.end is None


@dataclass(frozen=True)
class Part:
    """A run of a clip's frames, told by their own timestamps: [start_pts, end_pts).

    An open end is None. Decoding begins at the key packet shown at `entry_pts`, and then the frame
    at `start_pts` has the number `first_index`; without one, it begins at the clip's beginning.
    So many frames `around` it are handed over too, where the clip has them.
    """

    start_pts: int | None = None
    end_pts: int | None = None
    first_index: int = 0
    entry_pts: int | None = None
    around: int = 0
