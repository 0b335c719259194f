"""When each frame is shown, also where the file is unsure of it."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av.packet

# A broadcast clock that steps further back, or leaves a longer gap, has been set anew.
LARGEST_STEP_BACK, LARGEST_GAP = Fraction(-1, 10), Fraction(10)
# Beyond this a number of ticks is damage, and arithmetic with it would leave 64 bits.
CREDIBLE_TICKS = 1 << 56


def credible(ticks: int | None) -> int | None:
    """The timestamp, or nothing where only a damaged file can have written it."""
    return ticks if ticks is not None and abs(ticks) < CREDIBLE_TICKS else None


class PresentationClock:
    """Gives every frame its time: strictly later than the frame before, and as a player guesses it.

    A frame has a presentation time where the container stores one, and the decoding time of the
    packet that let it out. Whichever of the two has run backwards less often is believed. Where
    nothing stores presentation times (AVI), the decoder's delay is taken off: the first picture
    belongs to the first packet. A broadcast clock (`is_clocked`) leaves some out, and none is late.
    """

    def __init__(self, usual: int, is_clocked: bool = False) -> None:
        self.mended = 0
        self.first_packet_dts: int | None = None
        self._delay: int | None = 0 if is_clocked else None
        self._usual = usual
        self._last: int | None = None
        self._last_of = {"pts": -(1 << 62), "dts": -(1 << 62)}
        self._faults = {"pts": 0, "dts": 0}

    def stamp(self, pts: int | None, dts: int | None) -> int:
        pts, dts = credible(pts), credible(dts)
        if self._delay is None:
            first = credible(self.first_packet_dts)
            has_only_dts = pts is None and dts is not None and first is not None
            self._delay = dts - first if has_only_dts else 0  # type: ignore[operator]
        # Where none is stored, frames that are not reordered have the parser's: their dts.
        pts = None if pts is None else pts - self._delay
        dts = None if dts is None else dts - self._delay
        for name, value, other in (("dts", dts, pts), ("pts", pts, dts)):
            if value is not None:
                self._faults[name] += value <= self._last_of[name]
                self._last_of[name] = value
            elif other is not None:
                self._last_of[name] = other
        believes_pts = dts is None or self._faults["pts"] <= self._faults["dts"]
        wanted = pts if pts is not None and believes_pts else dts
        if wanted is None or (self._last is not None and wanted <= self._last):
            # Without stored times, what a decoder gives out at the end never has any: no damage.
            self.mended += wanted is not None or not self._delay
            if self._last is None:
                wanted = 0
            else:
                wanted = self._last + (self._usual if wanted is None else 1)
        self._last = wanted
        return wanted


class UnbrokenClock:
    """Takes the jumps out of a broadcast clock, as joined recordings and DVD files have them.

    Each stream crosses a join by itself, because packets of the old part still come after the
    first of the new one; the first that crosses says where the new part begins, and the others
    are moved by the same amount, so sound and picture stay together.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self._offsets = [Fraction(0)]
        self._part: dict[int, int] = {}
        self._expected: dict[int, Fraction] = {}

    def mend(self, packet: av.packet.Packet[Any]) -> None:
        """Move the packet's times to where they belong in one unbroken count."""
        index, base = packet.stream.index, packet.time_base
        if packet.stream.type not in ("video", "audio"):
            part = len(self._offsets) - 1
        elif packet.dts is None:
            part = self._part.get(index, 0)
        else:
            raw = packet.dts * base
            part = self._part[index] = self._part_of(index, raw)
            self._expected[index] = raw + self._offsets[part] + (packet.duration or 0) * base
        ticks = round(self._offsets[part] / base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks

    def _part_of(self, index: int, raw: Fraction) -> int:
        """The first part, from this stream's present one on, in which `raw` follows on."""
        part, expected = self._part.get(index, 0), self._expected.get(index)
        if expected is None:
            return part
        for later in range(part, len(self._offsets)):
            if LARGEST_STEP_BACK <= raw + self._offsets[later] - expected <= LARGEST_GAP:
                return later
        self._offsets.append(expected - raw)
        self.jumps += 1
        return len(self._offsets) - 1
