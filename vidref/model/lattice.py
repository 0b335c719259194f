"""What a network that works in patches adds to every patch alike: a faint lattice on smooth skin.

Every patch of a restored face is made by the same weights, and so are the pairs of patches that an
upsampling step makes of one; what these weights do not balance comes out as a pattern that repeats
from patch to patch, about half a level of 255 strong on a moderate face and more on one that is
lost: too little for a loss or a measure of faces to mind, and on a smooth cheek plain to see.
Nothing in a face repeats so, so it is taken out: from what was added to the input, whatever lies at
the same place in all the cells around. Pairs of patches differ alike over most of a face; a patch's
own pattern comes and goes with how little is known there, so it is looked for nearby.
"""

from __future__ import annotations

from torch import Tensor

from vidref.model.separable import gaussian, low_pass

FINE = 0.5
"""Detail beneath this deviation, in patches, is looked at: what is broader is the face's shape."""
PAIRS_AROUND, OWN_AROUND = 5.0, 2.0
"""Deviations, in cells of two patches and of one, of the window in which a pattern counts as the
same."""
PAIRS_FAINT, OWN_FAINT = 0.024, 0.15
"""Deviations of fine detail (of values in [-1, 1]) from which a cell says less of what all share:
hair and edges are strong, and no two cells of them alike."""


def without_lattice(restored: Tensor, seen: Tensor, patch: int) -> Tensor:
    """(B, 3, S, S), both; `patch` is the side of a patch, in pixels."""
    for cell, around, faint in (
        (2 * patch, PAIRS_AROUND, PAIRS_FAINT),
        (patch, OWN_AROUND, OWN_FAINT),
    ):
        added = restored - seen
        fine = added - low_pass(added, FINE * patch)
        restored = restored - repeated(fine, cell, around, faint)
    return restored


def repeated(fine: Tensor, cell: int, around: float, faint: float) -> Tensor:
    """What all cells around have at the same place; the stronger a cell, the less it says."""
    batch, colours, size = fine.shape[:3]
    count = size // cell
    # one small picture for every place in a cell
    places = fine.view(batch, colours, count, cell, count, cell).permute(0, 1, 3, 5, 2, 4)
    weight = 1 / (places.square().mean((1, 2, 3), keepdim=True) / faint**2 + 1)
    window = gaussian(count, around, fine.device, fine.dtype)
    common = window((places * weight).contiguous()) / window(weight.contiguous())
    common = common - common.mean((2, 3), keepdim=True)
    return common.permute(0, 1, 4, 2, 5, 3).reshape(fine.shape)
