"""The finest detail: as strong as is said and no stronger, a person's own, and without colour."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.model.small import ALIGNED, picture, reference, small_config, small_network
from vidref.errors import SettingsError
from vidref.model.bundle import RestorerNetwork
from vidref.model.config import GrainConfig, parse_config
from vidref.model.grain import Grain, carriers, detail, strengths
from vidref.model.restorer import Face, Restorer, Sampling
from vidref.model.separable import resized

SIZE = 128
SHARES = (0.5, 0.4, 0.3)
HALF = Sampling(grain=0.5)
Shares = tuple[float, float, float]


def saying(strength: float, shares: Shares = SHARES) -> Grain:
    """A grain that says the same of every place and band."""
    grain = Grain(GrainConfig(shares=shares)).eval().requires_grad_(False)
    grain.say.weight.zero_()
    assert grain.say.bias is not None
    grain.say.bias.fill_(torch.tensor(strength).log())
    return grain


def soft(seed: int = 1) -> Tensor:
    return resized(0.4 * picture(seed, SIZE // 16)[None], SIZE)


def strong(picture: Tensor) -> list[float]:
    """In the middle of the face."""
    middle = strengths(detail(picture))[..., 7:11, 6:10]
    return [float(v) for v in middle.mean((0, 2, 3))]


@pytest.mark.parametrize("band", range(3))
def test_a_soft_face_gets_a_share_of_what_it_is_meant_to_have(band: int) -> None:
    face = torch.zeros(1, 3, SIZE, SIZE)
    shares = (0.5 * (band == 0), 0.5 * (band == 1), 0.5 * (band == 2))
    added = saying(0.01, shares).added(face, face, None, 1, "ada")
    assert added.shape == (1, 1, SIZE, SIZE)
    # what is drawn for a band reaches into its neighbours', as such bands do
    own = strong(carriers(1, "ada", SIZE)[None, band : band + 1])[band]
    assert strong(added)[band] == pytest.approx(0.01 * 0.5**2 * own, rel=0.05)


def test_beside_the_face_there_is_none() -> None:
    face = torch.zeros(1, 3, SIZE, SIZE)
    added = saying(0.01).added(face, face, None, 1, "ada").abs()
    assert added[..., :8, :].max() == 0 and added[..., :12].max() == 0
    assert added[..., 64:80, 56:72].mean() > 0.01


def test_a_face_that_has_its_detail_gets_none() -> None:
    face = soft()
    sharp = face + 0.2 * torch.randn(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    grain = saying(2e-4)
    assert grain.added(sharp, sharp, None, 1, "ada").abs().max() < 1e-6
    assert grain.added(face, face, None, 1, "ada").abs().mean() > 0.002


def test_what_a_part_of_the_crop_takes_away_is_made_up_for() -> None:
    crop, grain = soft(), saying(2e-4)
    noise = torch.randn(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    sharp = crop + 0.2 * noise
    assert grain.added(sharp, crop, None, 1, "ada").abs().max() < 1e-6
    assert grain.added(sharp, crop, None, 1, "ada", 0.05).abs().mean() > 0.002


def test_it_belongs_to_the_person_and_lies_still() -> None:
    grain, one, other = saying(0.01), soft(1), soft(2)
    mine, again = (grain.added(face, face, None, 1, "ada") for face in (one, other))
    somebody, seeded = (grain.added(one, one, None, *w) for w in ((1, "bob"), (2, "ada")))

    def alike(a: Tensor, b: Tensor) -> float:
        return float((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt())

    assert alike(mine, again) > 0.95
    assert abs(alike(mine, somebody)) < 0.1 and abs(alike(mine, seeded)) < 0.1


def finished(shares: Shares) -> Restorer:
    grain = {"width": 16, "blocks": 1, "shares": shares}
    config = small_config(size=SIZE, working_size=SIZE // 2, grain=grain, **ALIGNED)
    return Restorer(small_network(config), batch=2)


def test_a_restorer_adds_it_in_grey_for_each_face_alone() -> None:
    crops = [picture(seed, SIZE) * 0.3 for seed in (5, 6)]
    with_it, without = finished(SHARES), finished((0, 0, 0))
    assert with_it.network.grain is not None
    with_it.network.grain.say.bias.data.fill_(-2)  # type: ignore[union-attr]

    def restored(restorer: Restorer, *which: int) -> Tensor:
        known = restorer.remember([reference(1)])
        return restorer.restore([Face(crops[i], "ada", known) for i in which])

    found, before = restored(with_it, 0), restored(without, 0)
    added = found - before
    assert added.abs().mean() > 0.01
    # where no colour was cut off at black or white
    free = (torch.maximum(found.abs(), before.abs())[0] < 1).all(0)
    assert torch.allclose(added[0, 0][free], added[0, 1][free], atol=1e-5)
    mixed = [Face(crops[0], "ada", with_it.remember([reference(1)]), share) for share in (1, 0.5)]
    whole, made_up = ((face - before).abs().mean() for face in with_it.restore(mixed))
    assert made_up > 1.6 * whole
    half = with_it.restore([Face(crops[0], "ada", with_it.remember([reference(1)]))], HALF)
    assert torch.allclose((half - before)[0, 0][free], 0.5 * added[0, 0][free], atol=1e-5)
    assert torch.equal(found, restored(with_it, 0, 1)[:1])


def test_it_is_part_of_a_bundle_and_of_its_configuration() -> None:
    grain = {"width": 16, "blocks": 1}
    config = small_config(size=SIZE, working_size=SIZE // 2, grain=grain, **ALIGNED)
    assert any(key.startswith("grain.") for key in RestorerNetwork(config).own_weights())
    with pytest.raises(SettingsError, match="grain"):
        parse_config({**config.model_dump(), "working_size": None}, "here")
    with pytest.raises(SettingsError, match="shares"):
        parse_config({**config.model_dump(), "grain": {"shares": (0.1, 0.2)}}, "here")
