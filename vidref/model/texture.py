"""What a restored face still lacks of fine detail, from the person's own photographs in place.

A network that must be right on average leaves out what it cannot know: skin, lashes, the rim of a
lip come out soft. A photograph of the person shows them. So a face is filled up, place by place,
towards the strength of detail that the photograph has there: never beyond, so a sharp face stays as
it is; and only where both agree about what is a little coarser, so that glasses, a smile or hair
that the photograph alone has stay out. The less the two faces are alike as a whole, the less is
lent. Only grey is added: colour as fine as that is noise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidref.model.aligner import Shown, enlarged, moved
from vidref.model.separable import low_pass, resized

FINE_PX = 1.5
"""Deviation, at the size of the picture: what is finer is filled up."""
AGREEING_PX = (2.25, 6.0)
"""Between these deviations the two are compared."""
COARSER = 2.0
"""Detail this much coarser is lent first, and judged by what is as much coarser again."""
ALIKE = (0.55, 0.75)
"""Correlations of two whole faces from which something and everything is lent: 0.58 to 0.83 with
one's own photographs, 0.26 to 0.84 with a stranger's (24 faces of split train)."""
FACE = (slice(0.2, 0.9), slice(0.18, 0.84))
"""Rows and columns of the face in its square, in shares."""
LENT = 0.5
"""So much of what is missing: the rest would make a face like its photograph more than like itself
in this moment, and a stranger's face more of a stranger's."""
AROUND_PX = 4.0
"""How far around a place one looks."""
UNSEEN = 1e-3
"""Detail of less than this strength (squared, of values in [-1, 1]) agrees with anything: skin."""


def filled_up(working: Tensor, shown: Shown) -> Tensor:
    """Restored faces (B, 3, s, s) with what the size the network works at can show.

    The larger square that follows (`filled_up_finest`) has twice the pixels: what is finer than
    half of its finest detail is left to it.
    """
    theirs = grey(shown.picture)
    share = shown.there.view(-1, 1, 1, 1) * likeness(grey(working), theirs)
    for scale in (COARSER, 1.0):
        finest_px = scale * FINE_PX / 2
        working = working + share * lacking(grey(working), theirs, finest_px, scale)
    return working


def in_place(photographs: Tensor, shifts: Tensor, share: Tensor) -> Tensor:
    """All photographs of a face in one grey picture (1, 1, S, S).

    They come in grey and as they lie (N, 1, S, S); `shifts` (N, 2, h, w) put them in place, and
    `share` (N, h, w) says how much each place takes of each.
    """
    # lines between pixels would blur what this is about
    placed = moved(photographs, shifts, "bicubic")[:, 0]
    return (placed * enlarged(share[None], placed.shape[-1])[0]).sum(0)[None, None]


def filled_up_finest(face: Tensor, photographed: Tensor) -> Tensor:
    """A restored face (1, 3, S, S) with the finest that its photographs, `in_place`, show."""
    return face + lacking(grey(face), photographed, 0, 1.0)


def lacking(own: Tensor, theirs: Tensor, finest_px: float, scale: float) -> Tensor:
    """The part of `theirs` (B, 1, S, S) to add to `own`: from `finest_px` to `scale` fine ones."""

    def band(image: Tensor) -> Tensor:
        finer = low_pass(image, finest_px) if finest_px else image
        return finer - low_pass(image, scale * FINE_PX)

    size = own.shape[-1]
    mine, photographed = band(own), band(theirs)
    have, could = (strength(one * one, size, scale) for one in (mine, photographed))
    missing = ((could - have).clamp(min=0) / (could + 1e-8)).sqrt()
    told = LENT * enlarged(missing[:, 0] * agreement(own, theirs, scale)[:, 0], size)
    return told[:, None] * photographed


def agreement(own: Tensor, theirs: Tensor, scale: float) -> Tensor:
    """(B, 1, S/4, S/4), 1 where both show the same a little coarser, 0 where one alone does."""
    a, b, size = compared(own, scale), compared(theirs, scale), own.shape[-1]
    both, first, second = (strength(one, size, scale) for one in (a * b, a * a, b * b))
    alike = (2 * both + UNSEEN) / (first + second + UNSEEN)
    return alike.clamp(0, 1) ** 4


def likeness(own: Tensor, theirs: Tensor) -> Tensor:
    """(B, 1, 1, 1), 1 for two faces that are alike as a whole, 0 for two that are not."""
    size = own.shape[-1] // 2
    rows, columns = (slice(round(size * p.start), round(size * p.stop)) for p in FACE)
    a, b = (compared(face, COARSER)[..., rows, columns] for face in (own, theirs))
    powers = (a * a).mean((-1, -2)) * (b * b).mean((-1, -2))
    correlation = (a * b).mean((-1, -2)) / powers.sqrt().clamp(min=1e-6)
    return ((correlation - ALIKE[0]) / (ALIKE[1] - ALIKE[0])).clamp(0, 1)[..., None, None]


def compared(image: Tensor, scale: float) -> Tensor:
    """The detail that two pictures are compared by, at half of the size: it is no finer."""
    half = resized(image, image.shape[-1] // 2)
    finest, coarsest = (scale * deviation / 2 for deviation in AGREEING_PX)
    return low_pass(half, finest) - low_pass(half, coarsest)


def strength(products: Tensor, size: int, scale: float) -> Tensor:
    """Means around each place of pictures of side `size`, at a quarter of it."""
    return low_pass(resized(products, size // 4), scale * AROUND_PX / 4)


def grey(pictures: Tensor) -> Tensor:
    """(B, 1, S, S)."""
    return torch.as_tensor(pictures.mean(1, keepdim=True))
