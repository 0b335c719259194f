"""The smoothed path: still heads are held still, quick ones are followed, slips are ignored."""

from __future__ import annotations

import numpy as np
import pytest

from vidref.faces.smooth import OVERLAP, PIECE, smooth

SIZE = 200.0
NOISE = np.array([1.0, 1.0, 0.02, 0.01])


def path_of(x: np.ndarray, angle: np.ndarray | None = None) -> np.ndarray:
    ones = np.ones_like(x)
    turn = 0 * ones if angle is None else angle
    return np.column_stack([300 + SIZE * x, 250 * ones, np.log(SIZE) * ones, turn])


def noisy(path: np.ndarray, seed: int = 0) -> np.ndarray:
    return path + np.random.default_rng(seed).normal(0, 1, path.shape) * NOISE


def only_every(seen: np.ndarray, every: int) -> np.ndarray:
    kept = np.full_like(seen, np.nan)
    kept[::every] = seen[::every]
    return kept


@pytest.mark.parametrize("every", [1, 2, 3])
def test_a_still_head_keeps_less_than_a_quarter_of_the_jitter(every):
    times = np.arange(301) / 25
    true = path_of(np.zeros(301))
    inner = slice(20, -20)  # the ends have looks on one side only
    kept, raw, kept_steps, raw_steps = [], [], [], []
    for seed in range(4):
        seen = noisy(true, seed)
        path = smooth(times, only_every(seen, every), np.ones(301))
        kept.append((path - true)[inner])
        raw.append(seen - true)
        kept_steps.append(np.diff(path, axis=0))
        raw_steps.append(np.diff(seen, axis=0))
    assert (np.concatenate(kept).std(0) < 0.25 * np.concatenate(raw).std(0)).all()
    assert (np.concatenate(kept_steps).std(0) < 0.1 * np.concatenate(raw_steps).std(0)).all()


def test_a_quick_turn_is_followed_at_once_and_without_lag():
    times = np.arange(300) / 25
    turn = 1 / (1 + np.exp(-(times - 6) / 0.05))  # nine tenths of it within 0.25 s
    true = path_of(0.5 * turn, 0.4 * turn)
    seen = noisy(true)
    path = smooth(times, seen, np.ones(300))
    moving = slice(140, 160)
    assert np.abs(path[moving] - true[moving])[:, 0].max() < 4 * NOISE[0]
    errors = [
        np.abs(path[moving, 0] - np.interp(times[moving] - shift, times, true[:, 0])).mean()
        for shift in np.arange(-2, 2.1, 0.5) / 25
    ]
    assert int(np.argmin(errors)) == 4  # the unshifted truth fits best


def test_a_still_head_is_held_still_until_shortly_before_it_turns():
    times = np.arange(300) / 25
    true = path_of(0.5 / (1 + np.exp(-(times - 6) / 0.05)))
    path = smooth(times, noisy(true), np.ones(300))
    for calm in (slice(20, 120), slice(180, 280)):
        assert (path - true)[calm, 0].std() < 0.35 * NOISE[0]


def test_a_nod_keeps_its_height():
    times = np.arange(250) / 25
    calm_ends = np.clip((times - 3) * 2, 0, 1) * np.clip((7 - times) * 2, 0, 1)
    true = path_of(0.12 * calm_ends * np.sin(2 * np.pi * 1.5 * times))
    seen = noisy(true)
    path = smooth(times, seen, np.ones(250))
    assert np.ptp(path[:, 0]) == pytest.approx(np.ptp(true[:, 0]), rel=0.05)
    assert (path - true)[:, 0].std() < (seen - true)[:, 0].std()


def test_one_bad_look_does_not_move_the_face():
    times = np.arange(100) / 25
    seen = noisy(path_of(np.zeros(100)))
    clean = smooth(times, seen, np.ones(100))
    seen[50] += [60.0, -40.0, 0.5, 0.8]
    path = smooth(times, seen, np.ones(100))
    assert np.abs(path - clean)[:, 0].max() < 1.0
    assert np.abs(path - clean)[:, 3].max() < 0.01


def test_frames_of_uneven_length_lie_where_their_times_say():
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.01, 0.12, 200))
    true = path_of(0.3 * times)  # steady speed in seconds, not in frames
    path = smooth(times, only_every(noisy(true), 2), np.ones(200))
    assert np.abs(path - true)[5:-5, 0].max() < 2 * NOISE[0]


def test_a_face_that_turns_over_half_a_turn_goes_the_short_way():
    times = np.arange(100) / 25
    turn = np.linspace(2.8, 3.6, 100)
    seen = noisy(path_of(np.zeros(100), turn))
    seen[:, 3] = np.remainder(seen[:, 3] + np.pi, 2 * np.pi) - np.pi
    path = smooth(times, seen, np.ones(100))
    off = np.remainder(path[:, 3] - turn + np.pi, 2 * np.pi) - np.pi
    assert np.abs(off).max() < 0.05


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_a_path_of_very_few_looks_goes_through_them(looks):
    seen = np.full((9, 4), np.nan)
    at = np.linspace(0, 8, looks).astype(int)
    seen[at] = path_of(np.linspace(0, 0.05, looks))
    path = smooth(np.arange(9) / 25, seen, np.ones(9))
    assert np.isfinite(path).all()
    assert np.abs(path[at] - seen[at])[:, 0].max() < 5.0


def test_a_long_path_is_one_path_across_its_pieces():
    count = PIECE + 300
    times = np.arange(count) / 25
    seen = only_every(noisy(path_of(0.05 * np.sin(times / 3))), 2)
    path = smooth(times, seen, np.ones(count))
    around = smooth(times[PIECE - 600 :], seen[PIECE - 600 :], np.ones(900))
    joint = slice(600 - OVERLAP // 2, 600 + OVERLAP // 2)
    assert np.abs(path[PIECE - 600 :][joint] - around[joint])[:, 0].max() < 0.2


def test_a_path_without_a_look_is_refused():
    with pytest.raises(ValueError, match="at least one look"):
        smooth(np.arange(3) / 25, np.full((3, 4), np.nan), np.ones(3))


@pytest.mark.parametrize("deviation", [0.1, 0.3, 1.0])
def test_a_nodding_heads_path_is_nearer_the_truth_than_its_looks(deviation):
    times = np.arange(100) / 25
    busy = np.sin(np.pi * times / 4) ** 2
    true = path_of(0.12 * busy * np.sin(2 * np.pi * 1.5 * times))
    true[:, 1] += 0.05 * SIZE * np.sin(2 * np.pi * 0.7 * times)
    for seed in range(3):
        looks = true + deviation * (noisy(true, seed) - true)
        off = smooth(times, looks, np.ones(100)) - true
        assert (off[5:-5].std(0) < 0.9 * (looks - true)[5:-5].std(0)).all()


def test_a_still_head_does_not_drift_and_one_that_drifts_is_followed():
    times = np.arange(100) / 25
    still, slow = path_of(np.zeros(100)), path_of(0.01 * times)
    for seed in range(4):
        path = smooth(times, noisy(still, seed), np.ones(100))
        assert (np.abs(path[-1] - path[0]) < 0.4 * NOISE).all()
        moved = smooth(times, noisy(slow, seed), np.ones(100))
        assert np.abs(moved - slow)[:, 0].max() < 0.6 * NOISE[0]
