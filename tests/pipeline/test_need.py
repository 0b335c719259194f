"""How much of a restoration is shown follows from how much of the face is left."""

from __future__ import annotations

import hashlib

import numpy as np

from tests.pipeline.test_selection import ANYONE, _person, _track, _views
from vidref.faces.quality import NETWORK
from vidref.model.found import WEIGHTS, find_bundle
from vidref.pipeline.need import EVERYTHING, measured_need
from vidref.pipeline.selection import decide
from vidref.weights import recorded_hashes


def test_the_need_was_measured_with_the_networks_that_ship() -> None:
    folder = find_bundle("bundled")
    restorer = recorded_hashes(folder)[folder / WEIGHTS]
    quality = hashlib.sha256(NETWORK.read_bytes()).hexdigest()
    need = measured_need()
    assert (need.restorer, need.quality) == (restorer, quality), (
        "the restorer or the measure of quality changed: run "
        "python -m tests.benchmarks.need ../shared/data --write"
    )


def test_the_less_is_left_of_a_face_the_more_of_its_restoration_is_shown() -> None:
    need = measured_need()
    shares = [need.at(detail) for detail in np.linspace(0, 1, 101)]
    assert shares[0] == 1
    assert shares[-1] == 0
    assert max(np.diff(shares)) <= 0
    # No step: two tracks of one person that are nearly alike are shown nearly alike.
    assert max(-np.diff(shares)) <= 0.15


def test_a_clean_face_is_left_alone_a_good_one_only_steadied_and_a_poor_one_rebuilt() -> None:
    people = [_person(_track(1, 400.0))]
    need = measured_need()
    clean, good, poor = (
        decide(people, {1: _views(left)}, ANYONE, need)[1] for left in (0.97, 0.9, 0.1)
    )
    assert not clean.restore
    assert good.restore
    assert good.strength == 0
    assert "only steadied" in good.why
    assert poor.restore
    assert poor.strength == 1


def test_of_a_face_in_between_the_reason_says_how_much_is_shown() -> None:
    need = measured_need()
    half = next(d for d in np.linspace(0, 1, 101) if 0.2 < need.at(d) < 0.8)
    decision = decide([_person(_track(1, 400.0))], {1: _views(half)}, ANYONE, need)[1]
    assert decision.restore
    assert decision.strength == need.at(half)
    assert f"{decision.strength:.2f} of its restoration is shown" in decision.why


def test_other_peoples_models_are_shown_in_full() -> None:
    decision = decide([_person(_track(1, 400.0))], {1: _views(0.6)}, ANYONE, EVERYTHING)[1]
    assert decision.strength == 1
