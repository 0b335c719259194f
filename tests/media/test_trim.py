"""`--start`, `--end` and `--preview` take a part of the clip, and all that belongs to it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tests import judge
from tests.clips import Gathered, Sound, ffmpeg, remux, write_clip
from tests.tool import PASS, is_one_sentence, process, vidref

pytestmark = pytest.mark.usefixtures("judges")

MS = judge.MILLISECOND
QUICK = {"deadline": "realtime", "cpu-used": "8"}
FINE = {"qmin": "1", "qmax": "1"}  # frames so large that each has a timestamp in MPEG-PS


def _restore(source: Path, output: Path, *arguments: str) -> judge.Probe:
    done = vidref(*PASS, source, "-o", output, "--lossless", *arguments)
    assert done.exit_code == 0, done.stderr
    return judge.probe(output)


def _frames(path: Path, wanted: slice) -> bytes:
    size = 96 * 64 * 3 // 2
    data = judge.pixels(path)
    return b"".join([data[i : i + size] for i in range(0, len(data), size)][wanted])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 frames at 25 fps, GOPs of 12 with B-frames, PCM sound in short packets."""
    folder = tmp_path_factory.mktemp("trim")
    return write_clip(folder / "in.mkv", frames=24, gop=12, b_frames=2, sounds=[Sound("mp2")])


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--start", "0.2"), slice(5, None)),
        (("--end", "0.2"), slice(0, 5)),
        (("--start", "0.2", "--end", "0.6"), slice(5, 15)),
        (("--start", "0.21", "--end", "0.59"), slice(6, 15)),
        (("--start", "0:00:00.2", "--end", "00:00.6"), slice(5, 15)),
        (("--preview", "0.2"), slice(0, 5)),
        (("--start", "0.4", "--preview", "0.2"), slice(10, 15)),
        (("--start", "0", "--end", "100"), slice(0, None)),
        (("--start", "0.52", "--end", "0.56"), slice(13, 14)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_frames_are_those_between_start_and_end(
    source: Path, arguments: tuple[str, ...], wanted: slice, tmp_path: Path
) -> None:
    report = _restore(source, tmp_path / "out.mkv", *arguments)
    assert judge.pixels(tmp_path / "out.mkv") == _frames(source, wanted)
    whole = judge.probe(source).times[wanted]
    moved = [a - b for a, b in zip(whole, report.times, strict=True)]  # type: ignore[operator]
    assert max(moved) - min(moved) <= MS, "the distance between frames changed"
    first = report.times[0]
    assert first is not None and 0 <= first < Fraction(1, 25)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_the_sound_stays_in_step(suffix: str, tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / f"in{suffix}", frames=50, gop=12, b_frames=2, sounds=[Sound("mp2")]
    )
    start, end = Fraction(2, 5), Fraction(6, 5)
    output = tmp_path / f"out{suffix}"
    origin = judge.probe(source).times[0]
    done = vidref(*PASS, source, "-o", output, "--start", "0.4", "--end", "1.2")
    assert done.exit_code == 0, done.stderr
    before, after = judge.probe(source), judge.probe(output)
    assert len(after.times) == 20 and after.times[0] is not None and origin is not None
    # `--start` counts from the first frame, as a player's clock does.
    first_kept = next(t for t in before.times if t is not None and t >= origin + start)
    shift = first_kept - after.times[0]
    when = {p.hash: p.time for p in before.packets[1]}
    kept = [(when[p.hash], p.time) for p in after.packets[1]]
    assert kept, "no sound at all"
    for was, now in kept:
        assert was is not None and now is not None
        assert abs((was - now) - shift) <= MS, "the sound moved against the picture"
    packet = Fraction(1152, 48000)
    assert abs(kept[0][0] - (origin + start)) <= packet + MS  # type: ignore[operator]
    assert abs(kept[-1][0] + packet - (origin + end)) <= packet + MS  # type: ignore[operator]


LONG: list[tuple[str, dict[str, object]]] = [
    (".mp4", {"b_frames": 2}),
    (".mkv", {"b_frames": 2}),
    (".ts", {"b_frames": 2, "sounds": [Sound("mp2")]}),
    (".mpg", {"codec": "mpeg2video", "b_frames": 2, "sounds": [Sound("mp2")], "options": FINE}),
    (".avi", {"codec": "mpeg4", "sounds": [Sound("mp2")]}),
    (".webm", {"codec": "libvpx-vp9", "sounds": [Sound("libopus")], "options": QUICK}),
]


@pytest.mark.parametrize(("suffix", "how"), LONG, ids=[s for s, _ in LONG])
def test_a_part_far_into_a_clip_is_the_right_one(
    suffix: str, how: dict[str, object], tmp_path: Path
) -> None:
    """Far enough in that the reader jumps there."""
    source = write_clip(tmp_path / f"in{suffix}", frames=200, gop=40, **how)  # type: ignore[arg-type]
    _restore(source, tmp_path / "out.mkv", "--start", "5.2", "--end", "5.6")
    assert judge.pixels(tmp_path / "out.mkv") == _frames(source, slice(130, 140))


def test_a_part_of_a_pipe_is_the_right_one(source: Path, tmp_path: Path) -> None:
    done = process(
        *PASS, "-", "-o", tmp_path / "out.mkv", "--lossless", "--start", "0.4", "--end", "0.8",
        stdin=source.read_bytes(),
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert judge.pixels(tmp_path / "out.mkv") == _frames(source, slice(10, 20))


def test_time_counts_from_the_first_frame_of_a_broadcast_before_zero(tmp_path: Path) -> None:
    base = write_clip(tmp_path / "base.ts", frames=24, b_frames=2, sounds=[Sound("mp2")])
    source = tmp_path / "in.ts"
    ffmpeg(
        "-i", base, "-c", "copy", "-output_ts_offset", "95442.2", "-muxdelay", "0",
        "-mpegts_copyts", "1", source,
    )  # fmt: skip
    _restore(source, tmp_path / "out.mkv", "--start", "0.4", "--end", "0.8")
    assert judge.pixels(tmp_path / "out.mkv") == _frames(source, slice(10, 20))


def test_subtitles_and_chapters_are_clipped(tmp_path: Path) -> None:
    extras = Gathered(tmp_path)
    base = write_clip(tmp_path / "base.mkv", sounds=[Sound("pcm_s16le")])
    source = remux(
        base, tmp_path / "in.mkv", "-i", extras.srt, "-i", extras.chapters, "-map", "0",
        "-map", "1", "-map_chapters", "2",
    )  # fmt: skip
    report = _restore(source, tmp_path / "out.mkv", "--start", "0.12", "--end", "0.36")
    lines = [(p.time, p.duration) for p in report.packets[2]]
    wanted = [(Fraction(0), Fraction(80, 1000)), (Fraction(120, 1000), Fraction(120, 1000))]
    for (time, lasts), (right_time, right_lasts) in zip(lines, wanted, strict=True):
        assert time is not None and abs(time - right_time) <= MS
        assert lasts is not None and abs(lasts - right_lasts) <= MS
    chapters = [
        (c["start"] * Fraction(c["time_base"]), c["end"] * Fraction(c["time_base"]))
        for c in report.chapters
    ]
    right = [(Fraction(0), Fraction(80, 1000)), (Fraction(80, 1000), Fraction(240, 1000))]
    assert [c["tags"]["title"] for c in report.chapters] == ["Opening", "Second half, with ümlaut"]
    for found, expected in zip(chapters, right, strict=True):
        assert all(abs(a - b) <= MS for a, b in zip(found, expected, strict=True))


def test_what_lies_outside_is_gone(tmp_path: Path) -> None:
    extras = Gathered(tmp_path)
    base = write_clip(tmp_path / "base.mkv", sounds=[])
    source = remux(
        base, tmp_path / "in.mkv", "-i", extras.srt, "-i", extras.chapters, "-map", "0",
        "-map", "1", "-map_chapters", "2",
    )  # fmt: skip
    report = _restore(source, tmp_path / "out.mkv", "--start", "0.24")
    assert len(report.packets[1]) == 1
    assert [c["tags"]["title"] for c in report.chapters] == ["Second half, with ümlaut"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--start", "5"),
        ("--start", "0.4", "--end", "0.2"),
        ("--start", "0.2", "--end", "0.2"),
        ("--start", "soon"),
        ("--end", "-1"),
        ("--preview", "0"),
    ],
    ids=" ".join,
)
def test_a_part_that_is_nowhere_is_refused(
    source: Path, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    done = vidref(*PASS, source, "-o", tmp_path / "out.mkv", *arguments)
    assert done.exit_code == 2
    assert is_one_sentence(done.stderr) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("start", ["0.1", "0.109", "0.119"])
@pytest.mark.parametrize(
    ("suffix", "how"),
    [
        (".avi", {"codec": "mpeg4"}),
        (".mxf", {"codec": "mpeg2video", "pix_fmt": "yuv422p"}),
        (".dv", {"codec": "dvvideo", "size": (720, 576)}),
    ],
)
def test_a_part_may_begin_between_two_frames_where_only_frames_are_counted(
    suffix: str, how: dict[str, object], start: str, tmp_path: Path
) -> None:
    source = tmp_path / f"in{suffix}"
    write_clip(source, sounds=[Sound("pcm_s16le")], **how)  # type: ignore[arg-type]
    output = tmp_path / f"out{suffix}"
    done = vidref(*PASS, source, "-o", output, "--start", start)
    assert done.exit_code == 0, done.stderr
    times = judge.probe(output).times
    assert times[0] == 0 and len(times) == 12 - 3
