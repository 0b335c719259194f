"""Timestamps of packets: the encoder's turned back into the source's, the source's put in order."""

from __future__ import annotations

from collections import deque
from typing import Any

# No encoder decodes a frame earlier than this many frames before it is shown.
MOST_REORDERED = 64


class PacketTimes:
    """Frame numbers back to timestamps, in the bounded window that an encoder reorders.

    The encoder's decoding order is believed only where it is possible: given one or two frames,
    libx265 hands out numbers that it never set.
    """

    def __init__(self) -> None:
        self.pushed = 0
        self._first = 0
        self.last_pts = -1
        self._window: deque[tuple[int, int]] = deque()
        self._start = 0
        self._usual = 1
        self._last_decoded: int | None = None

    def push(self, pts: int, duration: int) -> None:
        if self.pushed == 0:
            self._start, self._usual = pts, max(1, duration)
        self._window.append((pts, duration))
        self.last_pts = pts
        self.pushed += 1

    def of(self, number: int, decode_number: int | None) -> tuple[int, int, int]:
        """(pts, dts, duration) of the packet that shows frame `number`."""
        pts, duration = self._window[number - self._first]
        decode_number = self._decoding_order(number, decode_number)
        if decode_number < 0:
            return pts, self._start + decode_number * self._usual, duration
        dts = self._window[decode_number - self._first][0]
        while self._first < decode_number:
            self._window.popleft()
            self._first += 1
        return pts, dts, duration

    def _decoding_order(self, number: int, said: int | None) -> int:
        last = self._last_decoded
        earliest = number - MOST_REORDERED if last is None else last + 1
        if said is None or not earliest <= said <= number:
            said = number if last is None else min(number, last + 1)
        self._last_decoded = said
        return said


class PassingOrder:
    """Keeps copied streams' times in the order that muxers insist on, and counts what it did."""

    def __init__(self) -> None:
        self.mended = 0
        self.lost = 0
        self._last_dts: dict[int, int] = {}

    def keep(self, packet: Any, index: int, kind: str) -> bool:
        """Mend timestamps that muxers refuse, as damaged files have them; False if there is none.

        Times must move on (subtitles may stand still), and nothing is shown before it is decoded.
        """
        before = (packet.pts, packet.dts)
        last = self._last_dts.get(index)
        if packet.dts is None:
            packet.dts = packet.pts if packet.pts is not None else last
        if packet.dts is None:
            self.lost += 1
            return False
        earliest = None if last is None else last + (kind != "subtitle")
        if earliest is not None and packet.dts < earliest:
            packet.dts = earliest
        if packet.pts is None or packet.pts < packet.dts:
            packet.pts = packet.dts
        self._last_dts[index] = packet.dts
        self.mended += None not in before and before != (packet.pts, packet.dts)
        return True

    def sentence(self, name: str) -> str | None:
        """What had to be done to the other streams' packets, or nothing."""
        if not (self.mended or self.lost):
            return None
        return (
            f"{name}: {self.mended} packets of sound or subtitles ran "
            f"backwards in time and were put in order, {self.lost} without a time were "
            "left out."
        )
