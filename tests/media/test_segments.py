"""A clip made in segments is the clip made in one go.

Segments are read alone and compared with an unbroken reading; encoded alone and joined, the file
is compared with the one that `Writer` makes in one pass, by Debian's ffprobe and ffmpeg.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests import judge
from tests.clips import (
    FULL_RANGE,
    Colour,
    Gathered,
    Sound,
    ffmpeg,
    remux,
    with_captions,
    write_clip,
)
from vidref.errors import InputError, OutputError
from vidref.media.containers import muxer_for
from vidref.media.encoders import Encoding, Request, choose_encoding
from vidref.media.families import FAMILIES
from vidref.media.frames import Frame, Span
from vidref.media.join import join_segments
from vidref.media.picture_encoder import can_be_cut
from vidref.media.reader import Reader
from vidref.media.segment_encoder import SegmentEncoder
from vidref.media.segment_file import checked_digest, read_summary
from vidref.media.segments import WHOLE, Cut, cut_clip
from vidref.media.writer import Writer

pytestmark = pytest.mark.usefixtures("judges")

MP2, OPUS, PCM = Sound("mp2"), Sound("libopus"), Sound("pcm_s16le")
NO_CUTS = {"x264-params": "scenecut=0"}
X264_OPEN = {"x264-params": "open-gop=1:scenecut=0:b-adapt=0"}
X265_OPEN = {
    "x265-params": "log-level=error:open-gop=1:keyint=12:min-keyint=12:pools=1:frame-threads=1"
}
SVT = {"preset": "10", "svtav1-params": "lp=1"}
HALF_S = Fraction(1, 2)
LOSSLESS = Request(lossless=True, threads=2)
USUAL = Request(threads=2)


# ---------------------------------------------------------------- the two ways


def _planes(image: av.VideoFrame) -> bytes:
    found = []
    for plane, component in zip(image.planes, image.format.components, strict=True):
        rows = np.frombuffer(plane, np.uint8)[: plane.height * plane.line_size]
        rows = rows.reshape(plane.height, plane.line_size)
        found.append(rows[:, : plane.width * -(-component.bits // 8)].tobytes())
    return b"".join(found)


def _told(reader: Reader) -> list[tuple[int, int, int, str]]:
    """(index, pts, duration, hash of the planes) of every frame."""
    return [
        (item.index, item.pts, item.duration, hashlib.md5(_planes(item.image)).hexdigest())
        for item in reader
        if isinstance(item, Frame)
    ]


def _cut(source: Path, usual_s: Fraction = HALF_S, **how: object) -> Cut:
    with Reader(source, **how) as reader:  # type: ignore[arg-type]
        return cut_clip(reader, usual_s)


def _choose(reader: Reader, output: Path, request: Request) -> tuple[str, Encoding]:
    muxer = muxer_for(output)
    return muxer, choose_encoding(reader.clip.picture, muxer, request)


def _in_one_go(
    source: Path, output: Path, request: Request, statement: str | None = None, **how: object
) -> list[str]:
    with Reader(source, threads=2, **how) as reader:  # type: ignore[arg-type]
        muxer, encoding = _choose(reader, output, request)
        with Writer(output, muxer, reader, encoding, threads=2, statement=statement) as writer:
            for item in reader:
                if isinstance(item, Frame):
                    writer.write(item)
                else:
                    writer.copy(item)
            writer.finish()
        return writer.notes()


def _segments(
    source: Path,
    folder: Path,
    output: Path,
    request: Request,
    usual_s: Fraction = HALF_S,
    damaged: bool = False,
    **how: object,
) -> list[Path]:
    """Every segment by a reader and an encoder of its own, the last one first."""
    folder.mkdir()
    with Reader(source, **how) as reader:  # type: ignore[arg-type]
        muxer, encoding = _choose(reader, output, request)
        cut, clip = cut_clip(reader, usual_s, damaged), reader.clip
    for segment in reversed(cut.segments):
        path = folder / f"{segment.number:04}"
        part = cut.part(range(segment.number, segment.number + 1))
        with (
            Reader(source, part=part, clip=clip, **how) as reader,  # type: ignore[arg-type]
            SegmentEncoder(path, clip, muxer, encoding, 2, segment.first_index) as encoder,
        ):
            for item in reader:
                if isinstance(item, Frame):
                    encoder.write(item)
            assert encoder.finish() == checked_digest(path)
    return sorted(folder.iterdir())


def _in_segments(
    source: Path,
    output: Path,
    request: Request,
    usual_s: Fraction = HALF_S,
    statement: str | None = None,
    damaged: bool = False,
    **how: object,
) -> list[str]:
    folder = output.with_name(f"{output.name}.job")
    made = _segments(source, folder, output, request, usual_s, damaged, **how)
    with Reader(source, **how) as reader:  # type: ignore[arg-type]
        muxer, encoding = _choose(reader, output, request)
        return join_segments(made, output, muxer, reader, encoding, threads=2, statement=statement)


# ---------------------------------------------------------------- reading

Maker = Callable[[Path], object]


@dataclass(frozen=True)
class Source:
    """A kind of clip; `enters` is whether its segments can be read without what comes before.

    `damaged` is what an analysis would have found.
    """

    name: str
    make: Maker
    enters: bool = True
    damaged: bool = False

    def __str__(self) -> str:
        return self.name


def clip(**how: object) -> Maker:
    made = {"frames": 60, "gop": 6, "size": (64, 48), **how}
    return lambda path: write_clip(path, **made)  # type: ignore[arg-type]


def _variable(path: Path) -> None:
    dice, pts = random.Random(1), [0]
    for _ in range(59):
        pts.append(pts[-1] + dice.choice((20, 40, 41, 80, 333)))
    clip(pts=pts, time_base=Fraction(1, 1000), b_frames=2, gop=8)(path)


def _trimmed(path: Path) -> None:
    """Cut in the middle of a GOP without re-encoding: the edit list hides the frames before."""
    base = path.with_name(f"base-{path.name}")
    clip(b_frames=2, gop=12)(base)
    ffmpeg("-ss", "0.6", "-i", base, "-c", "copy", path)


def _begun_late(path: Path) -> None:
    """A recording that begins between two key frames: the first pictures cannot be decoded."""
    base = path.with_name(f"base-{path.name}")
    clip(frames=75, b_frames=2, gop=12, sounds=[MP2])(base)
    path.write_bytes(base.read_bytes()[188 * 40 :])


def _joined(path: Path) -> None:
    """Two recordings one after the other: the clock is set anew in the middle."""
    parts = []
    for number in range(2):
        part = path.with_name(f"{number}-{path.name}")
        clip(frames=40, b_frames=2, sounds=[MP2])(part)
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))


def _damaged(path: Path) -> None:
    clip(b_frames=2, sounds=[MP2])(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 500] = bytes(500)
    path.write_bytes(bytes(data))


def _before_zero(path: Path) -> None:
    base = path.with_name(f"base-{path.name}")
    clip(b_frames=2, sounds=[MP2])(base)
    ffmpeg(
        "-i", base, "-c", "copy", "-output_ts_offset", "95442.2", "-muxdelay", "0",
        "-mpegts_copyts", "1", path,
    )  # fmt: skip


SOURCES = [
    Source("open-gop.mp4", clip(b_frames=2, gop=12, options=X264_OPEN)),
    Source("open-gop.mkv", clip(b_frames=2, gop=12, options=X264_OPEN)),
    Source("open-gop.ts", clip(b_frames=2, gop=12, options=X264_OPEN, sounds=[MP2])),
    Source("refreshed-by-columns.mp4", clip(gop=12, options={"x264-params": "intra-refresh=1"})),
    Source("one-key.mp4", clip(gop=600, b_frames=2, options=NO_CUTS)),
    Source("fields.ts", clip(b_frames=2, options={"x264-params": "tff=1"}, sounds=[])),
    Source("h264.flv", clip()),
    Source("h264.nut", clip(b_frames=2)),
    Source("hevc.mkv", clip(codec="libx265", gop=12, options=X265_OPEN)),
    Source("hevc.ts", clip(codec="libx265", gop=12, options=X265_OPEN, sounds=[])),
    Source("vp9.webm", clip(codec="libvpx-vp9", sounds=[OPUS])),
    Source(
        "vp8-hidden.webm",
        clip(
            codec="libvpx",
            gop=12,
            sounds=[OPUS],
            options={"auto-alt-ref": "1", "lag-in-frames": "8"},
        ),
    ),
    Source("av1.mkv", clip(codec="libsvtav1", gop=12, options=SVT)),
    Source("ffv1.mkv", clip(codec="ffv1")),
    Source("prores.mov", clip(codec="prores_ks", pix_fmt="yuv422p10le")),
    Source("mpeg2.ts", clip(codec="mpeg2video", b_frames=2, sounds=[MP2])),
    Source("mpeg2.mpg", clip(codec="mpeg2video", b_frames=2, sounds=[MP2]), enters=False),
    Source("mpeg4.avi", clip(codec="mpeg4", sounds=[MP2])),
    Source("mpeg4-b.avi", clip(codec="mpeg4", b_frames=2, sounds=[MP2]), enters=False),
    Source("mjpeg.avi", clip(codec="mjpeg", pix_fmt="yuvj420p", sounds=[MP2])),
    Source("variable.mp4", _variable),
    Source("trimmed.mp4", _trimmed),
    Source("begun-late.ts", _begun_late),
    Source("joined.ts", _joined, enters=False),
    Source("damaged.ts", _damaged, enters=False, damaged=True),
    Source("before-zero.ts", _before_zero),
]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_segments_read_alone_are_the_frames_of_an_unbroken_reading(
    source: Source, tmp_path: Path
) -> None:
    path = tmp_path / source.name
    source.make(path)
    with Reader(path) as reader:
        cut, whole = cut_clip(reader, HALF_S, source.damaged), _told(reader)
        description = reader.clip
    assert cut.enters == source.enters
    assert len(cut.segments) > 1
    if cut.enters and source.name not in ("one-key.mp4", "trimmed.mp4"):
        assert any(s.entry_pts is not None for s in cut.segments), "every one reads from the start"
    alone = []
    for segment in random.Random(2).sample(cut.segments, len(cut.segments)):
        part = cut.part(range(segment.number, segment.number + 1))
        with Reader(path, part=part, clip=description) as reader:
            told = _told(reader)
        assert {cut.number_at(pts) for _, pts, *_ in told} <= {segment.number}
        alone.append((segment.number, told))
    assert [frame for _, told in sorted(alone) for frame in told] == whole
    assert Cut.from_json(cut.as_json()) == cut


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_a_part_of_a_clip_is_cut_like_a_clip(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"in.{suffix}"
    clip(frames=120, b_frames=2, gop=12, options=X264_OPEN, sounds=[MP2])(path)
    span = Span(Fraction(7, 5), Fraction(4))
    with Reader(path, span) as reader:
        cut, whole, description = cut_clip(reader, HALF_S), _told(reader), reader.clip
    assert len(cut.segments) > 2 and whole
    for run in (range(1, 3), range(len(cut.segments) - 1, len(cut.segments))):
        with Reader(path, span, part=cut.part(run), clip=description) as reader:
            assert _told(reader) == [f for f in whole if cut.number_at(f[1]) in run]


def test_a_deinterlaced_segment_knows_the_frames_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    clip(b_frames=2, gop=12)(path)
    with Reader(path, deinterlace=True) as reader:
        cut, whole, description = cut_clip(reader, HALF_S), _told(reader), reader.clip
    for segment in cut.segments:
        part = cut.part(range(segment.number, segment.number + 1))
        with Reader(path, deinterlace=True, part=part, clip=description) as reader:
            assert _told(reader) == [f for f in whole if cut.number_at(f[1]) == segment.number]


@pytest.mark.parametrize("gop", [1, 2, 12])
@pytest.mark.parametrize("deinterlace", [False, True])
def test_a_segment_can_be_read_with_some_frames_around_it(
    gop: int, deinterlace: bool, tmp_path: Path
) -> None:
    path = tmp_path / "in.mp4"
    clip(b_frames=2 if gop > 2 else 0, gop=gop)(path)
    with Reader(path, deinterlace=deinterlace) as reader:
        cut, whole, description = cut_clip(reader, HALF_S), _told(reader), reader.clip
    times = [frame[1] for frame in whole]
    for segment in cut.segments:
        part = cut.part(range(segment.number, segment.number + 1), around=2)
        with Reader(path, deinterlace=deinterlace, part=part, clip=description) as reader:
            told = _told(reader)
        own = [n for n, pts in enumerate(times) if cut.number_at(pts) == segment.number]
        assert told == whole[max(0, own[0] - 2) : own[-1] + 3]


def test_segments_begin_at_key_frames_and_are_about_as_long_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    clip(frames=150, gop=10, options=NO_CUTS, sounds=[])(path)
    cut = _cut(path, Fraction(1))
    starts = [s.start_pts for s in cut.segments[1:]]
    with av.open(str(path)) as container:
        keys = {p.pts for p in container.demux(video=0) if p.size and p.is_keyframe}
    assert set(starts) <= keys
    assert starts == [1200, 2400, 3600, 4800]


def test_a_clip_with_one_key_frame_is_still_cut(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    clip(frames=100, gop=600, options=NO_CUTS)(path)
    cut = _cut(path, Fraction(1))
    assert [s.first_index for s in cut.segments] == [0, 25, 50, 75]


def test_a_damaged_clip_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    clip()(path)
    with Reader(path) as reader:
        cut = cut_clip(reader, HALF_S, damaged=True)
    assert len(cut.segments) > 2 and not cut.enters
    assert all(s.entry_pts is None for s in cut.segments)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_short_clip_is_one_segment(frames: int, tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    clip(frames=frames)(path)
    assert len(_cut(path, Fraction(1)).segments) == 1
    _in_one_go(path, tmp_path / "one.mp4", USUAL)
    _in_segments(path, tmp_path / "many.mp4", USUAL)
    reports = [judge.probe(tmp_path / name) for name in ("one.mp4", "many.mp4")]
    assert judge.differences(*reports) == []
    assert len(reports[1].times) == frames


def test_runs_of_missing_segments_are_read_in_one_go(tmp_path: Path) -> None:
    path = tmp_path / "in.mkv"
    clip(frames=90)(path)
    cut = _cut(path)
    assert len(cut.segments) >= 6
    runs = list(cut.runs([5, 0, 1, 3]))
    assert [run for run, _ in runs] == [range(2), range(3, 4), range(5, 6)]
    assert runs[0][1].end_pts == cut.segments[2].start_pts
    assert list(cut.runs([])) == []
    assert WHOLE.number_at(-5) == WHOLE.number_at(1 << 40) == 0


# ---------------------------------------------------------------- joining


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_a_lossless_file_made_in_segments_is_the_one_made_in_one_go(
    source: Source, tmp_path: Path
) -> None:
    path = tmp_path / source.name
    source.make(path)
    one, many = tmp_path / "one.mkv", tmp_path / "many.mkv"
    _in_one_go(path, one, LOSSLESS)
    _in_segments(path, many, LOSSLESS, damaged=source.damaged)
    assert judge.differences(judge.probe(one), judge.probe(many)) == []
    assert judge.pixels(one) == judge.pixels(many)
    assert _decoding_times(many) == _decoding_times(one)


def _decoding_times(path: Path) -> list[int | None]:
    with av.open(str(path)) as container:
        return [p.dts for p in container.demux(video=0) if p.size]


SAME_CODEC = [s for s in SOURCES if s.name not in ("refreshed-by-columns.mp4", "vp8-hidden.webm")]


@pytest.mark.parametrize("source", SAME_CODEC, ids=str)
def test_a_file_of_the_same_codec_made_in_segments_keeps_everything(
    source: Source, tmp_path: Path
) -> None:
    path = tmp_path / source.name
    source.make(path)
    one, many = (tmp_path / f"{name}{path.suffix}" for name in ("one", "many"))
    _in_one_go(path, one, USUAL)
    notes = _in_segments(path, many, USUAL, damaged=source.damaged)
    report = judge.probe(many)
    assert judge.differences(judge.probe(one), report) == []
    assert _decoding_times(many) == _decoding_times(one)
    kind = report.picture["pix_fmt"]
    assert judge.psnr_db(judge.pixels(one), judge.pixels(many), kind) > 38
    if not notes:
        made = (tmp_path / f"{many.name}.job").iterdir()
        assert sum(read_summary(p).frames for p in made) == len(report.times)


KIND_OF = {
    "mjpeg": "yuvj420p", "prores": "yuv422p10le", "cfhd": "yuv422p10le", "dnxhd": "yuv422p",
    "v210": "yuv422p10le", "png": "rgb24", "qtrle": "argb", "huffyuv": "yuv422p",
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_every_encoder_can_be_cut(family: str, tmp_path: Path) -> None:
    """The segments decode to the frames of the source, none worse than in one go."""
    size = {"dvvideo": (720, 576), "dnxhd": (352, 288)}.get(family, (176, 144))
    kind = KIND_OF.get(family, "yuv420p")
    request = Request(codec=family, threads=1)
    source = tmp_path / ("in.mov" if kind in ("rgb24", "argb") else "in.mkv")
    made = kind if kind != "yuvj420p" else "yuv420p"
    colour = FULL_RANGE if kind == "yuvj420p" else Colour()
    codec = "png" if kind in ("rgb24", "argb") else "ffv1"
    pix_fmt = {"rgb24": "rgb24", "argb": "rgba"}.get(kind, made)
    write_clip(
        source, codec=codec, pix_fmt=pix_fmt, frames=16, size=size, gop=4, sounds=[], colour=colour
    )
    suffix = ".mov" if family in ("prores", "dnxhd", "qtrle") else ".nut"
    one, many = tmp_path / f"one{suffix}", tmp_path / f"many{suffix}"
    with Reader(source) as reader:
        muxer, encoding = _choose(reader, many, request)
        assert can_be_cut(reader.clip, muxer, encoding, 1)
    _in_one_go(source, one, request)
    _in_segments(source, many, request, Fraction(1, 5))
    assert len(list((tmp_path / f"{many.name}.job").iterdir())) > 1
    wanted, whole, found = (judge.pixels(p, pix_fmt) for p in (source, one, many))
    assert len(found) == len(whole) == len(wanted), "frames are missing at the joins"
    in_a_frame = len(wanted) // 16
    for at in range(0, len(wanted), in_a_frame):
        frame = slice(at, at + in_a_frame)
        worst = judge.psnr_db(wanted[frame], whole[frame], pix_fmt)
        here = judge.psnr_db(wanted[frame], found[frame], pix_fmt)
        assert here > min(worst - 3, 45), f"frame {at // in_a_frame}: {here} dB, was {worst}"


def test_everything_beside_the_picture_is_copied(tmp_path: Path) -> None:
    extras = Gathered(tmp_path)
    base = write_clip(
        tmp_path / "base.mkv", frames=60, gop=6, rotation=None, metadata={"title": "Ü"},
        sounds=[Sound(language="deu"), Sound("flac", title="Comment")],
    )  # fmt: skip
    source = remux(
        base, tmp_path / "in.mkv", "-i", extras.srt, "-i", extras.ass, "-i", extras.chapters,
        "-map", "0", "-map", "1", "-map", "2", "-map_chapters", "3", "-attach", extras.font,
        "-metadata:s:t:0", "mimetype=font/ttf", "-disposition:s:0", "forced",
    )  # fmt: skip
    _in_segments(source, tmp_path / "out.mkv", USUAL)
    before, after = judge.probe(source), judge.probe(tmp_path / "out.mkv")
    assert judge.differences(before, after) == []


def test_a_trimmed_part_made_in_segments_is_the_one_made_in_one_go(tmp_path: Path) -> None:
    source = tmp_path / "in.ts"
    clip(frames=120, b_frames=2, gop=12, sounds=[MP2])(source)
    one, many = tmp_path / "one.mp4", tmp_path / "many.mp4"
    span = Span(Fraction(7, 5), Fraction(4))
    _in_one_go(source, one, USUAL, span=span)
    _in_segments(source, many, USUAL, span=span)
    assert judge.differences(judge.probe(one), judge.probe(many)) == []


def test_a_deinterlaced_file_made_in_segments_is_the_one_made_in_one_go(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    clip(b_frames=2, gop=12)(source)
    one, many = tmp_path / "one.mkv", tmp_path / "many.mkv"
    _in_one_go(source, one, LOSSLESS, deinterlace=True)
    _in_segments(source, many, LOSSLESS, deinterlace=True)
    assert judge.differences(judge.probe(one), judge.probe(many)) == []
    assert judge.pixels(one) == judge.pixels(many) != judge.pixels(source)


def test_a_segment_without_a_frame_joins_like_any_other(tmp_path: Path) -> None:
    """A header that promises more than the file holds leaves empty segments."""
    source, output = tmp_path / "in.mp4", tmp_path / "out.mp4"
    clip(b_frames=2, gop=12)(source)
    made = _segments(source, tmp_path / "made", output, USUAL)
    with Reader(source) as reader:
        muxer, encoding = _choose(reader, output, USUAL)
        for name in ("0000-", "9999"):
            with SegmentEncoder(tmp_path / "made" / name, reader.clip, muxer, encoding, 2) as empty:
                empty.finish()
        everything = sorted((tmp_path / "made").iterdir())
        assert len(everything) == len(made) + 2
        join_segments(everything, output, muxer, reader, encoding, threads=2)
    assert judge.differences(judge.probe(source), judge.probe(output)) == []


def test_a_segment_is_the_same_whoever_makes_it(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    clip(b_frames=2, gop=12)(source)
    made = [
        _segments(source, tmp_path / name, tmp_path / "out.mp4", USUAL, HALF_S) for name in "ab"
    ]
    assert [a.read_bytes() for a in made[0]] == [b.read_bytes() for b in made[1]]


def test_the_time_of_day_in_an_mpeg2_stream_runs_on_over_the_joins(tmp_path: Path) -> None:
    source = tmp_path / "in.ts"
    clip(frames=100, codec="mpeg2video", gop=10, sounds=[])(source)
    _in_segments(source, tmp_path / "out.ts", USUAL, Fraction(1))
    with av.open(str(tmp_path / "out.ts")) as container:
        said = [
            (index, int.from_bytes(bytes(piece)[:8], "little"))
            for index, frame in enumerate(container.decode(video=0))
            for piece in frame.side_data
            if piece.type.name == "GOP_TIMECODE"
        ]
    assert len(said) > 4

    def frames(code: int) -> int:
        hours, minutes, seconds = code >> 19 & 31, code >> 13 & 63, code >> 6 & 63
        return ((hours * 60 + minutes) * 60 + seconds) * 25 + (code & 63)

    # FFmpeg hands the time of every group but the first to the frame before.
    assert {frames(code) - index for index, code in said} == {0, 1}


def test_captions_stay_on_their_frames(tmp_path: Path) -> None:
    base = tmp_path / "base.mp4"
    clip(b_frames=2, gop=12)(base)
    source = with_captions(base, tmp_path / "in.mp4")
    _in_segments(source, tmp_path / "out.mp4", USUAL)
    assert all(judge.has_captions(judge.probe(tmp_path / "out.mp4")))
    notes = _in_segments(source, tmp_path / "out.mkv", LOSSLESS)
    assert len([note for note in notes if "captions" in note]) == 1


# ---------------------------------------------------------------- what can go wrong


def test_a_changed_byte_anywhere_in_a_stored_segment_is_noticed(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mkv"
    clip(frames=20)(source)
    path = _segments(source, tmp_path / "made", output, USUAL, HALF_S)[0]
    data, dice = path.read_bytes(), random.Random(4)
    for at in [
        0,
        5,
        len(data) - 1,
        len(data) - 34,
        *(dice.randrange(len(data)) for _ in range(20)),
    ]:
        path.write_bytes(data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :])
        assert checked_digest(path) is None
    for size in (0, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        assert checked_digest(path) is None
    assert checked_digest(tmp_path / "gone") is None
    with Reader(source) as reader, pytest.raises(InputError, match="damaged"):
        muxer, encoding = _choose(reader, output, USUAL)
        join_segments([path], output, muxer, reader, encoding)
    assert not output.exists()


def test_segments_of_differently_set_encoders_are_not_joined(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    clip()(source)
    ours = _segments(source, tmp_path / "a", output, USUAL, HALF_S)
    other = Request(preset="ultrafast", threads=2)
    theirs = _segments(source, tmp_path / "b", output, other, HALF_S)
    with Reader(source) as reader, pytest.raises(OutputError, match="restart"):
        muxer, encoding = _choose(reader, output, USUAL)
        join_segments([ours[0], *theirs[1:]], output, muxer, reader, encoding)
    assert not output.exists()


def test_an_abandoned_segment_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    clip(frames=10)(source)
    folder = tmp_path / "made"
    folder.mkdir()
    with Reader(source) as reader, pytest.raises(KeyError):
        muxer, encoding = _choose(reader, tmp_path / "out.mkv", USUAL)
        with SegmentEncoder(folder / "0", reader.clip, muxer, encoding, 1) as encoder:
            for item in reader:
                if isinstance(item, Frame):
                    encoder.write(item)
            raise KeyError
    assert list(folder.iterdir()) == []


# ---------------------------------------------------------------- what a file says of itself

SAYS = {
    ".mkv": "RESTORATION", ".webm": "RESTORATION", ".mp4": "comment", ".mov": "comment",
    ".avi": "comment", ".flv": "RESTORATION", ".nut": "RESTORATION", ".wmv": "RESTORATION",
    ".ts": None, ".mpg": None,
}  # fmt: skip
CODEC_OF = {".webm": "vp9", ".avi": "mpeg4", ".flv": "flv1", ".wmv": "wmv2", ".mpg": "mpeg2video"}


@pytest.mark.parametrize(("suffix", "key"), SAYS.items(), ids=SAYS)
def test_a_file_says_that_it_was_restored_where_it_can(
    suffix: str, key: str | None, tmp_path: Path
) -> None:
    source = write_clip(tmp_path / "in.mkv", frames=30, metadata={"title": "Ü"}, sounds=[])
    output, sentence = tmp_path / f"out{suffix}", "Faces restored by vidref; ünd more."
    request = Request(codec=CODEC_OF.get(suffix, "h264"), threads=1)
    for notes in (
        _in_one_go(source, output, request, sentence),
        _in_segments(source, output, request, statement=sentence),
    ):
        tags = judge.probe(output).format.get("tags", {})
        if key is None:
            assert sentence not in tags.values()
            assert len([note for note in notes if "restored" in note]) == 1
        else:
            assert tags[key] == sentence and not any("restored" in note for note in notes)
        if suffix not in (".ts", ".mpg"):
            assert {k.lower(): v for k, v in tags.items()}["title"] == "Ü"
        assert not any(
            "restored" in v
            for s in [output]
            for v in judge.probe(s).picture.get("tags", {}).values()
        )


@pytest.mark.parametrize(
    ("suffix", "tags", "key"),
    [
        (".mp4", {"comment": "mine"}, "description"),
        (".mp4", {"comment": "mine", "description": "too"}, "synopsis"),
        (".mov", {"comment": "mine"}, None),
        (".mkv", {"RESTORATION": "mine"}, None),
        (".avi", {"comment": "mine"}, "encoded_by"),
    ],
)
def test_what_the_source_says_is_never_replaced(
    suffix: str, tags: dict[str, str], key: str | None, tmp_path: Path
) -> None:
    source = write_clip(tmp_path / "in.mkv", codec="mpeg4", frames=5, metadata=tags, sounds=[])
    output = tmp_path / f"out{suffix}"
    notes = _in_one_go(source, output, Request(codec="mpeg4", threads=1), "Restored.")
    found = {k.lower(): v for k, v in judge.probe(output).format["tags"].items()}
    assert {k.lower(): v for k, v in tags.items()}.items() <= found.items()
    assert [k for k, v in found.items() if v == "Restored."] == ([key] if key else [])
    assert any("tells" in n or "tell" in n for n in notes) == (key is None)
