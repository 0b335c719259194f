"""References in place: what is moved where, which reference counts, and what the network gains."""

from __future__ import annotations

import torch
import torch.nn.functional as functional

from tests.model.small import ALIGNED, SIZE, picture, small_config, small_network
from vidref.model.aligner import REACH, Moved, likeness, moved, small, suiting, together
from vidref.model.bundle import RestorerNetwork
from vidref.training.beginning import fits_within, widened
from vidref.training.losses import misplaced


def smooth(seed: int, size: int = SIZE) -> torch.Tensor:
    """A picture (1, 3, S, S) whose structure is several pixels wide, as a face's is."""
    coarse = picture(seed, size // 8)[None]
    return functional.interpolate(coarse, (size, size), mode="bicubic").clamp(-1, 1)


def test_a_shift_takes_every_pixel_from_where_it_says() -> None:
    seen = smooth(1)
    right = torch.zeros(1, 2, 8, 8)
    right[:, 0] = 2 * 5 / SIZE
    found = moved(seen, right)
    assert torch.allclose(found[..., :-5], seen[..., 5:], atol=1e-5)
    assert torch.allclose(moved(seen, torch.zeros_like(right)), seen, atol=1e-5)


def test_a_reference_without_weight_is_not_in_the_picture_and_a_better_one_is_more_so() -> None:
    pictures = torch.stack([smooth(1)[0], smooth(2)[0]])[None]
    even = Moved(pictures, torch.zeros(1, 2, 2, 8, 8), torch.zeros(1, 2, 1, 8, 8))
    first = together(even, torch.tensor([[1.0, 0.0]]))
    assert torch.allclose(first.picture, pictures[:, 0], atol=1e-5) and first.there.item() == 1
    mixed = together(even, torch.tensor([[1.0, 0.5]])).picture
    wanted = (2 * pictures[:, 0] + pictures[:, 1]) / 3
    assert torch.allclose(mixed, wanted, atol=1e-5)
    fitter = Moved(pictures, even.shifts, even.fit + torch.tensor([0.0, 40.0]).view(1, 2, 1, 1, 1))
    assert torch.allclose(together(fitter, torch.ones(1, 2)).picture, pictures[:, 1], atol=1e-5)
    nothing = together(even, torch.zeros(1, 2))
    assert nothing.there.item() == 0 and not nothing.picture.any()


def test_places_are_compared_with_those_around_them() -> None:
    face, reference = torch.randn(2, 2, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    found = likeness(face, reference)
    side = 2 * REACH + 1
    assert found.shape == (2, side**2, 8, 8)
    one, beside = face[1, :, 4, 3], reference[1, :, 4 + 2, 3 - 1]
    cosine = functional.cosine_similarity(one, beside, dim=0)
    assert torch.allclose(found[1, (REACH + 2) * side + REACH - 1, 4, 3], cosine, atol=1e-5)


def test_a_first_layer_in_parts_is_the_whole_layer() -> None:
    aligner = small_network(small_config(**ALIGNED)).aligner
    assert aligner is not None
    entered: list[torch.Tensor] = []
    # what the layer gives goes into the first block
    aligner.down[0].register_forward_pre_hook(lambda _, told: entered.append(told[0]))
    z_lq, references, place = torch.randn(2, 192, 8, 8), torch.randn(4, 192, 8, 8), torch.rand(8, 8)
    place = place.expand(1, 8, 8, 8)
    aligner(z_lq, aligner.look_at(references), place)
    face, others = aligner.face(z_lq), aligner.reference(references)
    compared = [look(one) for look, one in zip(aligner.compare, (face, others), strict=True)]
    alike = likeness(compared[0].repeat_interleave(2, 0), compared[1])
    seen = [face.repeat_interleave(2, 0), others, alike, place.expand(4, -1, -1, -1)]
    assert torch.allclose(entered[0], aligner.enter(torch.cat(seen, 1)), atol=1e-4)


def test_a_network_that_grows_an_aligner_predicts_what_it_did() -> None:
    torch.manual_seed(0)
    old = small_network(small_config(**{**ALIGNED, "aligner": None}))
    new = RestorerNetwork(small_config(**ALIGNED)).eval()
    own = new.own_weights()
    for key, value in old.own_weights().items():
        assert fits_within(value, own[key]), key
        own[key] = value if value.shape == own[key].shape else widened(value, own[key])
    new.load_state_dict(own, strict=False)
    z, z_lq = torch.randn(2, 192, 8, 8), torch.randn(2, 192, 8, 8)
    t, tokens = torch.tensor([500, 999]), torch.randn(2, 5, 32)
    references = torch.stack([picture(1), picture(2)])[:, None]
    shown = together(new.bring(z_lq, references), torch.ones(2, 1))
    with torch.no_grad():
        wanted = old.denoiser(z, z_lq, t, tokens)
        found = new.denoiser(z, z_lq, t, tokens, None, shown)
    assert torch.allclose(found, wanted, atol=1e-4)


def test_an_aligner_learns_where_a_reference_belongs() -> None:
    torch.manual_seed(0)
    network = RestorerNetwork(small_config(**ALIGNED))
    assert network.aligner is not None
    optimiser = torch.optim.Adam(network.aligner.parameters(), lr=3e-3)
    belongs = torch.eye(3).repeat(4, 1, 1, 1)
    belongs[..., 0, 2] = -2 * 4 / SIZE
    losses = []
    for step in range(60):
        targets = torch.cat([smooth(4 * step + i) for i in range(4)])
        references = moved(targets, torch.full((4, 2, 8, 8), 2 * 4 / SIZE))[:, None]
        found = network.bring(network.codec.encode(targets), references)
        loss = misplaced(found, targets, belongs, torch.ones(4, 1, dtype=torch.bool))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])


def test_the_reference_that_agrees_with_the_face_is_taken() -> None:
    face, other = smooth(1), smooth(2)
    shifts = torch.zeros(1, 3, 2, 8, 8)
    references = small(torch.stack([other, face * 0.5 + 0.1, face], 1))
    even = torch.ones(1, 3)
    blurred = small(functional.avg_pool2d(face, 5, 1, 2))
    found = suiting(even, references, shifts, blurred)[0]
    assert found[0] < 0.05 and found[1:].min() > 0.7
    # one that is out of place suits as little, and one that may not be shown is not
    shifts[0, 2] = 0.5
    found = suiting(torch.tensor([[1.0, 0.0, 1.0]]), references, shifts, blurred)[0]
    assert found[1] == 0 and found.max() == 1
    assert suiting(torch.zeros(1, 3), references, shifts, blurred).abs().max() == 0
