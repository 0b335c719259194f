"""How much of its restoration a face needs, by how much of its detail is left.

A restored face is nearer to the person than a bad input, and further than a good one. Where that
turns was measured with the bundled restorer on degraded portraits of the training split
(tests/benchmarks/need.py writes `need.json`): so much is shown as gains most likeness, and all of
it where little is left. It is one number for a track, so nothing can flicker.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

MEASURED = Path(__file__).with_name("need.json")


@dataclass(frozen=True)
class Need:
    """The share to show at some details, in rising order of detail; `restorer` and `quality` are
    the SHA-256 of the networks that it was measured with."""

    restorer: str
    quality: str
    detail: tuple[float, ...]
    share: tuple[float, ...]

    def at(self, detail: float) -> float:
        return round(float(np.interp(detail, self.detail, self.share)), 2)


EVERYTHING = Need("", "", (0.0,), (1.0,))
"""For other people's models, with which nothing was measured."""


@cache
def measured_need() -> Need:
    """The need for the bundled restorer."""
    tree = json.loads(MEASURED.read_text(encoding="utf-8"))
    detail, share = tuple(tree["detail"]), tuple(tree["share"])
    return Need(tree["restorer"], tree["quality"], detail, share)


def write_need(need: Need) -> None:
    MEASURED.write_text(json.dumps(asdict(need)) + "\n", encoding="utf-8")
