"""Pictures in memory as a lossless file, and back: for programs that hold frames, not clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vidref.errors import InputError


def write_frames(frames: Iterable[NDArray[np.uint8]], path: Path, rate: Fraction) -> None:
    """Write HxWx3 RGB pictures, all of one size, as FFV1."""
    with av.open(str(path), "w") as container:
        stream: Any = None
        for number, frame in enumerate(frames):
            if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
                raise InputError(
                    f"Frame {number} is {frame.dtype} of shape {frame.shape}; give uint8 RGB "
                    "pictures of shape (height, width, 3)."
                )
            height, width = frame.shape[:2]
            if stream is None:
                stream = container.add_stream("ffv1", rate=rate)
                stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
            elif (stream.width, stream.height) != (width, height):
                raise InputError(
                    f"Frame {number} is {width}x{height} and the first is "
                    f"{stream.width}x{stream.height}; give frames of one size."
                )
            image = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(image))
        if stream is None:
            raise InputError("There are no frames to restore; give at least one.")
        container.mux(stream.encode(None))


def read_frames(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a file, one at a time."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
