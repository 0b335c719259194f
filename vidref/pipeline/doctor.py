"""What is installed, what would run where, and how fast: measured, not looked up."""

from __future__ import annotations

import io
import platform
import time
from importlib import metadata
from typing import Any

import av
import av.codec
import numpy as np

from vidref.machine import usable_cores
from vidref.media.families import FAMILIES, HARDWARE
from vidref.pipeline.cores import model_share

PACKAGES = ("vidref", "av", "numpy", "torch", "diffusers", "insightface", "onnxruntime")
TRIAL_FRAMES = 48
HARDWARE_CODECS = ("h264", "hevc", "av1")


def examine() -> dict[str, dict[str, Any]]:
    """Facts under headings, ready to print."""
    return {
        "versions": _versions(),
        "devices": _devices(),
        "encoders": _encoders(),
        "speed at 1280x720": _speed(),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["ffmpeg libraries"] = ".".join(map(str, av.library_versions["libavcodec"]))
    return found


def _devices() -> dict[str, str]:
    import torch

    calls = model_share(side_by_side=True).calls
    devices = {"cpu": f"{usable_cores()} cores, {calls} calls of the bundled model at a time"}
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = properties.total_memory / 2**30
        devices[f"cuda:{index}"] = f"{properties.name}, {memory:.0f} GiB"
    if torch.backends.mps.is_available():
        devices["mps"] = "Apple GPU"
    devices["a restore would use"] = next(
        (name for name in devices if name != "cpu"), f"cpu ({platform.machine()})"
    )
    return devices


def _encoders() -> dict[str, str]:
    def has(encoder: str) -> bool:
        return encoder in av.codec.codecs_available and _can_write(encoder)

    software = [f.codec for f in FAMILIES.values() if has(f.encoder)]
    hardware = [f"{c}_{d}" for c in HARDWARE_CODECS for d in HARDWARE if has(f"{c}_{d}")]
    return {
        "software": " ".join(software),
        "hardware (in this build)": " ".join(hardware) or "none",
    }


def _can_write(encoder: str) -> bool:
    try:
        av.codec.Codec(encoder, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _speed() -> dict[str, str]:
    """Encode and decode a short moving picture in memory, with the default H.264 settings."""
    moving = _moving_pictures()
    options = dict(FAMILIES["h264"].options)
    memory = io.BytesIO()
    begun = time.perf_counter()
    with av.open(memory, "w", format="matroska") as output:
        stream: Any = output.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for picture in moving:
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    encoded = time.perf_counter()
    memory.seek(0)
    with av.open(memory, "r") as container:
        container.streams.video[0].thread_type = "AUTO"
        frames = len([0 for _ in container.decode(video=0)])
    decoded = time.perf_counter()
    return {
        "decode H.264": f"{frames / (decoded - encoded):.0f} frames/s",
        "encode H.264 (default)": f"{frames / (encoded - begun):.0f} frames/s",
    }


def _moving_pictures() -> list[av.VideoFrame]:
    rows, columns = np.mgrid[0:720, 0:1280]
    pictures = []
    for shift in range(0, 4 * TRIAL_FRAMES, 4):
        wave = 128 + 60 * np.sin((columns + shift) / 37) + 50 * np.cos((rows - shift) / 23)
        grey = wave.astype(np.uint8)
        rgb = np.stack([grey, grey[::-1], 255 - grey], -1)
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
        pictures.append(frame)
    return pictures
