"""x264 writes the same bits every time: segments made again, or elsewhere, are the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clips import write_clip
from vidref.media.encoders import Request, choose_encoding
from vidref.media.frames import Frame
from vidref.media.picture_encoder import open_encoder
from vidref.media.reader import Reader


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "gbrp"])
def test_the_same_frames_are_the_same_bits_at_a_width_that_is_no_round_number(
    pix_fmt: str, tmp_path: Path
) -> None:
    codec = "libx264rgb" if pix_fmt == "gbrp" else "libx264"
    made = {"codec": codec, "pix_fmt": "bgr24" if pix_fmt == "gbrp" else pix_fmt}
    source = write_clip(tmp_path / "in.mkv", frames=12, size=(240, 64), sounds=[], **made)
    with Reader(source, threads=1) as reader:
        clip, frames = reader.clip, [item for item in reader if isinstance(item, Frame)]
    encoding = choose_encoding(clip.picture, "matroska", Request(threads=1))
    found = set()
    for _ in range(20):
        encoder = open_encoder(clip, "matroska", encoding, 1, 0)
        packets = [packet for frame in frames for packet in encoder.encode(frame)]
        found.add(b"".join(map(bytes, [*packets, *encoder.flush()])))
    assert encoding.encoder == codec and len(found) == 1
