"""RGB comes out of a frame as its own tags say, and goes back without moving anything else."""

from __future__ import annotations

import shutil
import subprocess

import av
import numpy as np
import pytest

from tests.judge import require_tools
from vidref.errors import InputError
from vidref.media.colour import Box, Colour, read_rgb, write_rgb
from vidref.media.planes import channels, layout_of

PLANAR = ["yuv420p", "yuv422p10le", "yuv444p12le", "gray", "gray10le", "yuva420p", "yuvj420p"]
PACKED = ["gbrp", "gbrp12le", "rgb24", "bgra", "rgb48be", "nv12", "p010le", "ya8"]
PACKED += ["uyvy422", "yuyv422", "yvyu422"]
# H.273 numbers -> the words that zscale knows.
MATRICES = {1: "709", 6: "170m", 9: "2020_ncl"}


def frame_of(pix_fmt: str, width: int = 64, height: int = 48, seed: int = 0) -> av.VideoFrame:
    """Random samples over the whole legal range of the format, written plane by plane."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (6, 8, 3), dtype=np.uint8)
    picture = np.kron(coarse, np.ones((height // 6 + 1, width // 8 + 1, 1), np.uint8))
    picture = np.ascontiguousarray(picture[:height, :width])
    return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt, threads=1)


def samples(frame: av.VideoFrame) -> list[bytes]:
    return [bytes(plane) for plane in frame.planes]


@pytest.mark.parametrize("size", [(64, 48), (37, 29)])
@pytest.mark.parametrize("pix_fmt", PLANAR + PACKED)
def test_writing_back_what_was_read_moves_no_sample(pix_fmt: str, size: tuple[int, int]) -> None:
    frame = frame_of(pix_fmt, *size)
    before = samples(frame)
    colour = Colour(1, 0, 1, 1)
    rgb = read_rgb(frame, colour)
    write_rgb(frame, colour, Box(0, 0, *size), rgb, np.ones(size[::-1], np.float32))
    assert samples(frame) == before


@pytest.mark.parametrize("pix_fmt", PLANAR + PACKED)
def test_only_the_pixels_under_the_mask_change(pix_fmt: str) -> None:
    frame = frame_of(pix_fmt)
    colour = Colour(1, 0, 1, 1)
    before = read_rgb(frame, colour).astype(np.int64)
    mask = np.zeros((48, 64), np.float32)
    mask[8:24, 16:40] = 1
    new = np.full((48, 64, 3), 120 * 257, np.uint16)
    write_rgb(frame, colour, Box(0, 0, 64, 48), new, mask)
    after = read_rgb(frame, colour).astype(np.int64)
    assert np.array_equal(after[mask == 0], before[mask == 0])
    assert np.abs(after - new)[mask == 1].max() <= 2 * 257


def test_a_region_is_read_as_the_same_pixels_of_the_whole() -> None:
    frame = frame_of("yuv420p", 37, 29)
    colour = Colour(6, 1, 6, 6)
    whole = read_rgb(frame, colour)
    assert np.array_equal(read_rgb(frame, colour, Box(5, 3, 20, 28)), whole[3:28, 5:20])
    # a box that hangs over the edge is cut to the picture
    assert np.array_equal(read_rgb(frame, colour, Box(-4, -4, 9, 9)), whole[:9, :9])


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("matrix", list(MATRICES))
def test_rgb_agrees_with_zimg_for_every_matrix_range_and_depth(
    matrix: int, bits: int, full_range: bool
) -> None:
    require_tools("ffmpeg")
    rng = np.random.default_rng(bits)
    most = 1 << bits
    planes = rng.integers(most // 8, most * 7 // 8, (3, 32, 48)).astype(
        np.uint8 if bits == 8 else np.uint16
    )
    pix_fmt = "yuv444p" if bits == 8 else f"yuv444p{bits}le"
    frame = av.VideoFrame(48, 32, pix_fmt)
    for view, plane in zip(channels(frame, layout_of(pix_fmt)), planes, strict=True):
        view[:] = plane
    zimg_range = "full" if full_range else "limited"
    command = [shutil.which("ffmpeg") or "ffmpeg", "-v", "error", "-f", "rawvideo"]
    command += ["-pix_fmt", pix_fmt, "-s", "48x32", "-i", "-", "-vf"]
    command += [
        f"zscale=matrixin={MATRICES[matrix]}:rangein={zimg_range}:matrix=gbr:range=full:"
        "transferin=709:transfer=709:primariesin=709:primaries=709,format=gbrp16le"
    ]
    command += ["-f", "rawvideo", "-pix_fmt", "gbrp16le", "-"]
    raw = subprocess.run(command, input=planes.tobytes(), capture_output=True, check=True).stdout
    green, blue, red = np.frombuffer(raw, "<u2").reshape(3, 32, 48).astype(np.int64)
    judged = np.stack([red, green, blue], -1)
    ours = read_rgb(frame, Colour(matrix, 2 if full_range else 1, 1, 1)).astype(np.int64)
    assert np.abs(ours - judged).max() <= 2


def test_an_untagged_picture_is_bt709_from_720_lines_up_and_bt601_below() -> None:
    small, large = frame_of("yuv444p", 64, 576), frame_of("yuv444p", 64, 720)
    assert np.array_equal(read_rgb(small, Colour()), read_rgb(small, Colour(matrix=6)))
    assert np.array_equal(read_rgb(large, Colour()), read_rgb(large, Colour(matrix=1)))


@pytest.mark.parametrize("colour", [Colour(), Colour(matrix=0)], ids=["untagged", "PNG"])
def test_grey_stays_grey(colour: Colour) -> None:
    frame = frame_of("gray")
    rgb = read_rgb(frame, colour)
    assert np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 1], rgb[..., 2])
    write_rgb(frame, colour, Box(0, 0, 64, 48), 65535 - rgb, np.ones((48, 64), np.float32))
    assert len(frame.planes) == 1
    assert np.abs(read_rgb(frame, colour).astype(int) - (65535 - rgb)).max() <= 257


@pytest.mark.parametrize("pix_fmt", ["uyvy422", "yuyv422", "yvyu422"])
def test_uncompressed_tape_shows_what_its_planes_apart_show(pix_fmt: str) -> None:
    apart = frame_of("yuv422p", 38, 20)
    # with several threads swscale writes over the beginning of rows that are done
    packed = apart.reformat(format=pix_fmt, threads=1)
    assert np.array_equal(read_rgb(packed, Colour()), read_rgb(apart, Colour()))


@pytest.mark.parametrize("pix_fmt", ["y210le", "vuya", "uyyvyy411"])
def test_channels_that_share_a_plane_in_an_unknown_way_are_not_misread(pix_fmt: str) -> None:
    with pytest.raises(InputError, match=pix_fmt):
        layout_of(pix_fmt)


def test_a_matrix_we_cannot_convert_is_named() -> None:
    with pytest.raises(InputError, match="colour matrix 8"):
        read_rgb(frame_of("yuv420p"), Colour(matrix=8))
