"""`vidref compare`, judged by what is inside the pages and clips that it writes."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.clips import BT709, Sound, ffmpeg, picture, write_clip, write_photo
from tests.report.pages import addresses, facts, halves, proxy
from tests.tool import is_one_sentence, leftovers, vidref


def numbered(path: Path, levels: list[int], **how: object) -> Path:
    """A grey clip whose frames can be told apart by how bright they are."""
    from tests import clips

    before = clips.video_frame

    def frame(index, width, height, pix_fmt, colour, scene):
        image = np.full((height, width, 3), levels[index], np.uint8)
        image[:, width // 2 :] = 255 - levels[index]
        return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
            format=pix_fmt, dst_colorspace="ITU709", dst_color_range="MPEG"
        )

    clips.video_frame = frame
    try:
        return write_clip(path, frames=len(levels), colour=BT709, **how)
    finally:
        clips.video_frame = before


LEVELS = [30 + 12 * n for n in range(12)]


def level(rgb: np.ndarray) -> float:
    return float(rgb[4:-4, 4 : rgb.shape[1] // 2 - 4].mean())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Uneven times; the second clip is ten levels brighter."""
    folder = tmp_path_factory.mktemp("pair")
    pts = [0, 2, 3, 4, 8, 9, 11, 12, 13, 14, 18, 19]
    how = {"pts": pts, "time_base": Fraction(1, 50), "size": (96, 64)}
    before = numbered(folder / "before.mp4", LEVELS, **how)
    after = numbered(folder / "after.mp4", [one + 10 for one in LEVELS], **how)
    return before, after


def compared(*arguments: str | Path) -> None:
    done = vidref("compare", *arguments, "--quiet")
    assert done.exit_code == 0, done.stderr


