"""A face's whole path, made steady afterwards: forward filter, Rauch-Tung-Striebel pass back.

Knowing what came later, it neither lags nor jitters. Each of centre x, centre y, log size, angle
and turn is a point pushed about by white noise of acceleration. How strong that noise is, is judged
anew for every moment from how well several strengths foretell what was seen around it, forward and
backward: a still head is held still, a head that turns is followed at once. A look that disagrees
with the looks before and after it is all but ignored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEVELS = 10.0 ** np.arange(-8, 4)
"""Strengths tried: spectral densities of acceleration, in squared face sizes, log sizes or radians
per second cubed."""
WINDOW_S = 1.0
"""Looks that are further away say little about how a face moves now."""
MOST_SURPRISE = 16.0
"""Squared standard deviations that one look may count, lest one bad look makes a face restless."""
LEAST_GAIN = 0.5
"""Of log likelihood, by which a stronger motion must explain the looks better than a weaker."""
STRAIN = 4.5
"""Standard deviations by which a path may stay off the looks of a while."""
ROUNDS = 8
LEAST_NOISE = np.array([0.001, 0.001, 0.0025, 0.002, 0.005])
USUAL_NOISE = np.array([0.005, 0.005, 0.02, 0.01, 0.05])
MOST_NOISE = np.array([0.03, 0.03, 0.1, 0.06, 0.2])
"""Of one look, in the same units: bounds of what is found in the path itself, and what is taken
where there are too few looks to tell."""
FEW = 8
CALM_SHARE, CALM = 0.25, 0.3186
"""Noise is judged by the calmest quarter of the looks, which motion spoils least; of a normal
distribution's distances a quarter is below this many standard deviations."""
STRAY = 5.0
"""Standard deviations from its neighbours' line at which a look is taken for a slip."""
SLIP_CLEARER = 4.0
"""How much further off a slip is than its neighbours are from each other's line."""
SLIP = 100.0
"""How much noisier a slip is taken to be than other looks."""
FIRST_RATE = 300.0
"""What a rate may be before anything is known, per second, in standard deviations of a look."""
STILL_RATE = 3e-5
"""What the rate of a still face is, in face sizes, log sizes or radians a second: otherwise the
errors of a few seconds' looks would be a slow drift."""
PIECE, OVERLAP = 3000, 250
"""Frames smoothed at a time, and how many around them are looked at too."""


def smooth(times_s: Array, seen: Array, doubt: Array) -> Array:
    """The path (n, k) at all times (n,), from rows of `seen` (n, k) that are NaN between looks.

    Columns: centre x, centre y, log size, angle and, where it is known, how far the head is turned
    (radians). `doubt` (n,) multiplies a look's usual noise.
    """
    if not np.isfinite(seen[:, 0]).any():
        raise ValueError("a path needs at least one look")
    path = np.empty_like(seen)
    for start in range(0, len(seen), PIECE):
        low, end = max(0, start - OVERLAP), start + PIECE
        piece = slice(low, end + OVERLAP)
        path[start:end] = _smooth(times_s[piece], seen[piece], doubt[piece])[start - low :][:PIECE]
    return path


def _smooth(times_s: Array, seen: Array, doubt: Array) -> Array:
    looks = np.flatnonzero(np.isfinite(seen[:, 0]))
    if len(looks) == 1:
        return np.repeat(seen[looks], len(times_s), 0)
    values = seen.copy()
    values[looks, 3] = np.unwrap(seen[looks, 3])
    sizes = np.exp(np.interp(times_s, times_s[looks], values[looks, 2]))
    units = np.ones_like(values)
    units[:, :2] = sizes[:, None]
    noise = _noise(times_s[looks], values[looks], units[looks])
    deviation = np.full_like(units, np.nan)
    slips = 1 + (SLIP - 1) * _slips(times_s[looks], values[looks], units[looks] * noise)
    deviation[looks] = units[looks] * noise * slips * doubt[looks, None]
    density = _densities(times_s[looks], values[looks], deviation[looks], units[looks])
    at = np.minimum(np.searchsorted(looks, np.arange(len(times_s))), len(looks) - 1)
    for _ in range(ROUNDS):
        steps = np.maximum(density[at], density[np.maximum(at - 1, 0)]) * units**2
        rate = _first_rate(times_s, values, deviation, steps, units)
        path = _back(*_forward(times_s, values, deviation, steps, rate)[:2], times_s, steps)
        strained = _strained((values[looks] - path[looks]) / deviation[looks])
        if not strained.any():
            break
        density = np.where(strained, np.minimum(density * 10, LEVELS[-1] * 10), density)
    return path


