"""Small clips with a real face in them, at a known place: the photographs in `samples/person`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from tests.tool import ROOT

PHOTOS = ROOT / "samples" / "person"
# Centre and side of the face's square in each photograph, as the bundled pack sees them.
SQUARES = {
    "studio": (229.5, 273.7, 416.2),
    "window": (265.6, 267.4, 412.5),
    "outdoors": (245.7, 205.0, 351.6),
}
Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class Portrait:
    """A photograph in the picture: its top left corner moves from frame to frame."""

    photo: str = "studio"
    height: int = 200
    left_top: tuple[float, float] = (40.0, 20.0)
    step: tuple[float, float] = (2.0, 0.5)

    def square(self, frame: int) -> tuple[float, float, float]:
        """The true (x, y, size) of the face's square in this frame."""
        scale = self.height / _photo(self.photo).shape[0]
        x, y, size = SQUARES[self.photo]
        left, top = (a + round(frame * b) for a, b in zip(self.left_top, self.step, strict=True))
        return left + (x + 0.5) * scale - 0.5, top + (y + 0.5) * scale - 0.5, size * scale


def frames_of(
    portraits: Sequence[Portrait],
    count: int,
    size: tuple[int, int] = (320, 240),
    ground: str = "coffee",
) -> Iterator[Rgb]:
    """Pictures of the portraits before a photograph without faces."""
    wall = cv2.resize(getattr(data, ground)(), size, interpolation=cv2.INTER_AREA)
    for number in range(count):
        picture = wall.copy()
        for portrait in portraits:
            photo = _photo(portrait.photo)
            width = round(photo.shape[1] * portrait.height / photo.shape[0])
            small = cv2.resize(photo, (width, portrait.height), interpolation=cv2.INTER_AREA)
            left, top = (
                int(a + round(number * b))
                for a, b in zip(portrait.left_top, portrait.step, strict=True)
            )
            left, top = int(left), int(top)
            low_x, low_y = max(0, left), max(0, top)
            part = small[low_y - top : size[1] - top, low_x - left : size[0] - left]
            picture[low_y : low_y + part.shape[0], low_x : low_x + part.shape[1]] = part
        yield picture


def write_pictures(
    path: Path,
    pictures: Iterator[Rgb] | Sequence[Rgb],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 25),
    rotation: int | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A clip of these pictures, at 25 a second or at the given times."""
    with av.open(str(path), "w") as out:
        video: Any = None
        for number, picture in enumerate(pictures):
            if video is None:
                default = {"preset": "ultrafast", "crf": "16"} if codec == "libx264" else {}
                video = out.add_stream(codec, rate=25, options=options or default)
                video.height, video.width = picture.shape[:2]
                video.pix_fmt = pix_fmt
                video.codec_context.time_base = time_base
                video.codec_context.gop_size = 12
                if rotation is not None:
                    video.set_display_rotation(rotation)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame = frame.reformat(format=pix_fmt, threads=1)
            frame.pts, frame.time_base = number if pts is None else pts[number], time_base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


@cache
def _photo(name: str) -> Rgb:
    return cv2.cvtColor(cv2.imread(str(PHOTOS / f"{name}.jpg")), cv2.COLOR_BGR2RGB)
