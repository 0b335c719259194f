"""Fine detail from a person's photographs: where it is added, how much, and where it stays out."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.model.small import ALIGNED, DIMENSION, picture, small_config
from vidref.model.aligner import Shown
from vidref.model.bundle import RestorerNetwork
from vidref.model.context import Reference
from vidref.model.restorer import Face, Restorer
from vidref.model.separable import low_pass, resized
from vidref.model.texture import filled_up, filled_up_finest, grey, in_place, likeness

SIZE = 128
STILL, ONLY = torch.zeros(1, 2, 8, 8), torch.ones(1, 8, 8)


def soft_and_sharp(seed: int = 1) -> tuple[Tensor, Tensor]:
    """A face (3, S, S) of broad structure, and the same with fine grain on it."""
    soft = resized(0.4 * picture(seed, SIZE // 8)[None], SIZE)
    grain = 0.06 * torch.randn(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return soft[0], (soft + grain)[0]


def fine(image: Tensor) -> Tensor:
    return image - low_pass(image, 1.5)


def filled(face: Tensor, photograph: Tensor, shifts: Tensor = STILL) -> Tensor:
    return filled_up_finest(face[None], in_place(grey(photograph[None]), shifts, ONLY))[0]


def test_a_soft_face_gets_half_of_the_detail_its_photograph_has() -> None:
    soft, sharp = soft_and_sharp()
    found = filled(soft, sharp)
    share = fine(found).abs().mean() / fine(sharp).abs().mean()
    assert 0.4 < share < 0.6
    # it is this photograph's detail, not any
    assert (fine(found) - 0.5 * fine(sharp)).abs().mean() < 0.2 * fine(sharp).abs().mean()


def test_a_sharp_face_stays_as_it_is() -> None:
    _, sharp = soft_and_sharp()
    softer = low_pass(sharp, 1.0)
    assert (filled(sharp, softer) - sharp).abs().max() < 0.01
    assert (filled(sharp, sharp) - sharp).abs().max() < 0.01


def test_what_only_the_photograph_shows_stays_out() -> None:
    soft, sharp = soft_and_sharp()
    rim = torch.zeros(1, SIZE, SIZE)
    rim[:, 60:64, 20:108] = -1.0
    found, plain = filled(soft, sharp + rim), filled(soft, sharp)
    # along the rim its own shape is left, across all the grain
    along = (found - soft)[:, :, 30:98].mean((0, 2))
    wanted = fine(rim[None])[0, 0, :, 64]
    assert along.abs().max() < 0.05 * wanted.abs().max()
    # a little away from it detail is brought as before
    assert torch.allclose(found[:, :30], plain[:, :30], atol=0.01)


def test_detail_comes_without_colour() -> None:
    soft, sharp = soft_and_sharp()
    tinted = sharp * torch.tensor([1.0, 0.7, 0.4]).view(3, 1, 1)
    added = filled(soft, tinted) - soft
    assert added.abs().max() > 0.02
    assert torch.allclose(added[0], added[1], atol=1e-6)
    assert torch.allclose(added[0], added[2], atol=1e-6)


def test_detail_follows_the_shifts() -> None:
    soft, sharp = soft_and_sharp()
    aside = torch.zeros(1, 2, 8, 8)
    aside[:, 0] = 2 * 4 / SIZE
    moved_away = torch.roll(sharp, 4, 2)
    found = filled(soft, moved_away, aside)
    assert (found - filled(soft, sharp))[..., 20:-20].abs().max() < 0.02


def test_faces_without_photographs_are_left_alone() -> None:
    soft, sharp = soft_and_sharp()
    both = torch.stack([soft, soft])
    shown = Shown(torch.stack([sharp, torch.zeros_like(sharp)]), torch.tensor([1.0, 0.0]))
    found = filled_up(both, shown)
    assert torch.equal(found[1], soft) and (found[0] - soft).abs().mean() > 0.002


def with_coarser_grain(seed: int = 1) -> tuple[Tensor, Tensor]:
    """A face (1, 3, S, S) with features, and the same with grain three pixels wide on it."""
    features = resized(0.4 * picture(seed, SIZE // 16)[None], SIZE)
    grain = torch.randn(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return features, features + 0.6 * (low_pass(grain, 1.6) - low_pass(grain, 3.0))


def test_what_is_coarser_than_fine_is_filled_up_too() -> None:
    soft, sharp = with_coarser_grain()

    def coarser(image: Tensor) -> Tensor:
        return low_pass(image, 1.6) - low_pass(image, 3.0)

    found = filled_up(soft, Shown(sharp, torch.ones(1)))
    missing = coarser(grey(sharp) - grey(soft))
    brought = coarser(grey(found) - grey(soft))
    share = float((brought * missing).sum() / (missing * missing).sum())
    assert 0.25 < share < 0.75


def test_a_face_unlike_its_photograph_is_lent_nothing() -> None:
    soft, _ = with_coarser_grain(1)
    _, stranger = with_coarser_grain(2)
    assert likeness(grey(soft), grey(soft)) == 1
    assert likeness(grey(soft), grey(stranger)) == 0
    assert torch.equal(filled_up(soft, Shown(stranger, torch.ones(1))), soft)


def test_a_restored_face_has_more_detail_with_its_photograph() -> None:
    # before it is trained a network changes nothing, so what differs is the detail alone
    config = small_config(size=SIZE, working_size=SIZE // 2, **ALIGNED)
    restorer = Restorer(RestorerNetwork(config), batch=2)
    soft, sharp = soft_and_sharp()
    known = restorer.remember([Reference(sharp[None], torch.ones(1, DIMENSION) / DIMENSION**0.5)])
    alone, helped = restorer.restore(
        [Face(soft, "ada", restorer.remember([])), Face(soft, "ada", known)]
    )
    assert fine(helped).abs().mean() > 1.5 * fine(alone).abs().mean()
