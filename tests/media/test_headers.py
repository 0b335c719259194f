"""Small things in headers that an editor's player acts on."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from tests.clips import Sound, ffmpeg, write_clip
from tests.judge import probe, require_tools
from tests.tool import PASS, vidref
from vidref.media.matroska import UNIT_ASPECT, UNIT_PIXELS, display_size
from vidref.media.reader import Reader


def _chroma_location(path: Path) -> str:
    require_tools("ffprobe")
    words = ["ffprobe", "-v", "error", "-show_entries", "stream=chroma_location", "-of", "json"]
    found = json.loads(subprocess.run([*words, path], capture_output=True, check=True).stdout)
    return str(found["streams"][0].get("chroma_location"))


@pytest.mark.parametrize("site", ["center", "topleft", "top", "bottomleft", "bottom"])
@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("in.mp4", "libx264", "yuv420p"),
        ("in.ts", "libx264", "yuv420p10le"),
        ("in.mkv", "libx265", "yuv420p10le"),
        ("in.mp4", "libx265", "yuv420p"),
    ],
)
def test_the_place_of_the_chroma_samples_is_kept(
    name: str, codec: str, pix_fmt: str, site: str, tmp_path: Path
) -> None:
    number = ["left", "center", "topleft", "top", "bottomleft", "bottom"].index(site)
    option = {codec.removeprefix("lib") + "-params": f"chromaloc={number}"}
    source = tmp_path / name
    write_clip(source, codec=codec, pix_fmt=pix_fmt, frames=3, sounds=[], options=option)
    assert _chroma_location(source) == site
    output = tmp_path / f"out{source.suffix}"
    done = vidref(*PASS, source, "-o", output)
    assert done.exit_code == 0, done.stderr
    assert _chroma_location(output) == site
    if not site.startswith("bottom"):  # Matroska has no word for it where the codec has none
        done = vidref(*PASS, source, "-o", tmp_path / "lossless.mkv", "--lossless")
        assert done.exit_code == 0, done.stderr
        assert _chroma_location(tmp_path / "lossless.mkv") == site


@pytest.mark.parametrize("in_front", [True, False])
def test_a_clip_that_plays_while_it_loads_still_does(in_front: bool, tmp_path: Path) -> None:
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    options = {"movflags": "faststart"} if in_front else {}
    write_clip(source, frames=5, container_options=options)
    assert vidref(*PASS, source, "-o", output).exit_code == 0
    for path in (source, output):
        data = path.read_bytes()
        assert (data.index(b"moov") < data.index(b"mdat")) == in_front


@pytest.mark.parametrize(
    ("size", "shape", "expected"),
    [
        ((720, 576), "16/15", (768, 576, UNIT_PIXELS)),
        ((720, 480), "8/9", (640, 480, UNIT_PIXELS)),
        ((720, 480), "10/11", (720, 528, UNIT_PIXELS)),
        ((100, 75), "59/54", (118, 81, UNIT_ASPECT)),
        ((1440, 1080), "4/3", (1920, 1080, UNIT_PIXELS)),
    ],
)
def test_the_display_size_gives_back_the_exact_shape_of_the_pixels(
    size: tuple[int, int], shape: str, expected: tuple[int, int, int]
) -> None:
    wide, high, unit = display_size(*size, Fraction(shape))
    assert (wide, high, unit) == expected
    assert Fraction(wide, high) / Fraction(*size) == Fraction(shape)


def test_joined_recordings_go_on_where_the_last_one_ended(tmp_path: Path) -> None:
    part = write_clip(tmp_path / "part.ts", frames=20, sounds=[Sound("mp2")])
    joined = tmp_path / "joined.ts"
    joined.write_bytes(part.read_bytes() * 3)
    output = tmp_path / "out.mkv"
    done = vidref(*PASS, joined, "-o", output)
    assert done.exit_code == 0, done.stderr
    assert "set anew 2 times" in done.stderr
    times = [time for time in probe(output).times if time is not None]
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == 60
    assert all(Fraction(39, 1000) <= step <= Fraction(41, 1000) for step in steps)
    words = "ffprobe -v error -select_streams a -show_entries packet=pts_time -of csv=p=0"
    found = subprocess.run([*words.split(), output], capture_output=True, check=True)
    sound = found.stdout.split()
    # each part's sound begins with its picture, give or take a packet
    assert abs(float(sound[-1]) - float(times[-1])) < 0.1


@pytest.mark.parametrize(("target", "rate"), [("pal-dv", "25/1"), ("ntsc-dv", "30000/1001")])
def test_a_raw_dv_tape_runs_at_the_rate_of_its_tape(target: str, rate: str, tmp_path: Path) -> None:
    base = write_clip(tmp_path / "base.mkv", size=(192, 144), frames=6, rate=Fraction(rate))
    tape, output = tmp_path / "tape.dv", tmp_path / "tape.mkv"
    ffmpeg("-i", base, "-target", target, tape)
    done = vidref(*PASS, tape, "-o", output, "--lossless")
    assert done.exit_code == 0, done.stderr
    with Reader(tape) as reader:
        assert reader.clip.picture.average_rate == Fraction(rate)
        assert reader.clip.frame_count_hint == len(probe(output).frames[0])
    with av.open(str(output)) as made:
        last = [packet.duration for packet in made.demux(video=0) if packet.dts is not None][-1]
    assert abs(last / 1000 - 1 / Fraction(rate)) < Fraction(1, 1000)
