"""What a network adds to every patch alike is taken out, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from vidref.model.lattice import without_lattice
from vidref.model.restorer import Face, Restorer, Sampling
from vidref.model.separable import low_pass

PATCH, SIZE = 8, 256
CELL = 2 * PATCH


def portrait(size: int = SIZE) -> Tensor:
    face = cv2.resize(data.astronaut()[0:256, 95:351], (size, size))
    return torch.from_numpy(face).permute(2, 0, 1)[None].float() / 127.5 - 1


def lattice(strength: float, side: int = CELL) -> Tensor:
    """The same noise in every cell, (1, 3, S, S)."""
    cell = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * strength
    cell = cell - cell.mean((2, 3), keepdim=True)
    return cell.tile(1, 1, SIZE // side, SIZE // side)


def in_levels(difference: Tensor) -> float:
    return float(difference.square().mean().sqrt() * 127.5)


def repeated(picture: Tensor) -> float:
    """Levels of 255 by which the mean cell of a picture (3, S, S) is no plain colour."""
    fine = (picture - low_pass(picture[None], 2.0)[0]).clamp(-0.05, 0.05)
    count = picture.shape[-1] // CELL
    return float(fine.view(3, count, CELL, count, CELL).mean((1, 3)).std() * 127.5)


def restored() -> Tensor:
    """As soft as a face of whose detail little is known comes out."""
    return low_pass(portrait(), 2.0)


@pytest.mark.parametrize(("side", "times"), [(CELL, 2.0), (PATCH, 8.0)])
def test_a_lattice_is_taken_out_also_where_it_comes_and_goes(side: int, times: float) -> None:
    seen = low_pass(portrait(), 6.0)
    turns = torch.linspace(0, times, SIZE) * torch.pi / 2
    made = restored() + lattice(0.02, side) * turns.cos().view(1, 1, 1, SIZE)
    plain = without_lattice(restored(), seen, PATCH)
    inner = (..., slice(24, -24), slice(24, -24))
    before, after = made - restored(), without_lattice(made, seen, PATCH) - plain
    assert in_levels(after[inner]) < 0.4 * in_levels(before[inner])


def test_a_face_without_one_keeps_its_detail() -> None:
    seen, made = low_pass(portrait(), 6.0), restored()
    assert in_levels(without_lattice(made, seen, PATCH) - made) < 0.15 * in_levels(
        made - low_pass(made, 4.0)
    )


def test_what_repeats_in_the_input_itself_stays() -> None:
    woven = portrait() + lattice(0.02)
    made = woven + 0.1
    torch.testing.assert_close(without_lattice(made, woven, PATCH), made, atol=1e-5, rtol=0)


def test_the_restorer_that_ships_shows_none() -> None:
    restorer = Restorer.load("bundled")
    damaged = cv2.GaussianBlur(data.astronaut()[0:256, 95:351], (0, 0), 3)
    crop = torch.from_numpy(np.ascontiguousarray(damaged)).permute(2, 0, 1)[None].float()
    crop = torch.nn.functional.interpolate(crop / 127.5 - 1, (512, 512), mode="bicubic")[0]
    (made,) = restorer.restore([Face(crop, "p1", restorer.remember([]))], Sampling(steps=1))
    small = torch.nn.functional.avg_pool2d(made, 2)
    assert in_levels(made - crop) > 1, "it did something"
    assert repeated(small) < 0.2
