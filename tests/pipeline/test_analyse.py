"""Pass 1 on real, decoded pictures: who is found where, what is chosen, what is left alone and why.

All people here are one: the photographs in `samples/person`. Who is who among several is measured
elsewhere (`tests/faces`, `tests/benchmarks/who_is_who.py`).
"""

from __future__ import annotations

import math
import shutil
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import vidref
from tests.clips import write_clip
from tests.people_clips import PHOTOS, Portrait, frames_of, write_pictures
from vidref.errors import InputError, SettingsError
from vidref.media.frames import Frame
from vidref.media.reader import Reader
from vidref.pipeline.plan import FrameReference, PhotoReference, Plan
from vidref.pipeline.plan_file import check_source, load_plan, save_plan
from vidref.pipeline.progress import Progress

FRAMES = 30
LARGE = Portrait()
SMALL = Portrait("window", 90, (220.0, 10.0), (0.0, 1.0))


def _times(path: Path) -> list[int]:
    with Reader(path) as reader:
        return [item.pts for item in reader if isinstance(item, Frame)]


def _near(plan: Plan, pts: int, square: tuple[float, float, float], share: float = 0.06) -> bool:
    """Whether a face is within this share of its size of where it should be."""
    x, y, size = square
    return any(
        math.dist(face.placement.centre_xy, (x, y)) < share * size
        and abs(face.placement.size_px - size) < 2 * share * size
        for face in plan.faces_at(pts)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("analyse")


@pytest.fixture(scope="module")
def clip(folder: Path) -> Path:
    return write_pictures(folder / "one.mp4", frames_of([LARGE], FRAMES))


@pytest.fixture(scope="module")
def plan(clip: Path) -> Plan:
    return vidref.analyse(clip)


@pytest.fixture(scope="module")
def pair(folder: Path) -> Path:
    """A large and a small face, at the same time."""
    return write_pictures(folder / "pair.mp4", frames_of([LARGE, SMALL], FRAMES))


@pytest.fixture(scope="module")
def refs(folder: Path) -> Path:
    people = folder / "people"
    shutil.copytree(PHOTOS, people / "eileen")
    return people


def test_a_face_is_where_it_is_in_every_single_frame(plan, clip):
    for number, pts in enumerate(_times(clip)):
        assert len(plan.faces_at(pts)) == 1
        assert _near(plan, pts, LARGE.square(number)), number


def test_the_plan_says_what_was_analysed(plan, clip):
    times = _times(clip)
    source = plan.source
    assert (source.name, source.frames, source.width, source.height) == (
        "one.mp4",
        FRAMES,
        320,
        240,
    )
    assert (source.first_pts, source.last_pts, source.is_clean) == (times[0], times[-1], True)
    check_source(plan, Path("a.plan.json"), clip)
    assert plan.shots == (times[0],)
    assert [person.name for person in plan.people] == ["person 1"]
    assert plan.made_by.startswith("vidref ")
    assert plan.face_pack.name == "bundled"


def test_a_persons_own_views_are_references_at_moments_of_the_clip(plan, clip):
    times = _times(clip)
    references = plan.references_of("p1")
    assert references
    assert all(isinstance(r, FrameReference) and r.pts in times for r in references)
    for reference in references:
        assert _near(plan, reference.pts, (*reference.face[:2], reference.face[2]))
    assert references[0].weight == max(reference.weight for reference in references) == 1


def test_the_plan_of_a_real_clip_survives_the_way_to_disk(plan, tmp_path):
    save_plan(plan, tmp_path / "a.plan.json")
    assert load_plan(tmp_path / "a.plan.json") == plan


def test_progress_counts_every_frame(clip):
    seen: list[Progress] = []
    vidref.analyse(clip, on_progress=seen.append)
    assert (seen[-1].frames_done, seen[-1].is_final) == (FRAMES, True)
    assert all(a.frames_done <= b.frames_done for a, b in pairwise(seen))
    assert {progress.frames_total for progress in seen} == {FRAMES}


def test_the_same_clip_gives_the_same_plan(plan, clip):
    assert vidref.analyse(clip) == plan


def test_a_person_is_one_across_a_cut_and_no_track_crosses_it(folder):
    other = Portrait("outdoors", 220, (80.0, 10.0), (-1.0, 0.0))
    first = list(frames_of([LARGE], FRAMES))
    second = list(frames_of([other], FRAMES, ground="chelsea"))
    path = write_pictures(folder / "cut.mkv", first + second)
    plan, times = vidref.analyse(path), _times(path)
    assert plan.shots == (times[0], times[FRAMES])
    assert [person.id for person in plan.people] == ["p1"]
    assert sorted({track.shot for track in plan.tracks}) == [0, 1]
    for track in plan.tracks:
        assert (track.first_pts < plan.shots[1]) == (track.last_pts < plan.shots[1])
    for number, pts in enumerate(times):
        square = LARGE.square(number) if number < FRAMES else other.square(number - FRAMES)
        assert _near(plan, pts, square), number


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_clip_that_is_stored_turned_is_planned_as_it_is_stored(folder, turns):
    """A player turns it upright by the rotation that the file tells."""
    pictures = [np.rot90(p, -turns) for p in frames_of([LARGE], 12)]
    degrees = {1: 90, 2: 180, 3: -90}[turns]
    path = write_pictures(folder / f"turned{turns}.mp4", pictures, rotation=degrees)
    plan = vidref.analyse(path)
    stored = np.rot90(np.arange(320 * 240).reshape(240, 320), -turns)
    for number, pts in enumerate(_times(path)):
        x, y, size = LARGE.square(number)
        where = np.argwhere(stored == round(y) * 320 + round(x))[0]
        assert _near(plan, pts, (float(where[1]), float(where[0]), size)), number
        (face,) = plan.faces_at(pts)
        assert math.cos(face.placement.angle - turns * math.pi / 2) > 0.98


def test_variable_rate_ten_bit_odd_sizes_are_planned_at_their_own_times(folder):
    pts = np.cumsum([0] + [20, 47, 33, 90] * 6).tolist()
    pictures = [p[:235, :317] for p in frames_of([LARGE], len(pts))]
    path = write_pictures(
        folder / "odd.mkv", pictures, codec="libx265", pix_fmt="yuv444p10le", pts=pts,
        time_base=Fraction(1, 1000), options={"preset": "ultrafast", "x265-params": "log-level=0"},
    )  # fmt: skip
    plan = vidref.analyse(path)
    assert _times(path) == pts
    assert all(_near(plan, at, LARGE.square(n)) for n, at in enumerate(pts))


def test_a_clip_without_a_face_has_a_plan_without_people(folder, tmp_path):
    path = write_pictures(folder / "none.mp4", frames_of([], FRAMES))
    plan = vidref.analyse(path, tmp_path / "none.plan.json")
    assert (plan.people, plan.tracks) == ((), ())
    assert "No face was found." in plan.notes
    assert load_plan(tmp_path / "none.plan.json") == plan


def test_one_frame_is_enough(folder):
    path = write_pictures(folder / "single.mp4", frames_of([LARGE], 1))
    plan = vidref.analyse(path)
    assert _near(plan, plan.source.first_pts, LARGE.square(0))
    assert plan.references_of("p1")


def test_a_photo_is_a_clip_of_one_picture():
    plan = vidref.analyse(PHOTOS / "studio.jpg")
    (face,) = plan.faces_at(0)
    assert face.placement.centre_xy == pytest.approx((229.5, 273.7), abs=8)


def test_a_photo_that_lies_on_its_side_is_planned_as_it_is_stored(tmp_path):
    from PIL import Image

    with Image.open(PHOTOS / "studio.jpg") as photo:
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned a quarter clockwise when it is shown
        turned = photo.transpose(Image.Transpose.ROTATE_90)
        turned.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    (face,) = vidref.analyse(tmp_path / "phone.jpg").faces_at(0)
    assert face.placement.centre_xy == pytest.approx((273.7, 479 - 229.5), abs=8)
    assert math.sin(face.placement.angle) < -0.98


def test_each_picture_of_a_folder_is_looked_at_by_itself(tmp_path):
    """Photos of one person that have nothing else in common, and one without anybody."""
    for number, name in enumerate(("studio", "outdoors", "window")):
        shutil.copy(PHOTOS / f"{name}.jpg", tmp_path / f"{number}.jpg")
    empty = next(frames_of([], 1))
    from PIL import Image

    Image.fromarray(empty).save(tmp_path / "3.png")
    plan = vidref.analyse(tmp_path)
    assert plan.source.frames == 4
    assert [len(plan.faces_at(at)) for at in range(4)] == [1, 1, 1, 0]
    assert len(plan.people) == 1
    assert {r.pts for r in plan.references_of("p1") if isinstance(r, FrameReference)} <= {0, 1, 2}


def test_photos_name_the_person_and_join_the_references(clip, refs):
    plan = vidref.analyse(clip, faces__references=refs)
    (person,) = plan.people
    assert (person.name, person.named_by, person.unsure) == ("eileen", "photos", False)
    assert person.confidence > 0.5
    assert any(isinstance(r, PhotoReference) for r in person.references)
    for reference in person.references:
        if isinstance(reference, PhotoReference):
            assert reference.photo.is_file()
            assert reference.photo.is_absolute()


def test_only_those_who_are_asked_for_are_restored(clip, pair, refs):
    plan = vidref.analyse(clip, faces__references=refs, faces__people=["eileen"])
    assert all(track.restore for track in plan.tracks)
    shutil.copytree(refs / "eileen", refs.parent / "named" / "other", dirs_exist_ok=True)
    with pytest.raises(SettingsError, match="There is no bob among the references; there are: ei"):
        vidref.analyse(clip, faces__references=refs, faces__people=["bob"])
    with pytest.raises(SettingsError, match="give photos of the people with --refs"):
        vidref.analyse(clip, faces__people=["eileen"])


def test_small_faces_are_left_alone_and_the_plan_says_why(pair):
    plan = vidref.analyse(pair, faces__min_face=100)
    times = _times(pair)
    (left,) = [track for track in plan.tracks if not track.restore]
    assert "too small" in left.why
    assert "100 px" in left.why
    kinds = {round(f.placement.size_px, -1): f.restore for f in plan.faces_at(times[10])}
    assert [kinds[size] for size in sorted(kinds)] == [False, True]


def test_no_more_faces_than_asked_for_are_restored_the_largest_first(pair):
    plan = vidref.analyse(pair, faces__max_faces=1)
    for pts in _times(pair):
        restored = [f.placement.size_px for f in plan.faces_at(pts) if f.restore]
        assert len(restored) <= 1
        assert all(size > 100 for size in restored)
    assert any("1 larger face is in the picture" in track.why for track in plan.tracks)


def test_two_who_are_visible_together_are_two_however_alike(pair):
    assert len(vidref.analyse(pair).people) == 2


def test_references_that_cannot_be_used_are_told_and_own_views_serve(clip, tmp_path):
    broken = tmp_path / "people" / "eileen"
    broken.mkdir(parents=True)
    (broken / "torn.jpg").write_bytes((PHOTOS / "studio.jpg").read_bytes()[:900])
    (broken / "empty.png").write_bytes(b"")
    plan = vidref.analyse(clip, faces__references=tmp_path / "people")
    assert any("None of the photos of eileen can be used" in note for note in plan.notes)
    assert [person.name for person in plan.people] == ["person 1"]
    assert plan.references_of("p1")


def test_photos_are_used_for_the_only_one_though_nothing_can_be_read_of_the_face(folder, refs):
    lost = (
        cv2.resize(cv2.resize(frame, (26, 20), interpolation=cv2.INTER_AREA), frame.shape[1::-1])
        for frame in frames_of([LARGE], 8)
    )
    path = write_pictures(folder / "lost.mp4", lost)
    plan = vidref.analyse(path, faces__references=refs)
    (person,) = plan.people
    assert person.name == "eileen" and person.confidence < 0.5
    assert any("nobody else is in the clip" in note for note in plan.notes)
    assert all(isinstance(one, PhotoReference) for one in person.references)


def test_a_person_who_is_not_in_the_clip_is_told(folder, refs):
    path = write_pictures(folder / "nobody.mp4", frames_of([], 12))
    plan = vidref.analyse(path, faces__references=refs)
    assert "eileen was not found in the clip." in plan.notes


@pytest.mark.parametrize("what", ["empty", "missing"])
def test_references_that_are_not_there_are_refused_at_once(clip, tmp_path, what):
    refs = tmp_path / "refs"
    if what == "empty":
        refs.mkdir()
    with pytest.raises(InputError) as refusal:
        vidref.analyse(clip, faces__references=refs)
    assert str(refs) in str(refusal.value)


def test_only_the_part_that_is_asked_for_is_analysed(clip):
    plan = vidref.analyse(clip, span__start="0.4", span__end="0.8")
    times = _times(clip)
    assert (plan.source.first_pts, plan.source.last_pts) == (times[10], times[19])
    assert plan.source.frames == 10
    assert plan.settings.start == "2/5"


def test_a_damaged_clip_is_analysed_as_far_as_it_can_be_read(folder):
    path = write_pictures(folder / "hurt.mkv", frames_of([LARGE], 60))
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * 0.6)])
    plan = vidref.analyse(path)
    assert 10 < plan.source.frames < 60
    assert not plan.source.is_clean
    assert any("cut off" in note or "early" in note for note in plan.notes)
    assert _near(plan, _times(path)[5], LARGE.square(5))


def test_a_file_without_a_picture_is_refused(tmp_path):
    from tests.clips import ffmpeg

    ffmpeg("-f", "lavfi", "-i", "sine=d=0.3", tmp_path / "sound.m4a")
    with pytest.raises(InputError, match="no video stream"):
        vidref.analyse(tmp_path / "sound.m4a")
    with pytest.raises(InputError, match="does not exist"):
        vidref.analyse(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="Standard input"):
        vidref.analyse("-")


def test_a_clip_of_another_pack_names_that_pack(clip, tmp_path):
    from vidref import weights

    mine = Path(shutil.copytree(weights.FACE_PACK, tmp_path / "mine"))
    plan = vidref.analyse(clip, faces__pack=str(mine), span__preview="0.2")
    bundled = vidref.analyse(clip, span__preview="0.2")
    assert plan.face_pack.name == str(mine)
    assert plan.face_pack.sha256 == bundled.face_pack.sha256
    assert any("non-commercial" in note for note in plan.notes)


def test_faces_of_a_clip_that_only_moves_are_not_found_twice(tmp_path):
    path = write_clip(tmp_path / "pattern.mp4", frames=12, size=(160, 120), sounds=())
    assert vidref.analyse(path).people == ()