def _first_rate(
    times_s: Array, values: Array, deviation: Array, steps: Array, units: Array
) -> Array:
    """What the rate may be at first: nothing, where that foretells the looks as well."""
    first = int(np.flatnonzero(np.isfinite(deviation[:, 0]))[0])
    rates = np.stack([STILL_RATE * units[first], FIRST_RATE * deviation[first]])
    _, _, surprise, variance = _forward(
        times_s,
        np.repeat(values[:, None], 2, 1),
        np.repeat(deviation[:, None], 2, 1),
        np.repeat(steps[:, None], 2, 1),
        rates,
    )
    likely = -0.5 * (np.log(variance) + surprise).sum(0)
    result: Array = np.where(likely[0] >= likely[1], rates[0], rates[1])
    return result


def _strained(residuals: Array) -> NDArray[np.bool_]:
    """Looks around which the path keeps to one side of what was seen, or far from it.

    So it is where a face starts or stops at once: either side alone is foretold well.
    """
    strained = np.zeros(residuals.shape, bool)
    for width in (3, 5, 9):
        if len(residuals) < width:
            break
        windows = np.lib.stride_tricks.sliding_window_view(residuals, width, 0)
        one_side = np.abs(windows.sum(-1)) / np.sqrt(width)
        far = np.sqrt((windows**2).mean(-1))
        for first, column in np.argwhere((one_side > STRAIN) | (far > STRAIN)):
            strained[first : first + width, column] = True
    return strained


def _off_the_line(times_s: Array, values: Array) -> tuple[Array, Array]:
    """Each inner look's distance from the line between its neighbours, and its noise's gain."""
    inner = np.arange(1, len(values) - 1)
    return _off_the_curve(times_s, values, inner, (inner - 1, inner + 1))


Indices = NDArray[np.intp]


def _off_the_curve(
    times_s: Array, values: Array, at: Indices, through: tuple[Indices, ...]
) -> tuple[Array, Array]:
    """How far looks are from the polynomial through some others, and the gain of its noise."""
    expected, gain = np.zeros((len(at), values.shape[1])), np.ones((len(at), 1))
    for one in through:
        share = np.ones(len(at))
        for other in through:
            if other is not one:
                apart = times_s[one] - times_s[other]
                share *= (times_s[at] - times_s[other]) / np.where(apart == 0, 1e-9, apart)
        expected += share[:, None] * values[one]
        gain += share[:, None] ** 2
    return values[at] - expected, np.sqrt(gain)


def _noise(times_s: Array, values: Array, units: Array) -> Array:
    """One look's standard deviation per column, in the column's own units.

    Motion passes for noise where looks are held against a line, and less so against a cubic; a
    cubic through neighbours at odd times is the worse judge. The lower of both is nearer the truth.
    """
    if len(values) < FEW:
        return USUAL_NOISE[: values.shape[1]]
    inner, deep = np.arange(1, len(values) - 1), np.arange(2, len(values) - 2)
    around = (deep - 2, deep - 1, deep + 1, deep + 2)
    judged = []
    for at, through in ((inner, (inner - 1, inner + 1)), (deep, around)):
        off, gain = _off_the_curve(times_s, values, at, through)
        judged.append(np.quantile(np.abs(off) / gain / units[at], CALM_SHARE, axis=0) / CALM)
    known = slice(values.shape[1])
    return np.clip(np.minimum(*judged), LEAST_NOISE[known], MOST_NOISE[known])


def _slips(times_s: Array, values: Array, deviation: Array) -> NDArray[np.bool_]:
    """Looks far from a line that two neighbours on either side agree on without them."""
    slips = np.zeros(values.shape, bool)
    if len(values) < 5:
        return slips
    off, gain = _off_the_line(times_s, values)
    far = np.abs(off)[1:-1]
    rest = np.arange(2, len(values) - 2)
    before, _ = _off_the_curve(times_s, values, rest - 1, (rest - 2, rest + 1))
    after, _ = _off_the_curve(times_s, values, rest + 1, (rest - 1, rest + 2))
    clear = far > STRAY * gain[1:-1] * deviation[2:-2]
    slips[2:-2] = clear & (far > SLIP_CLEARER * np.maximum(np.abs(before), np.abs(after)))
    return slips


