"""References: only the best views, spread out, never the same picture twice, in bounded memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.faces.limits import LIKENESS
from tests.faces.portraits import bundled_pack, portrait
from vidref.faces.candidates import KEPT, STAMP_PX, Candidate, Candidates, stamp_of
from vidref.faces.geometry import Placement, placement_of
from vidref.faces.photos import Photo
from vidref.faces.quality import Quality, measure
from vidref.faces.references import (
    PhotoReference,
    SelfReference,
    choose_self_references,
    weigh,
)

SQUARE = Placement((100.0, 100.0), 200.0, 0.0)
ADA = np.eye(8, dtype=np.float32)[0]
EVE = np.eye(8, dtype=np.float32)[1]


def quality(score, yaw=0.0, pitch=0.0):
    return Quality(score, score, 1, 1, 1, 1, 1, 1, 1, yaw, pitch)


def view(time_s, score, yaw=0.0, look=None, embedding=None):
    """A view; `look` seeds its stamp, so equal looks are one picture."""
    rng = np.random.default_rng(int(time_s * 1000) if look is None else look)
    stamp = cv2.resize(rng.integers(0, 256, (4, 4)).astype(np.uint8), (STAMP_PX, STAMP_PX))
    frame = int(time_s * 25)
    return Candidate(frame, time_s, SQUARE, quality(score, yaw), stamp, embedding)


def collected(views):
    candidates = Candidates()
    for each in views:
        candidates.offer(each)
    return candidates


def test_a_few_good_views_hidden_among_bad_ones_are_the_ones_chosen():
    good = {3.0, 11.0, 27.0, 41.0, 55.0}
    rng = np.random.default_rng(0)
    views = [view(t / 5, 0.2 + 0.2 * rng.random(), rng.uniform(-30, 30)) for t in range(300)]
    views = [v if v.time_s not in good else view(v.time_s, 0.8, v.quality.yaw_deg) for v in views]
    chosen = choose_self_references([collected(views)])
    assert {c.time_s for c in chosen} == good


def test_all_that_is_chosen_is_in_the_best_tenth_of_all_that_was_seen():
    rng = np.random.default_rng(1)
    views = [view(t / 5, rng.random(), rng.uniform(-40, 40)) for t in range(400)]
    chosen = choose_self_references([collected(views[:150]), collected(views[150:])])
    edge = np.quantile([v.quality.score for v in views], 0.9)
    assert len(chosen) == 5
    assert min(c.quality.score for c in chosen) >= edge - 0.01


def test_a_short_clip_is_not_filled_up_with_its_least_spoilt_views():
    good = [view(t, 0.8, yaw) for t, yaw in ((2.0, 0), (9.0, 15))]
    spoilt = [view(0.4 * k, 0.66) for k in range(30)]
    chosen = choose_self_references([collected([*good, *spoilt])])
    assert {c.time_s for c in chosen} == {2.0, 9.0}


def test_a_turned_head_may_score_less_if_it_is_as_sharp():
    frontal = [view(float(t), 0.8) for t in range(5)]
    sharp = Quality(0.66, 0.8, 1, 1, 1, 0.6, 1, 1, 1, 50.0, 0.0)
    turned = replace(view(20.0, 0.66), quality=sharp)
    rest = [view(30 + 0.3 * k, 0.2) for k in range(60)]
    chosen = choose_self_references([collected([*frontal, turned, *rest])])
    assert 20.0 in {c.time_s for c in chosen}


def test_no_two_references_are_of_one_moment_or_one_picture():
    burst = [view(2 + k / 25, 0.9, look=k) for k in range(12)]
    still = [view(10 + k, 0.9, look=99) for k in range(12)]
    chosen = choose_self_references([collected([*burst, *still])])
    times = sorted(c.time_s for c in chosen)
    assert len([t for t in times if t < 5]) == 1
    assert len([t for t in times if t >= 10]) == 1


def test_references_are_spread_over_pose_and_time_before_they_repeat_a_pose():
    frontal = [view(t, 0.8) for t in np.arange(0, 6, 0.6)]
    turned = [view(100.0, 0.75, yaw=35), view(140.0, 0.75, yaw=-35)]
    chosen = choose_self_references([collected([*frontal, *turned])], wanted=3)
    # A view that is worse than the best tenth is no reference, however new its pose.
    assert [c.quality.yaw_deg for c in chosen] == [0.0, 0.0, 0.0]
    many = [view(t, 0.8) for t in np.arange(0, 60, 0.6)]
    turned = [view(100.0 + k, 0.8, yaw=sign * 35) for k, sign in enumerate((1, -1) * 10)]
    chosen = choose_self_references([collected([*many, *turned])], wanted=3)
    assert {round(c.quality.yaw_deg) for c in chosen} == {0, 35, -35}


def test_a_view_that_is_not_the_person_is_left_out():
    views = [view(float(t), 0.9, embedding=EVE if t % 2 else ADA) for t in range(40)]
    chosen = choose_self_references([collected(views)], looks_like=ADA, agrees=0.25)
    assert chosen
    assert all(int(c.time_s) % 2 == 0 for c in chosen)


def test_what_is_kept_does_not_grow_with_the_clip_and_holds_the_best():
    rng = np.random.default_rng(2)
    candidates = Candidates()
    scores = []
    for t in range(20_000):
        score = float(rng.random())
        scores.append(score)
        turn = rng.uniform(-40, 40)
        if candidates.wants(quality(score, turn)):
            candidates.offer(view(t / 25, score, turn, look=t % 50))
        else:
            candidates.count(quality(score, turn))
    assert len(candidates.best) == KEPT
    assert candidates.threshold(0.1) == pytest.approx(np.quantile(scores, 0.9), abs=0.01)
    held = [c.quality.score for c in candidates.best]
    assert min(held) >= candidates.threshold(0.1) - 0.01
    assert np.ptp([c.time_s for c in candidates.best]) > 400


def test_nothing_seen_is_no_references():
    assert choose_self_references([]) == []
    assert choose_self_references([Candidates()]) == []
    assert weigh([], [], ADA, LIKENESS) == []


def test_one_frame_is_one_reference():
    only = view(0.0, 0.3)
    assert choose_self_references([collected([only])]) == [only]


def photo(score, embedding=ADA):
    return Photo(Path("p.jpg"), "0" * 64, SQUARE, quality(score), embedding, 1.0)


def test_photos_beat_the_clip_where_they_are_better_and_lose_where_they_are_not():
    soft = [view(float(t), 0.7, embedding=ADA) for t in range(5)]
    best, poor = photo(0.9), photo(0.2)
    references = weigh(soft, [poor, best], ADA, LIKENESS)
    assert isinstance(references[0], PhotoReference)
    assert references[0].photo is best
    assert all(isinstance(r, SelfReference) for r in references[1:])
    assert references[0].weight == pytest.approx(1)
    assert all(0 < r.weight < 0.9 for r in references[1:])


def test_a_ruined_clips_own_views_are_left_out_beside_a_sharp_photo():
    ruined = [view(float(t), 0.4, embedding=ADA) for t in range(5)]
    sharp = photo(0.8)
    assert [r.photo for r in weigh(ruined, [sharp], ADA, LIKENESS)] == [sharp]
    assert len(weigh(ruined, [], ADA, LIKENESS)) == 5
    # A sharp photo of someone unlike the face in the clip drives nothing out.
    assert isinstance(weigh(ruined, [photo(0.95, embedding=EVE)], ADA, LIKENESS)[0], SelfReference)


def test_a_photo_that_hardly_looks_like_the_person_counts_little():
    own = [view(0.0, 0.5, embedding=ADA)]
    references = weigh(own, [photo(0.95, embedding=EVE)], ADA, LIKENESS)
    assert isinstance(references[0], SelfReference)
    assert references[1].weight < 0.1


def test_beside_a_face_that_cannot_be_read_photos_count_by_their_quality():
    lost = [view(0.0, 0.25, embedding=EVE)]
    better, worse = photo(0.9), photo(0.8)
    references = weigh(lost, [worse, better], ADA, LIKENESS)
    assert [r.photo for r in references] == [better, worse]
    assert references[1].weight == pytest.approx(0.8 / 0.9)
    unlike = weigh(lost, [photo(0.9, embedding=EVE)], ADA, LIKENESS)
    assert [r.weight for r in unlike] == [1]


def test_the_stamp_knows_the_same_face_in_other_light_and_not_another_picture():
    from vidref.faces.candidates import likeness_of_stamps

    rgb, points = portrait("evening.jpg")
    darker = (rgb * 0.7).astype(np.uint8)
    other, other_points = portrait("studio.jpg")
    first = stamp_of(rgb, placement_of(points))
    assert likeness_of_stamps(first, stamp_of(darker, placement_of(points))) > 0.99
    assert likeness_of_stamps(first, stamp_of(other, placement_of(other_points))) < 0.97


def test_real_frames_a_sharp_moment_in_a_blurred_clip_is_found():
    rgb, _ = portrait("evening.jpg")
    candidates = Candidates()
    pack = bundled_pack()
    for frame in range(20):
        turn = cv2.getRotationMatrix2D((290, 270), 8 * np.sin(frame / 2.5), 0.6 + 0.006 * frame)
        picture = cv2.warpAffine(rgb, turn, (640, 600))
        if frame not in (6, 15):
            picture = cv2.GaussianBlur(picture, (0, 0), 3 + frame % 3)
        face = pack.detect(picture)[0]
        placement = placement_of(face.landmarks_xy)
        candidates.offer(
            Candidate(
                frame,
                frame / 5,
                placement,
                measure(picture, face.landmarks_xy),
                stamp_of(picture, placement),
            )
        )
    chosen = choose_self_references([candidates])
    assert {c.frame for c in chosen} <= {6, 15}
    assert chosen


def test_a_view_with_shut_eyes_is_no_reference_however_sharp():
    views = [view(2.0 * t, 0.8) for t in range(12)]
    blink = replace(view(30.0, 0.95), quality=replace(quality(0.95), eyes=0.3))
    chosen = choose_self_references([collected([*views, blink])])
    assert 30.0 not in {c.time_s for c in chosen}
    # Someone whose eyes are always that narrow is shown as they are.
    narrow = [replace(v, quality=replace(v.quality, eyes=0.3)) for v in [*views, blink]]
    assert 30.0 in {c.time_s for c in choose_self_references([collected(narrow)])}


def test_a_short_clip_of_even_quality_gives_more_than_its_best_moment():
    views = [view(0.4 * t, 0.6 + 0.001 * t) for t in range(25)]
    assert len(choose_self_references([collected(views)])) == 5