def test_each_frame_of_the_page_is_the_same_moment_of_both_clips(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    compared(*pair, "-o", page, "--faces", "none")
    told = facts(page)
    assert told["times"] == [0, 0.04, 0.06, 0.08, 0.16, 0.18, 0.22, 0.24, 0.26, 0.28, 0.36, 0.38]
    assert (told["width"], told["height"]) == (96, 64) and told["sound"]
    found = halves(page)
    assert len(found) == len(LEVELS)
    for (upper, lower), wanted in zip(found, LEVELS, strict=True):
        assert abs(level(upper) - wanted) < 3 and abs(level(lower) - wanted - 10) < 3
    assert addresses(page) == [] and leftovers(tmp_path, page, proxy(page)) == []
    size = proxy(page).stat().st_size
    assert page.stat().st_size < 1.34 * size + 60_000  # base64, and the page itself


@pytest.mark.parametrize(
    ("size", "pix_fmt", "rotation", "shown"),
    [
        ((97, 63), "yuv444p", None, (97, 63)),
        ((96, 64), "yuv420p10le", 90, (64, 96)),
        ((96, 64), "yuv422p", 180, (96, 64)),
    ],
)
def test_odd_sizes_depths_and_turned_pictures_are_shown_as_they_are_seen(
    size: tuple[int, int],
    pix_fmt: str,
    rotation: int | None,
    shown: tuple[int, int],
    tmp_path: Path,
) -> None:
    how = {"size": size, "pix_fmt": pix_fmt, "rotation": rotation, "colour": BT709, "frames": 2}
    clip = write_clip(tmp_path / "clip.mp4", **how, sounds=())
    page = tmp_path / "page.html"
    compared(clip, clip, "-o", page, "--faces", "none")
    told = facts(page)
    assert (told["width"], told["height"]) == shown and not told["sound"]
    upper, lower = halves(page)[0]
    wanted = np.rot90((picture(0, *size) >> 8).astype(np.float64), (rotation or 0) // 90)
    for half in (upper, lower):
        assert np.corrcoef(half.ravel(), wanted.ravel())[0, 1] > 0.95


def test_a_clip_that_another_tool_stored_upright_is_turned_as_little_as_it_is(
    tmp_path: Path,
) -> None:
    how = {"colour": BT709, "frames": 2, "sounds": (), "codec": "libx264"}
    sideways = write_clip(tmp_path / "sideways.mp4", size=(96, 64), rotation=90, **how)
    upright = tmp_path / "upright.mp4"
    ffmpeg("-i", sideways, "-qp", "4", upright)  # the binary turns it by itself
    page = tmp_path / "page.html"
    compared(sideways, upright, "-o", page, "--faces", "none")
    upper, lower = halves(page)[0]
    assert upper.shape == (96, 64, 3)
    assert np.corrcoef(upper.ravel(), lower.ravel())[0, 1] > 0.98


def test_a_preview_is_compared_with_the_part_that_it_shows(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    late = numbered(
        tmp_path / "late.mp4",
        [one + 10 for one in LEVELS[4:9]],
        pts=[0, 1, 3, 4, 5],
        time_base=Fraction(1, 50),
    )
    page = tmp_path / "page.html"
    done = vidref(
        "compare", pair[0], late, "-o", page, "--faces", "none", "--shift", "0.16", "--json"
    )
    assert done.exit_code == 0, done.stderr
    (said,) = json.loads(done.stdout)["warnings"]
    # the last frame stays for a usual frame's time, in which the original goes on by one more
    assert "late.mp4 is shorter: 6 of 8 frames" in said
    for (upper, lower), wanted in zip(halves(page)[:5], LEVELS[4:9], strict=True):
        assert abs(level(upper) - wanted) < 3 and abs(level(lower) - wanted - 10) < 3


@pytest.mark.parametrize("layout", ["side", "split"])
def test_a_comparing_clip_holds_both_pictures_untouched_with_sound_and_timing(
    layout: str, tmp_path: Path
) -> None:
    """Without loss, in ten bits: what is left of the cut is one clip, what is right the other."""
    how = {"size": (96, 64), "pix_fmt": "yuv420p10le", "colour": BT709, "codec": "ffv1"}
    before = write_clip(tmp_path / "before.mkv", **how, frames=3)
    after = write_clip(tmp_path / "after.mkv", **how, frames=3, frames_per_scene=1)
    output = tmp_path / "both.mkv"
    compared(before, after, "-o", output, "--video", layout)
    with av.open(str(output)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    one, other, both = (luma(path) for path in (before, after, output))
    assert [frame.pts for frame, _ in both] == [frame.pts for frame, _ in one]
    for (_, left), (_, right), (_, found) in zip(one, other, both, strict=True):
        if layout == "side":
            assert np.array_equal(found, np.concatenate([left, right], 1))
        else:
            assert np.array_equal(found[:, :46], left[:, :46])
            assert np.array_equal(found[:, 50:], right[:, 50:])
    assert not np.array_equal(one[2][1], other[2][1])


def luma(path: Path) -> list[tuple[av.VideoFrame, np.ndarray]]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    found = []
    for frame in frames:
        plane = frame.planes[0]
        rows = np.frombuffer(plane, "<u2").reshape(plane.height, -1)
        found.append((frame, rows[:, : plane.width].copy()))
    return found


def test_photos_and_folders_of_them_make_a_page_too(tmp_path: Path) -> None:
    for folder, first in (("old", 0), ("new", 20)):
        (tmp_path / folder).mkdir()
        for number in range(3):
            photo = tmp_path / folder / f"{number}.png"
            write_photo(photo, size=(50 + 2 * number, 41), index=first + number)
    page = tmp_path / "page.html"
    compared(tmp_path / "old", tmp_path / "new", "-o", page, "--faces", "none")
    told = facts(page)
    assert told["kind"] == "pictures" and told["names"] == ["0.png", "1.png", "2.png"]
    assert [shape["width"] for shape in told["shapes"]] == [50, 52, 54]
    assert addresses(page) == []
    one = Image.open(tmp_path / "old" / "0.png")
    single = tmp_path / "single.html"
    compared(
        tmp_path / "old" / "0.png", tmp_path / "new" / "0.png", "-o", single, "--faces", "none"
    )
    assert facts(single)["height"] == one.height


REFUSED = {
    "one of them is not there": (["before", "missing.mp4", "-o", "page.html"], "does not exist"),
    "a clip and a photo": (["before", "photo.png", "-o", "page.html"], "two of a kind"),
    "a page called a clip": (["before", "after", "-o", "page.mp4"], "end it in .html"),
    "a clip called a page": (["before", "after", "-o", "p.html", "--video", "side"], "--video"),
    "onto one of the clips": (
        ["before", "after", "-o", "after", "--video", "side"],
        "another name",
    ),
    "to standard output": (["before", "after", "-o", "-"], "name a file"),
    "from a time after its end": (["before", "after", "-o", "p.html", "--start", "9"], "--start"),
    "a shift that is no time": (["before", "after", "-o", "p.html", "--shift", "x"], "--shift"),
    "photos with times": (["photo.png", "photo.png", "-o", "p.html", "--end", "1"], "no time"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_compared_is_refused_in_a_sentence(
    case: str, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    write_photo(tmp_path / "photo.png")
    arguments, words = REFUSED[case]
    clips = {"before": pair[0], "after": pair[1]}
    places = [
        clips.get(word, tmp_path / word if "." in word and word != "-" else word)
        for word in arguments
    ]
    done = vidref("compare", *places, "--faces", "none")
    assert done.exit_code == 2 and is_one_sentence(done.stderr), done.stderr
    assert words in done.stderr and leftovers(tmp_path, "photo.png") == []


def test_a_page_that_exists_is_kept_unless_told(pair: tuple[Path, Path], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert vidref("compare", *pair, "-o", page, "--faces", "none").exit_code == 2
    assert page.read_text() == "mine"
    compared(*pair, "-o", page, "--faces", "none", "--overwrite")
    assert len(facts(page)["times"]) == len(LEVELS)


def test_names_in_a_page_cannot_become_part_of_it(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "<b>&amp;.mp4", frames=2, sounds=())
    page = tmp_path / "page.html"
    compared(clip, clip, "-o", page, "--faces", "none")
    text = page.read_text()
    assert "<b>" not in text and "&lt;b&gt;&amp;amp;.mp4" in text


def test_sound_begins_with_the_picture(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=25, sounds=(Sound(), Sound()))
    page = tmp_path / "page.html"
    compared(clip, clip, "-o", page, "--faces", "none", "--start", "0.4")
    with av.open(str(proxy(page))) as container:
        (sound,) = container.streams.audio
        assert abs(float((sound.duration or 0) * sound.time_base) - 0.6) < 0.15
        assert abs(float((sound.start_time or 0) * sound.time_base)) < 0.05
