"""The plan survives the way to disk and back, obeys edits, and says where an edit went wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vidref.errors import InputError
from vidref.faces.geometry import Placement
from vidref.pipeline.plan import (
    AnalysisSettings,
    FrameReference,
    LeftAlone,
    PhotoReference,
    Plan,
    PlannedPack,
    PlannedPerson,
    PlannedSource,
    PlannedTrack,
    SetAside,
)
from vidref.pipeline.plan_file import check_source, load_plan, save_plan
from vidref.pipeline.same_source import fingerprint
from vidref.pipeline.trajectory import TOLERANCE, sparse, straying

TICK = 512


def _knots(
    first: int, count: int, x: float = 200.0
) -> tuple[tuple[int, float, float, float, float], ...]:
    return tuple(((first + i) * TICK, x + i, 180.25, 150.0 + 0.5 * i, -1.5) for i in range(count))


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    anna = PlannedPerson(
        "p1", "anna", True, "photos", 0.93, False, "The face is like anna's (0.71).",
        (
            PhotoReference(
                tmp_path / "people" / "anna" / "a.jpg", "5" * 64, (50.5, 60.0, 90.0, 2.0), 0.8, 1.0
            ),
            FrameReference(2 * TICK, (202.0, 180.25, 151.0, -1.5), 0.7, 0.8),
        ),
        (SetAside("No face was found in it.", photo=Path("/elsewhere/b.jpg")),),
    )  # fmt: skip
    other = PlannedPerson("p2", "person 2", True, "nobody", 1.0, True, "It may be anna, but …")
    return Plan(
        PlannedSource(
            "clip.mp4", 1000, "ab" * 16, 0, 512, 512, Fraction(1, 15360), 60, 0, 59 * TICK
        ),
        "vidref 0.1.0",
        PlannedPack("bundled", "7" * 64),
        AnalysisSettings(("anna",), 24.0, "people", start="1/3"),
        (0, 30 * TICK),
        (anna, other),
        (
            PlannedTrack(
                1, "p1", 0, True, "The face has lost detail.", 0.4, _knots(0, 25),
                left_alone=(LeftAlone(10 * TICK, 14 * TICK, 5, "The face is seen from the side."),),
            ),
            PlannedTrack(2, "p2", 0, False, "The face is too small.", 0.1, _knots(5, 3, 400.0)),
            PlannedTrack(3, "p1", 1, True, "The face has lost detail.", 0.4, _knots(30, 1)),
        ),
        ("bob was not found in the clip.",),
    )  # fmt: skip


@pytest.fixture
def saved(plan: Plan, tmp_path: Path) -> Path:
    path = tmp_path / "clip.plan.json"
    save_plan(plan, path)
    return path


def test_a_plan_read_back_is_the_plan_that_was_written(plan, saved):
    assert load_plan(saved) == plan


def test_photos_below_the_plans_folder_move_with_it(plan, saved, tmp_path):
    assert '"people/anna/a.jpg"' in saved.read_text()
    assert str(tmp_path) not in saved.read_text()
    (tmp_path / "moved").mkdir()
    moved = saved.rename(tmp_path / "moved" / saved.name)
    photo = load_plan(moved).people[0].references[0]
    assert isinstance(photo, PhotoReference)
    assert photo.photo == tmp_path / "moved" / "people" / "anna" / "a.jpg"
    assert load_plan(moved).people[0].set_aside[0].photo == Path("/elsewhere/b.jpg")


def test_the_file_is_short_lines_that_people_can_read(saved):
    lines = saved.read_text().splitlines()
    assert max(map(len, lines)) <= 120
    assert any('"name": "anna"' in line for line in lines)
    assert any(line.count("[") >= 3 for line in lines), "several knots stand on one line"


def test_faces_are_given_frame_by_frame_with_whose_they_are(plan):
    (one,) = plan.faces_at(3 * TICK)
    assert (one.person, one.track, one.restore) == ("p1", 1, True)
    assert one.placement == Placement((203.0, 180.25), 151.5, math.radians(-1.5))
    faces = plan.faces_at(6 * TICK)
    assert [(face.person, face.restore) for face in faces] == [("p1", True), ("p2", False)]
    (alone,) = plan.faces_at(30 * TICK)
    assert alone.placement.centre_xy == (200.0, 180.25)
    assert plan.faces_at(26 * TICK) == plan.faces_at(-1) == plan.faces_at(31 * TICK) == []


def test_a_face_fades_out_of_the_stretch_in_which_it_is_left_alone(plan):
    shown = [next(f for f in plan.faces_at(i * TICK) if f.track == 1).shown for i in range(25)]
    assert shown[:1] == [1] and shown[10:15] == [0] * 5 and shown[24] == 1
    assert all(before > after for before, after in pairwise(shown[2:11]))
    assert all(before < after for before, after in pairwise(shown[14:23]))
    (_, stretch), (_, whole) = plan.left_alone()
    assert whole.why == "The face is too small." and stretch.frames == 5


def test_between_two_frames_a_face_is_between_its_places(plan):
    (face,) = plan.faces_at(3 * TICK + TICK // 2)
    assert face.placement.centre_xy == pytest.approx((203.5, 180.25))
    assert face.placement.size_px == pytest.approx(151.75)


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ('"name": "anna"', '"name": "Ann Ä"', lambda p: p.person("p1").name == "Ann Ä"),
        ('"restore": true', '"restore": false', lambda p: not p.faces_at(0)[0].restore),
        (
            '    {"pts": 1024, "face": [202.0, 180.25, 151.0, -1.5], "quality": 0.7, '
            '"weight": 0.8}',
            "",
            lambda p: len(p.references_of("p1")) == 1,
        ),
        ('"person": "p2"', '"person": "p1"', lambda p: len(list(p.tracks_of("p1"))) == 3),
    ],
    ids=["rename", "forbid", "drop a reference", "give a track to another person"],
)  # fmt: skip
def test_an_edit_by_hand_is_obeyed(saved, old, new, check):
    text = saved.read_text()
    assert old in text
    edited = text.replace(old, new, 1)
    if not new:
        edited = edited.replace("},\n\n", "}\n")
    saved.write_text(edited)
    assert check(load_plan(saved))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"restore": true', '"restore": "perhaps"', r"restore cannot be \"perhaps\""),
        ('"weight": 1.0', '"wieght": 1.0', "'wieght' is not known here"),
        ('"weight": 1.0', '"weight": -1', "a weight cannot be below 0"),
        ('"person": "p2"', '"person": "p7"', "no person with the id 'p7'; the people are p1, p2"),
        ('"id": "p2"', '"id": "p1"', "two people have the id 'p1'"),
        ('"id": 3', '"id": 1', "two tracks have the id 1"),
        ('"shot": 1', '"shot": 9', "there is no shot 9"),
        ("[1536,203.0", "[512,203.0", "times along a path must grow"),
        ("[1536,203.0,", '[1536,"x",', r"path cannot be \"x\""),
        ("180.25,150.0,-1.5], [512", "180.25,0,-1.5], [512", "the side of a face"),
        ('"1/15360"', '"soon"', "time_base cannot be"),
        ('"name": "anna",', '"name": "anna"', "this is not JSON"),
        ('"vidref_plan": 1', '"vidref_plan": 2', "update vidref, or analyse the clip again"),
        ('"fingerprint"', '"print"', "'print' is not known here"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(saved, old, new, says):
    lines = saved.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if old in line)
    lines[at] = lines[at].replace(old, new, 1)
    saved.write_text("\n".join(lines))
    with pytest.raises(InputError, match=says) as refusal:
        load_plan(saved)
    # A comma that is missing is noticed where the next word begins.
    where = at + 2 if "JSON" in says else at + 1
    assert f"{saved}, line {where}: " in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_what_is_missing_is_named_where_it_should_be(saved):
    text = saved.read_text()
    saved.write_text(text.replace('   "shot": 0,\n', "", 1))
    with pytest.raises(InputError, match=r"line \d+: tracks has no 'shot'"):
        load_plan(saved)


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"{}", b"\xff\xfe\x00", b"null"])
def test_another_kind_of_file_is_refused_in_one_sentence(tmp_path, content):
    path = tmp_path / "not.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as refusal:
        load_plan(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_plan_for_another_clip_is_refused(plan, tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(bytes(range(256)) * 4000)
    size, print_ = fingerprint(clip)
    mine = replace(plan, source=replace(plan.source, bytes=size, fingerprint=print_))
    check_source(mine, tmp_path / "clip.plan.json", clip)
    data = bytearray(clip.read_bytes())
    data[500_000] ^= 1
    clip.write_bytes(data)
    with pytest.raises(InputError, match="was made for another file"):
        check_source(mine, tmp_path / "clip.plan.json", clip)


def _sway(t: NDArray[np.float64], seed: int) -> list[Placement]:
    """A head that sways, nods and leans, and for a moment turns away quickly."""
    rng = np.random.default_rng(seed)
    wave = [rng.uniform(0.5, 2.5) for _ in range(4)]
    quick = 60 / (1 + np.exp(-(t - t.mean()) * 25))
    return [
        Placement(
            (300 + 25 * math.sin(wave[0] * s) + q, 200 + 9 * math.sin(wave[1] * s)),
            160 + 6 * math.sin(wave[2] * s),
            math.pi - 0.05 + 0.1 * math.sin(wave[3] * s),
        )
        for s, q in zip(t, quick, strict=True)
    ]


@pytest.mark.parametrize("step", ["even", "uneven"])
def test_a_path_is_kept_in_few_knots_to_within_its_tolerance(step):
    gaps = np.full(900, 33) if step == "even" else np.random.default_rng(1).integers(5, 60, 900)
    pts = np.cumsum(gaps)
    placements = _sway(pts / 1000, 4)
    path = sparse(pts.tolist(), placements)
    true = np.array([(*p.centre_xy, p.size_px, math.degrees(p.angle)) for p in placements])
    found = path.values_at(pts)
    found[:, 3] += 360 * np.round((true[:, 3] - found[:, 3]) / 360)
    assert straying(found, true).max() <= TOLERANCE
    assert len(path.knots) < 900 / 6


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_path_of_few_frames_keeps_them(frames):
    placements = _sway(np.arange(frames) / 30, 2)
    path = sparse([10 * i for i in range(frames)], placements)
    for i, placement in enumerate(placements):
        found = path.at(10 * i)
        assert found.centre_xy == pytest.approx(placement.centre_xy, abs=0.2)
        assert found.size_px == pytest.approx(placement.size_px, abs=0.2)
