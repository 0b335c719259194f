"""Where the chroma samples of an H.264 or HEVC picture sit, which PyAV does not tell.

Ultra HD discs put them on the top left pixel, most else half a pixel lower. A player that is told
the wrong place shifts all colour by that much, so the sequence header is read here, bit by bit, as
far as that field (H.264 Annex E.1, H.265 Annex E.2), and the encoder is told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# FFmpeg's names of H.264's and HEVC's chroma_sample_loc_type.
SITES = ("left", "center", "topleft", "top", "bottomleft", "bottom")
H264_SPS, HEVC_SPS = 7, 33
H264_WITH_CHROMA_FORMAT = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}
EXTENDED_SAR = 255


def chroma_site(codec: str, extradata: bytes | None) -> str | None:
    """FFmpeg's name of the place, or None where the header is silent or is not understood."""
    read = {"h264": _h264_site, "hevc": _hevc_site}.get(codec)
    if read is None or not extradata:
        return None
    for unit in _sequence_headers(codec, extradata):
        try:
            site = read(_Bits(unit))
        except IndexError:  # a header that ends before it should: say nothing of it
            continue
        if site is not None:
            return SITES[site] if site < len(SITES) else None
    return None


def _sequence_headers(codec: str, extradata: bytes) -> Iterator[bytes]:
    """The payloads of all sequence parameter sets, with stuffing bytes taken out."""
    for unit in _units(codec, extradata):
        kind = unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63
        if kind == (H264_SPS if codec == "h264" else HEVC_SPS):
            header = 1 if codec == "h264" else 2
            yield re.sub(rb"\x00\x00\x03", b"\x00\x00", unit[header:])


def _units(codec: str, extradata: bytes) -> list[bytes]:
    """Network units, from start codes (broadcast) or length prefixes (MP4, Matroska)."""
    if extradata[0] != 1:
        return [unit for unit in re.split(rb"\x00\x00\x00?\x01", extradata) if unit]
    units, at = [], 6 if codec == "h264" else 23
    arrays = 1 if codec == "h264" else extradata[22]
    for _ in range(arrays):
        if codec == "h264":
            count = extradata[5] & 31
        else:
            count, at = int.from_bytes(extradata[at + 1 : at + 3], "big"), at + 3
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            units.append(extradata[at + 2 : at + 2 + size])
            at += 2 + size
    return [unit for unit in units if unit]


class _Bits:
    """Reads a bit string; past its end it raises IndexError."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def golomb(self) -> int:
        """Unsigned Exp-Golomb."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)

    def golombs(self, count: int) -> None:
        """Pass over so many of them."""
        for _ in range(count):
            self.golomb()

    def signed(self) -> int:
        code = self.golomb()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _h264_site(bits: _Bits) -> int | None:
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    if profile in H264_WITH_CHROMA_FORMAT:
        chroma_format = bits.golomb()
        bits.take(chroma_format == 3)
        bits.golombs(2)
        bits.take(1)
        if bits.take(1):
            for i in range(12 if chroma_format == 3 else 8):
                if bits.take(1):
                    _skip_h264_scaling(bits, 16 if i < 6 else 64)
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.golombs(2)
        bits.golombs(bits.golomb())
    bits.golomb()
    bits.take(1)
    bits.golombs(2)
    if not bits.take(1):
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        bits.golombs(4)
    return _vui_site(bits) if bits.take(1) else None


def _skip_h264_scaling(bits: _Bits, size: int) -> None:
    last, following = 8, 8
    for _ in range(size):
        if following:
            following = (last + bits.signed() + 256) % 256
        last = following or last


def _hevc_site(bits: _Bits) -> int | None:
    bits.take(4)
    layers = bits.take(3)
    bits.take(1)
    _skip_hevc_profile(bits, layers)
    bits.golomb()
    chroma_format = bits.golomb()
    bits.take(chroma_format == 3)
    bits.golombs(2)
    if bits.take(1):
        bits.golombs(4)
    bits.golombs(2)
    order_bits = bits.golomb() + 4
    for _ in range(layers + 1 if bits.take(1) else 1):
        bits.golombs(3)
    bits.golombs(6)
    if bits.take(1) and bits.take(1):
        _skip_hevc_scaling(bits)
    bits.take(2)
    if bits.take(1):
        bits.take(8)
        bits.golombs(2)
        bits.take(1)
    counts: list[int] = []
    for i in range(bits.golomb()):
        counts.append(_hevc_reference_set(bits, i, counts))
    if bits.take(1):
        for _ in range(bits.golomb()):
            bits.take(order_bits + 1)
    bits.take(2)
    return _vui_site(bits) if bits.take(1) else None


def _skip_hevc_profile(bits: _Bits, layers: int) -> None:
    bits.take(96)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for has_profile, has_level in present:
        bits.take(88 * has_profile + 8 * has_level)


def _skip_hevc_scaling(bits: _Bits) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.take(1):
                bits.golomb()
                continue
            if size > 1:
                bits.signed()
            for _ in range(min(64, 1 << (4 + 2 * size))):
                bits.signed()


def _hevc_reference_set(bits: _Bits, index: int, counts: list[int]) -> int:
    """How many pictures the set holds, which the sets that are told as its changes need."""
    if index and bits.take(1):
        bits.take(1)
        bits.golomb()
        kept = 0
        for _ in range(counts[index - 1] + 1):
            used = bits.take(1)
            kept += 1 if used else bits.take(1)
        return kept
    negative, positive = bits.golomb(), bits.golomb()
    for _ in range(negative + positive):
        bits.golomb()
        bits.take(1)
    return negative + positive


def _vui_site(bits: _Bits) -> int | None:
    """The usability information begins alike in both standards."""
    if bits.take(1) and bits.take(8) == EXTENDED_SAR:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if bits.take(1):
        bits.take(4)
        if bits.take(1):
            bits.take(24)
    return bits.golomb() if bits.take(1) else None