def _densities(times_s: Array, values: Array, deviation: Array, units: Array) -> Array:
    """For each look and column the strength of motion that foretells the looks around it best."""
    likely = np.maximum(
        _likelihoods(times_s, values, deviation, units),
        _likelihoods(-times_s[::-1], values[::-1], deviation[::-1], units[::-1])[::-1],
    )
    around = likely.copy()
    for away in range(1, len(times_s)):
        share = np.exp(-0.5 * ((times_s[away:] - times_s[:-away]) / (WINDOW_S / 2)) ** 2)
        if share.max() < 0.05:
            break
        around[away:] += share[:, None, None] * likely[:-away]
        around[:-away] += share[:, None, None] * likely[away:]
    around -= LEAST_GAIN * np.arange(len(LEVELS))[:, None]
    chosen: Array = LEVELS[around.argmax(1)]
    return chosen


def _likelihoods(times_s: Array, values: Array, deviation: Array, units: Array) -> Array:
    """Log likelihood of each look (k, level, column) given the looks before it."""
    steps = units[:, None, :] ** 2 * LEVELS[:, None]
    _, _, surprise, variance = _forward(
        times_s,
        np.repeat(values[:, None], len(LEVELS), 1),
        np.repeat(deviation[:, None], len(LEVELS), 1),
        steps,
    )
    result: Array = -0.5 * (np.log(variance / deviation[:, None] ** 2) + surprise)
    return result


def _forward(
    times_s: Array, values: Array, deviation: Array, steps: Array, first_rate: Array | None = None
) -> tuple[Array, Array, Array, Array]:
    """Kalman filter: states (n, 2, ...), covariances (n, 3, ...), surprise and its variance."""
    first = int(np.flatnonzero(np.isfinite(values.reshape(len(values), -1)[:, 0]))[0])
    shape = values.shape[1:]
    states, spreads = np.zeros((len(values), 2, *shape)), np.zeros((len(values), 3, *shape))
    surprise, variances = np.zeros(values.shape), np.ones(values.shape)
    place, rate = values[first].copy(), np.zeros(shape)
    across = deviation[first] ** 2
    pp, pr = across.copy(), np.zeros(shape)
    rr = across * FIRST_RATE**2 if first_rate is None else first_rate**2
    variances[first] = across
    for i in range(len(values)):
        passed = times_s[i] - times_s[i - 1] if i else 0.0
        place = place + rate * passed
        pp = pp + passed * (2 * pr + passed * rr) + steps[i] * passed**3 / 3
        pr = pr + passed * rr + steps[i] * passed**2 / 2
        rr = rr + steps[i] * passed
        if i > first and np.isfinite(deviation[i].flat[0]):
            off = values[i] - place
            total = pp + deviation[i] ** 2
            surprise[i] = np.minimum(off**2 / total, MOST_SURPRISE)
            variances[i] = total
            gain_place, gain_rate = pp / total, pr / total
            place, rate = place + gain_place * off, rate + gain_rate * off
            rr = rr - gain_rate * pr
            pp, pr = pp * (1 - gain_place), pr * (1 - gain_place)
        states[i], spreads[i] = (place, rate), (pp, pr, rr)
    return states, spreads, surprise, variances


def _back(states: Array, spreads: Array, times_s: Array, steps: Array) -> Array:
    """Rauch-Tung-Striebel: each state corrected by all that came after it; places only."""
    result = states[:, 0].copy()
    place, rate = states[-1]
    for i in range(len(states) - 2, -1, -1):
        passed = times_s[i + 1] - times_s[i]
        pp, pr, rr = spreads[i]
        ahead_pp = pp + passed * (2 * pr + passed * rr) + steps[i + 1] * passed**3 / 3
        ahead_pr = pr + passed * rr + steps[i + 1] * passed**2 / 2
        ahead_rr = rr + steps[i + 1] * passed
        cross_p, cross_r = pp + passed * pr, pr + passed * rr
        size = np.maximum(ahead_pp * ahead_rr - ahead_pr**2, 1e-300)
        off_place = place - (states[i, 0] + passed * states[i, 1])
        off_rate = rate - states[i, 1]
        along_place = (ahead_rr * off_place - ahead_pr * off_rate) / size
        along_rate = (ahead_pp * off_rate - ahead_pr * off_place) / size
        place = states[i, 0] + cross_p * along_place + pr * along_rate
        rate = states[i, 1] + cross_r * along_place + rr * along_rate
        result[i] = place
    return result
