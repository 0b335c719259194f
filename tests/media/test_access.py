"""A frame fetched by its timestamp is the frame that reading from the beginning gives."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.clips import Sound, ffmpeg, remux, rewrite_edit_list, write_clip
from vidref.errors import InputError
from vidref.media.access import FrameAccess
from vidref.media.frames import Frame
from vidref.media.planes import channels, layout_of
from vidref.media.reader import Reader

pytestmark = pytest.mark.usefixtures("judges")

SOUND = [Sound()]
X265 = {"preset": "ultrafast", "x265-params": "log-level=none"}


def _bytes(frame: Frame) -> bytes:
    layout = layout_of(frame.image.format.name)
    return b"".join(np.ascontiguousarray(c).tobytes() for c in channels(frame.image, layout))


class Read(dict[int, tuple[bytes, int, Fraction]]):
    """What reading from the beginning gives at each time, and whether nothing was damaged."""

    is_clean: bool


def _sequential(path: Path, deinterlace: bool = False) -> Read:
    with Reader(path, threads=1, deinterlace=deinterlace) as reader:
        frames = [item for item in reader if isinstance(item, Frame)]
        read = Read({f.pts: (_bytes(f), f.duration, f.time_base) for f in frames})
        read.is_clean = reader.damage.sentence(path.name) is None
    return read


def _variable_rate(folder: Path) -> Path:
    rng = random.Random(3)
    pts, at = [], 0
    for _ in range(60):
        pts.append(at)
        at += rng.choice([20, 33, 40, 120, 500])
    return write_clip(
        folder / "vfr.mkv", pts=pts, time_base=Fraction(1, 1000), gop=12, sounds=SOUND
    )


def _b_frames(folder: Path) -> Path:
    options = {"x264-params": "b-adapt=0:bframes=3:b-pyramid=normal:open-gop=0"}
    return write_clip(folder / "b.mp4", frames=60, gop=15, b_frames=3, options=options)


def _open_gop_h264(folder: Path) -> Path:
    options = {"x264-params": "b-adapt=0:bframes=3:open-gop=1:keyint=12:scenecut=0"}
    return write_clip(folder / "open.mp4", frames=60, gop=12, b_frames=3, options=options)


def _open_gop_hevc(folder: Path) -> Path:
    params = "log-level=none:open-gop=1:keyint=12:min-keyint=12:bframes=4:b-adapt=0:scenecut=0"
    options = {"preset": "ultrafast", "x265-params": params}
    return write_clip(folder / "open-hevc.mp4", codec="libx265", frames=60, options=options)


def _hevc_10_bit(folder: Path) -> Path:
    return write_clip(
        folder / "ten.mkv", codec="libx265", pix_fmt="yuv420p10le", frames=40, options=X265
    )


def _intra_refresh(folder: Path) -> Path:
    options = {"x264-params": "intra-refresh=1:keyint=10:bframes=0"}
    return write_clip(folder / "refresh.mp4", frames=50, gop=10, b_frames=0, options=options)


def _transport_stream(folder: Path) -> Path:
    return write_clip(
        folder / "late.ts", frames=60, gop=12, b_frames=2, sounds=[Sound("mp2")],
        container_options={"mpegts_copyts": "0"},
    )  # fmt: skip


def _mpeg2_transport_stream(folder: Path) -> Path:
    return write_clip(
        folder / "dvb.ts", codec="mpeg2video", frames=60, gop=12, b_frames=2, sounds=[Sound("mp2")]
    )


def _clock_set_anew(folder: Path) -> Path:
    """Two recordings one after the other: the same timestamps are used twice."""
    parts = [folder / f"part{i}.ts" for i in range(2)]
    for scene, part in enumerate(parts):
        write_clip(part, frames=30 + 8 * scene, gop=12, b_frames=2, sounds=[Sound("mp2")])
    joined = folder / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    return joined


def _edit_list(folder: Path) -> Path:
    path = write_clip(folder / "cut.mp4", frames=60, gop=20, b_frames=2, sounds=())
    ticks = int(_time_base(path).denominator * Fraction(7, 25))
    rewrite_edit_list(path, lambda length, start: (length - 280, start + ticks))
    return path


def _time_base(path: Path) -> Fraction:
    with Reader(path) as reader:
        return reader.clip.picture.time_base


def _negative_start(folder: Path) -> Path:
    """A broadcast recorded across the wrap of the 33-bit clock starts at -1.5 s."""
    source = write_clip(folder / "base.ts", frames=60, gop=12, b_frames=2, sounds=[Sound("mp2")])
    return remux(
        source, folder / "negative.ts", "-output_ts_offset", "95442.2", "-muxdelay", "0",
        "-mpegts_copyts", "1",
    )  # fmt: skip


def _times_missing(folder: Path) -> Path:
    """Matroska cannot say that a frame is shown before 0: those frames have no time."""
    return write_clip(
        folder / "untimed.mkv", pts=range(-400, 2000, 40), time_base=Fraction(1, 1000),
        container_options={"avoid_negative_ts": "disabled"}, gop=12, sounds=(),
    )  # fmt: skip


def _avi(folder: Path) -> Path:
    """No presentation times in the file at all."""
    return write_clip(folder / "old.avi", codec="mpeg4", frames=50, gop=10, b_frames=2, sounds=())


def _vp9(folder: Path) -> Path:
    options = {"deadline": "realtime", "cpu-used": "8"}
    return write_clip(
        folder / "alt.webm", codec="libvpx-vp9", frames=40, gop=10, options=options, sounds=()
    )


def _no_index(folder: Path) -> Path:
    """Matroska as a live recording leaves it, without cues."""
    source = write_clip(folder / "cued.mkv", frames=60, gop=12, b_frames=2)
    return remux(source, folder / "live.mkv", "-live", "1", "-f", "matroska")


CLIPS = [
    _variable_rate, _b_frames, _open_gop_h264, _open_gop_hevc, _hevc_10_bit, _intra_refresh,
    _transport_stream, _mpeg2_transport_stream, _clock_set_anew, _edit_list, _negative_start,
    _times_missing, _avi, _vp9, _no_index,
]  # fmt: skip


@pytest.mark.parametrize("make", CLIPS, ids=lambda make: make.__name__.strip("_"))
def test_every_frame_is_the_one_that_reading_gives_in_any_order(make, tmp_path):
    path = make(tmp_path)
    truth = _sequential(path)
    wanted = list(truth)
    random.Random(1).shuffle(wanted)
    with FrameAccess(path, threads=1, is_clean=truth.is_clean) as access:
        for pts in wanted:
            frame = access.frame_at(pts)
            assert (_bytes(frame), frame.duration, frame.time_base) == truth[pts], pts
            assert frame.pts == pts


@pytest.mark.parametrize("seed", range(8))
def test_damage_hides_no_frame_and_changes_none_that_it_did_not_reach(seed, tmp_path):
    path = write_clip(tmp_path / "hurt.mkv", frames=60, gop=15, b_frames=2, sounds=())
    whole, data, rng = _sequential(path), bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(12):
        data[rng.randrange(len(data) // 4, len(data) // 2)] ^= 0x55
    path.write_bytes(bytes(data))
    truth = _sequential(path)
    # FFmpeg leaves in places of damaged frames what happened to lie in memory, so those differ from
    # one reading to the next.
    untouched = {pts for pts in truth if truth[pts] == whole.get(pts)}
    assert 10 <= len(untouched) < len(whole)
    with FrameAccess(path, threads=1, is_clean=truth.is_clean) as access:
        for pts in rng.sample(list(truth), len(truth)):
            frame = access.frame_at(pts)
            assert (frame.pts, frame.duration, frame.time_base) == (pts, *truth[pts][1:])
            if pts in untouched:
                assert _bytes(frame) == truth[pts][0], pts


@pytest.mark.parametrize(
    "make", [_b_frames, _open_gop_hevc, _variable_rate, _transport_stream, _edit_list],
    ids=lambda make: make.__name__.strip("_"),
)  # fmt: skip
def test_a_well_made_clip_is_never_read_from_the_beginning(make, tmp_path, monkeypatch):
    path = make(tmp_path)
    truth = _sequential(path)
    assert truth.is_clean
    wanted = list(truth)
    monkeypatch.setattr(FrameAccess, "_read_up_to", lambda self, pts: pytest.fail(f"read {pts}"))
    with FrameAccess(path, is_clean=True) as access:
        for pts in reversed(wanted):
            assert access.frame_at(pts).pts == pts


def test_several_frames_come_in_the_order_of_time_whatever_was_asked(tmp_path):
    path = _open_gop_hevc(tmp_path)
    truth = _sequential(path)
    wanted = [pts for i, pts in enumerate(truth) if i in (55, 3, 17, 18, 40)]
    with FrameAccess(path, is_clean=truth.is_clean) as access:
        found = {frame.pts: _bytes(frame) for frame in access.frames_at([*wanted[::-1], wanted[0]])}
    assert list(found) == wanted
    assert found == {pts: truth[pts][0] for pts in wanted}


def test_deinterlaced_frames_are_those_of_a_deinterlaced_run(tmp_path):
    progressive = write_clip(tmp_path / "p.mkv", frames=100, rate=50, gop=1, sounds=())
    path = tmp_path / "fields.mkv"
    ffmpeg("-i", progressive, "-vf", "tinterlace=interleave_top,fieldorder=tff", "-c:v", "libx264",
           "-flags", "+ilme+ildct", "-g", "10", "-bf", "2", path)  # fmt: skip
    truth = _sequential(path, deinterlace=True)
    wanted = list(truth)
    random.Random(2).shuffle(wanted)
    with FrameAccess(path, deinterlace=True, is_clean=truth.is_clean) as access:
        for pts in wanted:
            assert _bytes(access.frame_at(pts)) == truth[pts][0], pts


def test_a_time_at_which_no_frame_begins_is_refused_in_one_sentence(tmp_path):
    path = _b_frames(tmp_path)
    truth = _sequential(path)
    last = max(truth)
    with FrameAccess(path, is_clean=truth.is_clean) as access:
        for pts in (1, last + 10_000):
            with pytest.raises(InputError, match=r"has no frame at .* analyse it again") as refusal:
                access.frame_at(pts)
            assert "\n" not in str(refusal.value)
        assert access.frame_at(last).pts == last
