"""What clips show of the same person, lent from one to another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.fleet.stand_in import empty_plan
from tests.people_clips import Portrait, frames_of, write_pictures
from vidref.faces.geometry import take_crop
from vidref.faces.pictures import read_picture
from vidref.fleet.lending import keep_own_views, with_lent_views
from vidref.pipeline.plan import FrameReference, PhotoReference, Plan, PlannedPerson

PORTRAIT = Portrait("studio", 180, (30.0, 20.0), (2.0, 0.5))


def plan_of(clip: Path, *people: PlannedPerson) -> Plan:
    return replace(empty_plan(clip), people=people)


TICKS = 512
"""Of a frame, as MP4 counts time."""


def person(
    name: str,
    quality: float,
    named_by: str = "photos",
    unsure: bool = False,
    frame: int = 3,
    confidence: float = 0.9,
) -> PlannedPerson:
    x, y, size = PORTRAIT.square(frame)
    view = FrameReference(frame * TICKS, (x, y, size, 0.0), quality, 0.8)
    return PlannedPerson("p1", name, True, named_by, confidence, unsure, "", (view,))


def test_a_view_is_lent_to_the_same_person_in_another_clip_and_shows_the_same_face(
    tmp_path: Path,
) -> None:
    clip = write_pictures(tmp_path / "a.mp4", frames_of([PORTRAIT], 8))
    keep_own_views(plan_of(clip, person("anna", 0.9)), clip, None, 1, tmp_path / "people")
    poor = plan_of(clip, person("anna", 0.3, frame=0))
    (anna,) = with_lent_views(poor, 2, tmp_path / "people").people
    own, lent = sorted(anna.references, key=lambda r: isinstance(r, PhotoReference))
    assert own == poor.people[0].references[0]
    assert isinstance(lent, PhotoReference) and lent.quality == 0.9
    stored = read_picture(lent.photo)
    assert stored.sha256 == lent.sha256
    seen = take_crop(stored.rgb, lent.placement, 64).astype(int)
    truth = list(frames_of([PORTRAIT], 8))[3]
    view = person("anna", 0.9).references[0]
    expected = take_crop(truth, view.placement, 64).astype(int)
    assert np.abs(seen - expected).mean() < 6, "the clip's compression, and no more"


def test_nobody_borrows_who_is_someone_else_unsure_better_or_the_lender(tmp_path: Path) -> None:
    clip = write_pictures(tmp_path / "a.mp4", frames_of([PORTRAIT], 8))
    people = tmp_path / "people"
    keep_own_views(plan_of(clip, person("anna", 0.5)), clip, None, 1, people)
    keep_own_views(plan_of(clip, person("ben", 0.9, "nobody")), clip, None, 3, people)
    keep_own_views(plan_of(clip, person("cleo", 0.9, unsure=True)), clip, None, 4, people)
    for clip_id, who in (
        (1, person("anna", 0.3)),
        (2, person("ben", 0.3)),
        (2, person("cleo", 0.3)),
        (2, person("anna", 0.3, "nobody")),
        (2, person("anna", 0.3, unsure=True)),
        (2, person("anna", 0.9)),
    ):
        plan = plan_of(clip, who)
        assert with_lent_views(plan, clip_id, people) == plan, (clip_id, who)


def test_who_has_a_name_only_because_of_whom_the_clip_shows_borrows_and_does_not_lend(
    tmp_path: Path,
) -> None:
    clip = write_pictures(tmp_path / "a.mp4", frames_of([PORTRAIT], 8))
    people = tmp_path / "people"
    guessed = plan_of(clip, person("anna", 0.8, confidence=0.2))
    keep_own_views(guessed, clip, None, 1, people)
    worse = plan_of(clip, person("anna", 0.3))
    assert with_lent_views(worse, 2, people) == worse
    keep_own_views(plan_of(clip, person("anna", 0.9)), clip, None, 3, people)
    assert with_lent_views(guessed, 1, people) != guessed
