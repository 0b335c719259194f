"""Static HDR metadata: the mastering display and the light levels that go with PQ and HLG clips.

PyAV can read them from a decoded frame but cannot attach them to an encoder, so they travel as
text in the encoder's own parameters (`x265-params`, `svtav1-params`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vidref.media.sidedata import side_data

if TYPE_CHECKING:
    import av.video.frame

# Metadata of single frames for which no encoder here has a route.
DYNAMIC = {
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "SPHERICAL": "360-degree",
    "STEREO3D": "stereoscopic",
}


@dataclass(frozen=True)
class MasteringDisplay:
    """CIE xy of the primaries (red, green, blue) and white, and the luminance range in cd/m2."""

    primaries: tuple[tuple[Fraction, Fraction], ...]
    white: tuple[Fraction, Fraction]
    min_luminance: Fraction
    max_luminance: Fraction


@dataclass(frozen=True)
class HdrMetadata:
    """What the file says about its HDR picture; all empty for an ordinary clip."""

    mastering: MasteringDisplay | None = None
    max_content_light: int | None = None
    max_frame_average_light: int | None = None
    dynamic: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.mastering is not None or self.max_content_light is not None

    def x265_params(self) -> list[str]:
        """`master-display` counts chromaticity in 1/50000 and luminance in 1/10000."""
        words = []
        if self.mastering:
            words.append("master-display=" + _display(self.mastering, 50_000, 10_000))
        if self.max_content_light is not None:
            words.append(f"max-cll={self.max_content_light},{self.max_frame_average_light or 0}")
        return words

    def svtav1_params(self) -> list[str]:
        """The same in plain decimals."""
        words = []
        if self.mastering:
            words.append("mastering-display=" + _display(self.mastering, None, None))
        if self.max_content_light is not None:
            average = self.max_frame_average_light or 0
            words.append(f"content-light={self.max_content_light},{average}")
        return words


def hdr_metadata(frame: av.video.frame.VideoFrame) -> HdrMetadata:
    """Read the side data of a decoded frame."""
    mastering = None
    light: tuple[int | None, int | None] = (None, None)
    dynamic = []
    for name, raw in side_data(frame):
        if name == "MASTERING_DISPLAY_METADATA":
            mastering = _mastering(raw)
        elif name == "CONTENT_LIGHT_LEVEL":
            light = struct.unpack_from("=II", raw)
        elif name in DYNAMIC:
            dynamic.append(DYNAMIC[name])
    return HdrMetadata(mastering, light[0], light[1], tuple(dynamic))


def _mastering(raw: bytes) -> MasteringDisplay | None:
    """FFmpeg's AVMasteringDisplayMetadata: ten rationals, then two flags, all native ints."""
    numbers = struct.unpack_from("=22i", raw)
    if not (numbers[20] and numbers[21]):
        return None
    values = [Fraction(numbers[i], numbers[i + 1] or 1) for i in range(0, 20, 2)]
    primaries = tuple((values[i], values[i + 1]) for i in (0, 2, 4))
    return MasteringDisplay(primaries, (values[6], values[7]), values[8], values[9])


def _display(display: MasteringDisplay, xy_unit: int | None, light_unit: int | None) -> str:
    def number(value: Fraction, unit: int | None) -> str:
        return f"{float(value):.5f}" if unit is None else str(round(value * unit))

    red, green, blue = display.primaries
    points = zip("GBR", (green, blue, red), strict=True)
    text = "".join(f"{k}({number(x, xy_unit)},{number(y, xy_unit)})" for k, (x, y) in points)
    white = ",".join(number(value, xy_unit) for value in display.white)
    most, least = (number(v, light_unit) for v in (display.max_luminance, display.min_luminance))
    return f"{text}WP({white})L({most},{least})"
