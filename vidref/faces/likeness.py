"""How alike two faces must be to be taken for one person: the limits of a face pack, in one place.

A pack says from which cosine two photos are one person (`same_person`: one in a thousand pairs of
different people is above it). Every other limit is a multiple of that one, so that another pack
brings its own scale. The multiples were measured with the bundled pack by
tests/benchmarks/who_is_who.py: of 807,000 pairs of a track and a stranger, one in a thousand
reaches 0.98, one in ten thousand 1.20, one in a hundred thousand 1.39.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidref.faces.pack import FacePack

Embedding = NDArray[np.float32]

SAME = 1.45
"""Beyond one stranger in a hundred thousand: a wrong person's face is the worst error there is. At
1.3, 4 of 2,856 trials with the folders of look-alikes were wrong, the worst of them at 1.37."""
DOUBTFUL = 1.0
MARGIN = 0.15
AGREES = 0.6
"""Of a photo with its own folder's mean, one in ten is below 0.55, one in a hundred strangers above
0.7."""
LEADS = 0.4
"""Of two or three damaged faces in a clip the wrong one leads by so much in at most 12 of 1,000
cases, of five in 22 (tests/benchmarks/whose_photos.py)."""
JOINS = 1.2
"""One stranger in ten thousand. At 0.9 a singer and a blurred face in his audience (cuts-and-crowd)
became one person; a person in two pieces has less evidence, but never somebody else's."""
PERHAPS = 0.95
"""From here to `JOINS` other evidence may make two tracks one: one stranger in seven hundred."""
CLOSER = 0.75
"""From here to `JOINS` two tracks are worth a closer look: one stranger in a hundred. A single look
at half a second of a singer (cuts-and-crowd) had 0.43 to his other shot, and many have 0.51; his
0.47 to a listener became 0.34."""
ILLEGIBLE, LEGIBLE = 0.3, 0.45
"""Scores of a person's best view: below the first a face says nothing against a photo, from the
second on all it can."""
SPREAD = 0.12
"""How wide the step from no to yes is."""


@dataclass(frozen=True)
class Likeness:
    """Cosines of mean faces, and what they mean."""

    same: float
    """From here a track is a named person."""
    doubtful: float
    """From here to `same` it may be: unsure."""
    margin: float
    """A named person must be this much more alike than the next one."""
    agrees: float
    """From here a photo agrees with the other photos of its folder."""
    leads: float
    """A face that agrees with somebody's photos is theirs if it does so much more than all others
    of the clip, and than with all others' photos."""
    joins: float
    """From here two tracks of one clip are one person."""
    perhaps: float
    """From here to `joins` looks that agree, or clothes that nobody else wears, decide."""
    closer: float
    """From here to `joins` more views of both are worth reading."""
    spread: float

    def certainty(self, cosine: float, limit: float) -> float:
        """0 to 1, one half at the limit."""
        return float(1 / (1 + np.exp(-(cosine - limit) / self.spread)))


def likeness_for(pack: FacePack) -> Likeness:
    unit = pack.same_person
    return Likeness(
        same=SAME * unit,
        doubtful=DOUBTFUL * unit,
        margin=MARGIN * unit,
        agrees=AGREES * unit,
        leads=LEADS * unit,
        joins=JOINS * unit,
        perhaps=PERHAPS * unit,
        closer=CLOSER * unit,
        spread=SPREAD * unit,
    )


def mean_face(embeddings: NDArray[np.floating], weights: NDArray[np.floating]) -> Embedding:
    """The weighted mean of embeddings (n, d), of length one."""
    total = (np.asarray(embeddings, np.float64) * np.asarray(weights)[:, None]).sum(0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32)


def legible(score: float) -> float:
    """How far a likeness counts against a photo, 0 to 1, where a face's best view scores this."""
    return float(np.interp(score, (ILLEGIBLE, LEGIBLE), (0.0, 1.0)))
