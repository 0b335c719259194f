"""How one face moves while a clip is read: a Kalman filter over centre, size and turn.

What is measured is (centre x, centre y, log size, angle); the state adds the rate of each. Noise is
in shares of the face's size, so that a face behaves alike in a small and in a large picture. A face
that moves unlike its prediction is expected to go on doing so for a while.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import Placement

Vector = NDArray[np.float64]

NOISE = np.array([0.006, 0.006, 0.025, 0.012])
"""Of a look at a face: of its centre in shares of its size, of log size, of the angle in rad."""
RESTLESSNESS = np.array([1.0, 1.0, 0.2, 0.5])
"""White noise of acceleration (its spectral density's root) of a calm face, in the same units."""
MOST_AGITATED = 400.0
FIRST_RATE = np.array([1.5, 1.5, 0.5, 1.0])
FADING_S = 0.3
"""An unseen face goes on at its rate for about this long: it does not leave through the wall."""


def measured(placement: Placement) -> Vector:
    return np.array([*placement.centre_xy, math.log(max(placement.size_px, 1e-3)), placement.angle])


def placed(values: Vector) -> Placement:
    return Placement(
        (float(values[0]), float(values[1])),
        math.exp(min(float(values[2]), 20.0)),
        math.remainder(float(values[3]), math.tau),
    )


class Motion:
    """Where a face is, how fast it moves, and how sure that is."""

    def __init__(self, placement: Placement, time_s: float) -> None:
        from filterpy.kalman import KalmanFilter

        self._filter = KalmanFilter(dim_x=8, dim_z=4)
        self._filter.H = np.eye(4, 8)
        self._time_s = time_s
        self._agitation = 1.0
        self.restart(placement, time_s)

    @property
    def placement(self) -> Placement:
        return placed(self._filter.x[:4, 0])

    @property
    def spread(self) -> float:
        """Standard deviation of the centre in shares of the size."""
        return float(math.sqrt(max(self._filter.P[0, 0], 0.0)) / self.placement.size_px)

    @property
    def speed(self) -> float:
        """How fast the centre moves, in sizes of the face a second."""
        return float(np.hypot(*self._filter.x[4:6, 0]) / self.placement.size_px)

    def restart(self, placement: Placement, time_s: float) -> None:
        """A face that was found anew: its place is known, its rate is not."""
        units = _units(placement.size_px)
        self._filter.x = np.concatenate([measured(placement), np.zeros(4)])[:, None]
        self._filter.P = np.diag(np.concatenate([NOISE * units, FIRST_RATE * units]) ** 2)
        self._time_s = time_s

    def ahead(self, time_s: float, unseen_s: float = 0.0) -> tuple[Placement, float]:
        """Place and spread at a later time, without going there."""
        state, covariance = self._filter.x, self._filter.P
        step, noise = self._step(time_s - self._time_s, unseen_s)
        later = (step @ state)[:4, 0]
        variance = float((step @ covariance @ step.T + noise)[0, 0])
        place = placed(later)
        return place, math.sqrt(max(variance, 0.0)) / place.size_px

    def go(self, time_s: float, unseen_s: float = 0.0) -> None:
        """Moves to a time; a face that was not seen for a while slows down."""
        step, noise = self._step(time_s - self._time_s, unseen_s)
        self._filter.predict(F=step, Q=noise)
        self._time_s = max(time_s, self._time_s)

    def see(self, placement: Placement, doubt: float = 1.0) -> float:
        """A look found the face here; returns how surprising that was (1 is usual)."""
        seen = measured(placement)
        expected = self._filter.x[:4, 0]
        seen[3] = expected[3] + math.remainder(seen[3] - expected[3], math.tau)
        noise = np.diag((NOISE * _units(self.placement.size_px) * doubt) ** 2)
        self._filter.update(seen[:, None], R=noise)
        surprise = float((self._filter.y.T @ self._filter.SI @ self._filter.y)[0, 0]) / 4
        change = min(max(surprise, 0.7), 4.0)
        self._agitation = min(max(self._agitation * change, 1.0), MOST_AGITATED)
        return surprise

    def _step(self, passed_s: float, unseen_s: float) -> tuple[Vector, Vector]:
        passed = max(passed_s, 0.0)
        kept = math.exp(-max(unseen_s, 0.0) / FADING_S) if unseen_s > 0 else 1.0
        step = np.eye(8)
        step[:4, 4:] = np.eye(4) * passed * kept
        step[4:, 4:] *= kept
        size = self.placement.size_px
        density = (RESTLESSNESS * _units(size)) ** 2 * self._agitation
        noise = np.zeros((8, 8))
        noise[:4, :4] = np.diag(density * passed**3 / 3)
        noise[:4, 4:] = noise[4:, :4] = np.diag(density * passed**2 / 2)
        noise[4:, 4:] = np.diag(density * passed)
        return step, noise


def _units(size_px: float) -> Vector:
    return np.array([size_px, size_px, 1.0, 1.0])
