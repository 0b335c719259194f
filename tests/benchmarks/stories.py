"""What happens in the clips on which tracking is measured: who moves where, behind and before whom.

Each story is a list of scenes for `compose`; people, their photographs or moving heads, pictures,
speeds and sizes are drawn from a seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from vidref.evaluation.composed_clips import (
    Actor,
    Image,
    MovingPortrait,
    Path2d,
    Portrait,
    Scene,
    Screen,
)
from vidref.evaluation.moving_heads import relit
from vidref.faces.geometry import Placement

WIDTH, HEIGHT = 960, 540
Head = Portrait | MovingPortrait
Cast = Mapping[str, Sequence[Head]]


class Director:
    """Draws everything that is left to chance."""

    def __init__(self, seed: int, cast: Cast, backgrounds: list[Image]) -> None:
        self.rng = np.random.default_rng(seed)
        self._cast, self._backgrounds = cast, backgrounds
        self._unused: dict[str, list[Head]] = {}

    def people(self, count: int) -> list[str]:
        return [str(name) for name in self.rng.choice(sorted(self._cast), count, replace=False)]

    def portrait(self, person: str) -> Head:
        photos = self._cast[person]
        return photos[int(self.rng.integers(len(photos)))]

    def after_cut(self, person: str) -> Head:
        """Another photograph, or another moment in another light, for as long as there are any."""
        unused = self._unused.setdefault(person, [])
        if not unused:
            photos = self._cast[person]
            unused += [photos[int(at)] for at in self.rng.permutation(len(photos))]
        head = unused.pop()
        return relit(head, self.rng) if isinstance(head, MovingPortrait) else head

    def background(self) -> Image:
        return self._backgrounds[int(self.rng.integers(len(self._backgrounds)))]

    def size(self, low: float = 70, high: float = 150) -> float:
        return float(self.rng.uniform(low, high))

    def walk(
        self, points: list[tuple[float, float, float]], size: float, lively: float = 1.0
    ) -> Path2d:
        """A way through (time, x, y) with a head that bobs, leans and comes nearer on it."""
        times, xs, ys = (np.array(column) for column in zip(*points, strict=True))
        phase, nod = self.rng.uniform(0, math.tau, 4), self.rng.uniform(0.8, 1.6)

        def path(time_s: float) -> Placement | None:
            if not times[0] <= time_s <= times[-1]:
                return None
            share = _eased(times, time_s)
            x, y = float(np.interp(share, times, xs)), float(np.interp(share, times, ys))
            beat = [
                math.sin(math.tau * nod * f * time_s + p)
                for f, p in zip((1.0, 0.6, 0.3, 0.5), phase, strict=True)
            ]
            return Placement(
                (x + 0.04 * lively * size * beat[1], y + 0.06 * lively * size * beat[0]),
                size * (1 + 0.08 * beat[2]),
                0.12 * lively * beat[3],
            )

        return path

    def seat(self, x: float, y: float, seconds: float, size: float) -> Path2d:
        return self.walk([(0, x, y), (seconds, x, y)], size)

    def actor(self, person: str, path: Path2d) -> Actor:
        return Actor(self.portrait(person), path)


def _eased(times: np.ndarray, time_s: float) -> float:
    """Time with a soft start and stop at every point of the way."""
    at = int(np.clip(np.searchsorted(times, time_s) - 1, 0, len(times) - 2))
    length = times[at + 1] - times[at]
    share = (time_s - times[at]) / length
    return float(times[at] + length * (share - math.sin(math.tau * share) / math.tau * 0.5))


def crossing(director: Director) -> list[Scene]:
    """Two people walk past each other, there and back."""
    one, other = director.people(2)
    size = director.size(90, 150)
    y = HEIGHT * 0.45
    back = director.walk([(0, 180, y), (3, 780, y), (6, 180, y)], size * 0.9)
    front = director.walk([(0, 800, y + 25), (3, 160, y + 25), (6, 800, y + 25)], size * 1.1)
    return [
        Scene(director.background(), 6, (director.actor(one, back), director.actor(other, front)))
    ]


def crowd(director: Director) -> list[Scene]:
    """Six people wander about, often one before another."""
    actors = []
    for person in director.people(6):
        points = [
            (
                float(t),
                float(director.rng.uniform(90, WIDTH - 90)),
                float(director.rng.uniform(120, HEIGHT - 120)),
            )
            for t in (0, 2.5, 5, 8)
        ]
        actors.append(director.actor(person, director.walk(points, director.size(70, 120))))
    return [Scene(director.background(), 8, tuple(actors))]


def leaving(director: Director) -> list[Scene]:
    """Three people; two of them leave the picture and come back, one at the other side."""
    stays, leaves, returns = director.people(3)
    size = director.size(80, 130)
    out = director.walk(
        [(0, 250, 250), (2, -size, 250), (5, -size, 250), (7, 260, 240), (9, 300, 240)], size
    )
    gone = director.walk([(0, 700, 280), (2.5, WIDTH + size, 280)], size)
    again = director.walk([(5.5, -size, 330), (9, 520, 330)], size * 1.1)
    person = director.portrait(returns)
    return [
        Scene(
            director.background(),
            9,
            (
                director.actor(stays, director.seat(480, 160, 9, size)),
                director.actor(leaves, out),
                Actor(person, gone),
                Actor(person, again),
            ),
        )
    ]


def occluders(director: Director) -> list[Scene]:
    """Three people pass behind pillars of different widths."""
    y = HEIGHT * 0.5
    paths = [
        director.walk([(0, 80, y - 120), (8, 880, y - 100)], director.size(80, 110)),
        director.walk([(0, 860, y + 20), (8, 100, y)], director.size(80, 110)),
        director.walk([(0, 300, y + 150), (4, 700, y + 150), (8, 300, y + 150)], 90),
    ]
    pillars = [(230, 330), (480, 540), (650, 800)]
    texture = director.background()
    screens = tuple(Screen(texture, (a, -200, b, HEIGHT + 200)) for a, b in pillars)
    actors = tuple(
        director.actor(person, path) for person, path in zip(director.people(3), paths, strict=True)
    )
    return [Scene(director.background(), 8, actors, screens)]


def cuts(director: Director) -> list[Scene]:
    """Four people in five shots: other moments, places, sizes, lights and cameras."""
    people = director.people(4)
    scenes = []
    for who in ((0, 1), (0,), (1, 2, 3), (2,), (3, 0)):
        places = director.rng.permutation([190, 480, 770])[: len(who)]
        actors = tuple(
            Actor(
                director.after_cut(people[number]),
                director.seat(
                    float(x), float(director.rng.uniform(180, 340)), 2.4, director.size()
                ),
            )
            for number, x in zip(who, places, strict=True)
        )
        jpeg = int(director.rng.integers(30, 90))
        scenes.append(Scene(director.background(), 2.4, actors, jpeg=jpeg))
    return scenes


def camera(director: Director) -> list[Scene]:
    """Three people before a camera that pans, shakes and zooms."""
    phase = director.rng.uniform(0, math.tau, 4)

    def moves(time_s: float) -> tuple[float, float, float]:
        shake = 4 * math.sin(math.tau * 5 * time_s + phase[0]) * (2 < time_s < 4)
        pan = 150 * math.sin(math.tau * time_s / 7 + phase[1])
        return pan, shake + 25 * math.sin(time_s + phase[2]), 1.15 + 0.25 * math.sin(time_s * 0.9)

    size = director.size(90, 130)
    one, other, walker = director.people(3)
    actors = (
        director.actor(one, director.seat(330, 230, 7, size)),
        director.actor(other, director.seat(600, 260, 7, size)),
        director.actor(walker, director.walk([(0, 150, 390), (7, 820, 390)], size)),
    )
    return [Scene(director.background(), 7, actors, camera=moves)]


STORIES: dict[str, Callable[[Director], list[Scene]]] = {
    "crossing": crossing,
    "crowd": crowd,
    "leaving": leaving,
    "occluders": occluders,
    "cuts": cuts,
    "years-apart": cuts,
    "camera": camera,
}
"""In `years-apart` the same is told with photographs: a person has aged by years at a cut."""
MOVING = ("cuts",)
"""Stories that are told with moving heads if not all are."""
BEYOND = ("years-apart",)
"""Stories that ask more than a clip does; they count on their own."""
