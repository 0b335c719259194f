"""Limits of likeness that are easy to reason with."""

from __future__ import annotations

from vidref.faces.likeness import Likeness

LIKENESS = Likeness(
    same=0.5,
    doubtful=0.4,
    margin=0.1,
    agrees=0.25,
    leads=0.2,
    joins=0.4,
    perhaps=0.3,
    closer=0.3,
    spread=0.05,
)
