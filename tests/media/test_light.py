"""HDR's mastering display and light levels stay with the picture where the encoder is mute."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests import clips, judge
from tests.clips import write_clip
from tests.tool import PASS, vidref

pytestmark = pytest.mark.usefixtures("judges")

LIGHT = (
    "log-level=error:pools=1:frame-threads=1:hdr10=1:repeat-headers=1:max-cll=1000,400:"
    "master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)"
)


@pytest.fixture(params=[None, Fraction(16, 11)], ids=["square", "oblong"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_clip(
        tmp_path / "in.mkv",
        codec="libx265",
        pix_fmt="yuv420p10le",
        colour=clips.HDR10,
        options={"x265-params": LIGHT},
        sample_aspect=request.param,
        frames=4,
        sounds=[],
    )


@pytest.mark.parametrize(("codec", "suffix"), [("ffv1", ".mkv"), ("vp9", ".webm")])
def test_matroska_says_the_light_for_an_encoder_that_cannot(
    codec: str, suffix: str, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / f"out{suffix}"
    done = vidref(*PASS, source, "-o", output, "--codec", codec)
    assert done.exit_code == 0 and "mastering" not in done.stderr, done.stderr
    before, after = judge.probe(source), judge.probe(output)
    assert judge.light(after) == pytest.approx(judge.light(before)) and judge.light(after)
    ratio = "sample_aspect_ratio"
    assert after.picture.get(ratio, "1:1") == before.picture.get(ratio, "1:1")
    assert "title" not in after.picture.get("tags", {})


def test_a_container_that_cannot_say_it_either_is_told(source: Path, tmp_path: Path) -> None:
    done = vidref(*PASS, source, "-o", tmp_path / "out.mov", "--prores")
    assert done.exit_code == 0
    assert "an .mkv file keeps them" in done.stderr
