"""Is it still that person? Likeness to the references, before and after, as the run goes by.

It is the face pack that judges, which also guides the model, so these figures say whether the
identity was kept, not how well a stranger would recognise it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import TEMPLATE_512
from vidref.faces.pack import FacePack, aligned

SECONDS_BETWEEN = 1.0
Facts = dict[str, list[list[float]]]
"""Person, then [time, before, after] of each look."""


@dataclass(frozen=True)
class Look:
    """One comparison: when (seconds from the clip's beginning), and both likenesses (cosine)."""

    time_s: float
    before: float
    after: float


class IdentityWatch:
    """Compares each person's face with their references, at most once a second."""

    def __init__(
        self,
        pack: FacePack,
        known: dict[str, NDArray[np.float32]],
        segment_of: Callable[[int], int],
    ) -> None:
        """`known`: each person's mean reference embedding; whoever has none is not compared.

        `segment_of` gives the segment of a pts: every segment is looked at for itself, so that its
        figures are the same whether it was made in one go or after an interruption.
        """
        self._pack, self._known, self._segment_of = pack, known, segment_of
        self._looks: dict[tuple[int, str], list[Look]] = defaultdict(list)
        self._faces: Counter[int] = Counter()

    def see(
        self,
        person: str,
        pts: int,
        time_s: float,
        crop: NDArray[Any],
        restored: NDArray[np.float32],
    ) -> None:
        """`crop` is aligned uint8 or uint16, `restored` the same face in [0, 1]."""
        segment = self._segment_of(pts)
        self._faces[segment] += 1
        looks = self._looks[segment, person]
        known = self._known.get(person)
        if known is None or (looks and time_s - looks[-1].time_s < SECONDS_BETWEEN):
            return
        before, after = self._pack.embed_aligned([_small(crop), _small(restored)])
        looks.append(Look(round(time_s, 3), float(known @ before), float(known @ after)))

    def facts(self, segment: int) -> dict[str, Any]:
        """What a journal keeps of a segment, which is then forgotten here."""
        found: Facts = {}
        for number, person in [key for key in self._looks if key[0] == segment]:
            looks = self._looks.pop((number, person))
            if looks:
                found[person] = [
                    [look.time_s, round(look.before, 4), round(look.after, 4)] for look in looks
                ]
        return {"faces": self._faces.pop(segment, 0), "identity": found}


def mean_embedding(pack: FacePack, crops: list[NDArray[np.uint8]]) -> NDArray[np.float32] | None:
    """The direction that reference crops (aligned squares) share; None where there are none."""
    if not crops:
        return None
    mean = pack.embed_aligned([_small(crop) for crop in crops]).mean(0)
    unit: NDArray[np.float32] = mean / max(float(np.linalg.norm(mean)), 1e-9)
    return unit


def summary(looks: list[list[float]]) -> dict[str, float | int]:
    """Means over a person's looks, for people to read."""
    table = np.array(looks)
    return {
        "looks": len(table),
        "before": round(float(table[:, 1].mean()), 3),
        "after": round(float(table[:, 2].mean()), 3),
    }


def _small(crop: NDArray[Any]) -> NDArray[np.uint8]:
    """The recogniser's own square of an aligned crop."""
    if crop.dtype == np.uint16:
        crop = (crop >> 8).astype(np.uint8)
    elif crop.dtype != np.uint8:
        crop = np.rint(np.clip(crop, 0, 1) * 255).astype(np.uint8)
    scale = crop.shape[0] / 512
    points = (TEMPLATE_512 + 0.5) * scale - 0.5
    return aligned(crop, points.astype(np.float32))
