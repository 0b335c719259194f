"""What a network that works in patches adds to every patch alike: a faint lattice on smooth skin.

Every patch of a restored face is made by the same weights, and so are the pairs of patches that an
upsampling step makes of one; what these weights do not balance comes out as a pattern that repeats
from patch to patch, about half a level of 255 strong: too little for a loss or a measure of faces
to mind, and on a smooth cheek plain to see. Nothing in a face repeats so, so it is taken out: from
what was added to the input, whatever lies at the same place in all the cells around.
"""

from __future__ import annotations

from torch import Tensor

from vidref.model.separable import gaussian, low_pass

FINE = 0.25
"""Detail beneath this deviation, in cells, is looked at: what is broader is the face's shape."""
AROUND = 5.0
"""Deviation, in cells, of the window in which a pattern counts as the same."""
FAINT = 0.024
"""Deviation of fine detail (of values in [-1, 1]) from which a cell says less of what all share."""


def without_lattice(restored: Tensor, seen: Tensor, cell: int) -> Tensor:
    """(B, 3, S, S), both; `cell` is the side of what repeats, in pixels."""
    added = restored - seen
    fine = added - low_pass(added, FINE * cell)
    batch, colours, size = fine.shape[:3]
    count = size // cell
    # one small picture for every place in a cell
    places = fine.view(batch, colours, count, cell, count, cell).permute(0, 1, 3, 5, 2, 4)
    # hair and edges are strong, and no two cells of them alike: smooth skin has the word
    weight = 1 / (places.square().mean((1, 2, 3), keepdim=True) / FAINT**2 + 1)
    window = gaussian(count, AROUND, fine.device, fine.dtype)
    common = window((places * weight).contiguous()) / window(weight.contiguous())
    common = common - common.mean((2, 3), keepdim=True)
    return restored - common.permute(0, 1, 4, 2, 5, 3).reshape(restored.shape)
