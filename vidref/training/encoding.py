"""Through a real encoder and back: the blocking, smearing and banding of H.264, MPEG-2 and MPEG-4.

A still picture is shown as a short pan, so that there are predicted frames with motion, and the
last frame is kept: the one that carries what prediction did. Encoding runs on the CPU, one picture
per thread; PyAV releases the interpreter lock in it.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidref.errors import MissingDependencyError
from vidref.media.x264 import repeatable_options

FRAMES = 4
CONTAINERS = {"libx264": "matroska", "mpeg2video": "mpegts", "mpeg4": "avi"}
QUANTISERS = {"libx264": (24, 42), "mpeg2video": (3, 24), "mpeg4": (3, 24)}
"""Finest and coarsest quantiser drawn; an encoder of the MPEG family counts 1 to 31."""


def encode_round_trip(images: Tensor, codec: str, severity: float) -> Tensor:
    """(B, 3, H, W) in [0, 1], even sides -> what `codec` leaves at `severity` in 0..1."""
    pictures = (images * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    coded = list(workers().map(lambda picture: code_picture(picture, codec, severity), pictures))
    return torch.from_numpy(np.stack(coded)).permute(0, 3, 1, 2).to(images) / 255


@lru_cache(maxsize=1)
def workers() -> ThreadPoolExecutor:
    """As many encoders as torch has threads."""
    return ThreadPoolExecutor(torch.get_num_threads())


def code_picture(picture: np.ndarray, codec: str, severity: float) -> np.ndarray:
    """One (H, W, 3) uint8 RGB picture, after a pan of a few frames that ends on it."""
    pan = [np.roll(picture, (step, 2 * step), (0, 1)) for step in reversed(range(FRAMES))]
    return code_frames(pan, codec, severity)[-1]


def code_frames(frames: list[np.ndarray], codec: str, severity: float) -> list[np.ndarray]:
    """A short clip of (H, W, 3) uint8 RGB frames with even sides, as it is decoded again."""
    try:
        import av
    except ImportError as error:
        raise MissingDependencyError(
            "Training with real encoders needs PyAV: pip install av, or set damage.encode to false."
        ) from error
    finest, coarsest = QUANTISERS[codec]
    quantiser = round(finest + (coarsest - finest) * severity)
    height, width = frames[0].shape[:2]
    store = io.BytesIO()
    with av.open(store, "w", format=CONTAINERS[codec]) as output:
        options = {}
        if codec == "libx264":
            options = {"preset": "veryfast", "crf": str(quantiser), **repeatable_options()}
        stream: Any = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        if codec != "libx264":
            stream.codec_context.qmin = stream.codec_context.qmax = quantiser
        for frame in frames:
            shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            output.mux(stream.encode(shown))
        output.mux(stream.encode(None))
    store.seek(0)
    with av.open(store, "r", format=CONTAINERS[codec]) as source:
        return [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
