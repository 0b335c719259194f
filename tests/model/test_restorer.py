"""Restoring: determinism of a face among any neighbours, combining references, bundles on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from tests.model.small import (
    ALIGNED,
    SIZE,
    picture,
    reference,
    small_config,
    small_network,
    small_restorer,
)
from vidref.errors import ModelError
from vidref.model.bundle import RestorerNetwork, load_network, save_bundle
from vidref.model.context import Reference
from vidref.model.fidelity import believe_input, scale_of
from vidref.model.found import HASH, WEIGHTS
from vidref.model.guidance import Guidance
from vidref.model.restorer import Combine, Face, Restorer, Sampling
from vidref.model.separable import low_pass

COMBINES: list[Combine] = ["concatenated", "average", "weighted"]


LOOKING: dict[str, object] = {**ALIGNED, "working_size": SIZE // 2}


def people(restorer: Restorer) -> list[Face]:
    """Five faces with 0, 1, 2, 3 and 1 references."""
    return [
        Face(
            picture(100 + i),
            f"person {i}",
            restorer.remember([reference(10 * i + j) for j in range(count)]),
        )
        for i, count in enumerate([0, 1, 2, 3, 1])
    ]


@pytest.mark.parametrize("combine", COMBINES)
@pytest.mark.parametrize("guidance", [Guidance(), Guidance(1.3, 1.1)])
@pytest.mark.parametrize("kind", [{}, LOOKING], ids=["tokens", "pixels"])
def test_a_face_is_bit_exact_in_any_slot_with_any_neighbours(
    combine: Combine, guidance: Guidance, kind: dict[str, object]
) -> None:
    restorer = small_restorer(batch=3, **kind)
    faces = people(restorer)
    sampling = Sampling(steps=2, combine=combine, guidance=guidance)
    alone = [restorer.restore([face], sampling)[0] for face in faces]
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [3, 3, 1]):
        together = restorer.restore([faces[i] for i in order], sampling)
        for slot, i in enumerate(order):
            assert torch.equal(together[slot], alone[i]), f"face {i} in slot {slot} of {order}"
    assert not torch.equal(alone[1], alone[4])


def test_the_same_seed_gives_the_same_face_and_another_seed_another() -> None:
    restorer = small_restorer()
    face = people(restorer)[2]
    again = small_restorer()
    one = restorer.restore([face], Sampling(steps=2))
    assert torch.equal(one, again.restore([face], Sampling(steps=2)))
    other = restorer.restore([face], Sampling(steps=2, seed=1))
    assert not torch.equal(one, other)


def test_noise_belongs_to_the_person_and_not_to_the_frame() -> None:
    restorer = small_restorer()
    face = people(restorer)[1]
    later = Face(face.crop, face.person, face.context)
    somebody_else = replace(face, person="another")
    restored = restorer.restore([face, later, somebody_else], Sampling(steps=2))
    assert torch.equal(restored[0], restored[1])
    assert not torch.equal(restored[0], restored[2])


@pytest.mark.parametrize("kind", [{}, LOOKING], ids=["tokens", "pixels"])
def test_one_reference_is_the_same_however_references_are_combined(
    kind: dict[str, object],
) -> None:
    restorer = small_restorer(**kind)
    face = people(restorer)[1]
    found = [restorer.restore([face], Sampling(steps=2, combine=c)) for c in COMBINES]
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)
    assert torch.equal(found[1], found[2])


@pytest.mark.parametrize("kind", [{}, LOOKING], ids=["tokens", "pixels"])
def test_weights_choose_between_references(kind: dict[str, object]) -> None:
    restorer = small_restorer(**kind)
    both = [reference(1), reference(2)]
    even = restorer.remember(both, [0.5, 0.5])
    first = restorer.remember(both[:1])
    mostly = restorer.remember(both, [1.0, 1e-4])
    sampling = Sampling(steps=2, combine="weighted")

    def restored(context: object, how: Sampling = sampling) -> torch.Tensor:
        return restorer.restore([Face(picture(5), "a", context)], how)  # type: ignore[arg-type]

    plain = restored(mostly, replace(sampling, combine="average"))
    torch.testing.assert_close(
        restored(even), restored(mostly, replace(sampling, combine="average"))
    )
    gap = (restored(even) - restored(first)).abs().max()
    assert (restored(mostly) - restored(first)).abs().max() < 0.02 * gap
    assert (plain - restored(mostly)).abs().max() > 0.5 * gap
    joined = replace(sampling, combine="concatenated")
    gap = (restored(even, joined) - restored(first, joined)).abs().max()
    assert (restored(mostly, joined) - restored(first, joined)).abs().max() < 0.1 * gap


def test_more_references_than_fit_keeps_those_that_weigh_most() -> None:
    restorer = small_restorer(max_references=2)
    three = [reference(i) for i in range(3)]
    kept = restorer.remember(three, [1.0, 3.0, 2.0])
    assert kept.weights == (3.0, 2.0)
    assert torch.equal(kept.tokens, restorer.remember(three[1:]).tokens)
    with pytest.raises(ModelError, match="above zero"):
        restorer.remember(three, [1.0, 0.0, 2.0])


@pytest.mark.parametrize("kind", [{}, LOOKING], ids=["tokens", "pixels"])
def test_the_context_is_heard(kind: dict[str, object]) -> None:
    restorer = small_restorer(**kind)
    crop, nobody = picture(3), restorer.remember([])
    one, other = restorer.remember([reference(1)]), restorer.remember([reference(2)])
    faces = [Face(crop, "a", context) for context in (nobody, one, other)]
    restored = restorer.restore(faces, Sampling(steps=1))
    assert not torch.equal(restored[0], restored[1]) and not torch.equal(restored[1], restored[2])


def test_fidelity_takes_more_of_the_input_the_higher_it_is() -> None:
    restored = torch.rand(1, 3, 64, 64) * 2 - 1
    degraded = low_pass(torch.rand(1, 3, 64, 64) * 2 - 1, 2.0)
    distances = [
        float((believe_input(restored, degraded, f) - degraded).abs().mean())
        for f in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert distances == sorted(distances, reverse=True)
    assert scale_of(0) > scale_of(0.5) > scale_of(1) > 0
    # at any fidelity the colour of the whole is the input's
    shifted = believe_input(restored * 0.1 + 0.5, restored * 0.1, 0.0)
    assert (shifted - restored * 0.1).mean().abs() < 0.01


def test_a_bundle_says_what_it_is_and_restores_the_same(tmp_path: Path) -> None:
    network = small_network()
    save_bundle(tmp_path, network.config, network.own_weights(), "# card", torch.float32)
    loaded = load_network(str(tmp_path))
    assert loaded.config == network.config
    for key, value in network.own_weights().items():
        assert torch.equal(loaded.own_weights()[key], value)
    face = people(small_restorer())[2]
    mine = Restorer(network, batch=3, max_references=3).restore([face], Sampling(steps=2))
    theirs = Restorer(loaded, batch=3, max_references=3).restore([face], Sampling(steps=2))
    assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    "harm", ["flip a byte", "cut short", "no hash", "other sizes", "no header"]
)
def test_a_damaged_bundle_is_refused_with_a_sentence(harm: str, tmp_path: Path) -> None:
    network = small_network()
    save_bundle(tmp_path, network.config, network.own_weights(), "# card")
    path = tmp_path / WEIGHTS
    data = bytearray(path.read_bytes())
    if harm == "flip a byte":
        data[-100] ^= 1
        path.write_bytes(data)
    elif harm == "cut short":
        path.write_bytes(data[:-1000])
    elif harm == "no hash":
        (tmp_path / HASH).unlink()
    elif harm == "other sizes":
        weights = load_file(path)
        weights["context.null"] = torch.zeros(7)
        save_bundle(tmp_path, network.config, weights, "# card")
    else:
        import hashlib

        save_file(load_file(path), path)
        (tmp_path / HASH).write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ModelError) as caught:
        load_network(str(tmp_path))
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_bundle_that_is_nowhere_is_refused_without_a_download(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no restorer\.safetensors there"):
        load_network(str(tmp_path))
    with pytest.raises(ModelError, match="give a bundle's folder or a hub id"):
        load_network("no-such-bundle")


@pytest.mark.parametrize("prediction", ["x0", "v", "epsilon"])
def test_every_prediction_and_step_count_restores(prediction: str) -> None:
    config = small_config(
        denoiser={"widths": [32, 32], "cross_attention": [False, True]},
        diffusion={"prediction": prediction, "schedule": "linear"},
    )
    restorer = Restorer(small_network(config), batch=1, max_references=1)
    for steps in (1, 2, 4):
        for solver in ("ddim", "dpm"):
            face = Face(picture(1), "a", restorer.remember([reference(1)]))
            out = restorer.restore([face], Sampling(steps=steps, solver=solver))  # type: ignore[arg-type]
            assert out.shape == (1, 3, 64, 64) and out.isfinite().all()


def test_what_is_finer_than_the_working_size_stays_as_it_came() -> None:
    config = small_config(size=64, working_size=32)
    untrained = Restorer(RestorerNetwork(config), batch=1)
    face = Face(picture(0), "ada", untrained.remember([]))
    assert torch.allclose(untrained.restore([face])[0], face.crop, atol=1e-5)
    trained = Restorer(small_network(config), batch=1)
    change = trained.restore([Face(picture(0) * 0.5, "ada", trained.remember([]))])[0]
    change = change - picture(0) * 0.5
    # the change is the enlargement of a 32 px picture: next to nothing in the upper half band
    power = torch.fft.fft2(change).abs().square()
    fine = torch.fft.fftfreq(64).abs() > 0.36
    assert change.abs().mean() > 0.02
    assert float(power[:, fine].sum() / power.sum()) < 0.02
    assert small_config(working_size=None).working_size is None
    with pytest.raises(ValidationError, match="multiple of working_size"):
        small_config(size=64, working_size=48)


def test_half_precision_is_the_networks_and_never_the_pixels() -> None:
    levelled = {"kind": "pixel-shuffle", "factor": 8, "channels": 192, "levelled": True}
    untrained = RestorerNetwork(small_config(codec=levelled, **LOOKING))
    half = Restorer(untrained, batch=1, autocast=torch.bfloat16)
    face = Face(picture(0), "ada", half.remember([]))
    # a network that adds nothing gives the crop back: bfloat16 would be 0.004 beside it
    assert torch.allclose(half.restore([face])[0], face.crop, atol=1e-4)
    seeing = small_restorer(**LOOKING, codec=levelled)
    known = Face(picture(0), "ada", seeing.remember([reference(1)]))
    whole = seeing.restore([known])
    seeing.autocast = torch.bfloat16
    apart = (seeing.restore([known]) - whole).abs()
    assert 0 < apart.mean() < 0.01


def test_every_block_is_told_who_it_is() -> None:
    blind = {"widths": [32, 32], "cross_attention": [False, False], "residual": True}
    for told, moves in ((True, True), (False, False)):
        config = small_config(denoiser={**blind, "person": told})
        network = small_network(config)
        for name, weight in network.named_parameters():
            # without what attention finds
            if "attn2.to_out" in name:
                weight.data.zero_()
        restorer = Restorer(network, batch=2, max_references=2)
        contexts = [restorer.remember([reference(seed)]) for seed in (1, 2)]
        faces = [Face(picture(0) * 0.5, "ada", context) for context in contexts]
        one, other = restorer.restore(faces)
        assert (float((one - other).abs().max()) > 1e-3) is moves
    with pytest.raises(ValidationError, match=r"denoiser\.person"):
        small_config(
            denoiser={**blind, "person": True},
            context={"width": 32, "patches": {"grid": 2, "widths": [32, 32]}},
        )


def test_the_patch_encoder_may_look_at_a_smaller_reference() -> None:
    patches = {"grid": 2, "widths": [32, 32], "size": 32}
    config = small_config(context={"width": 32, "patches": patches})
    restorer = Restorer(small_network(config), batch=1)
    whole = restorer.remember([Reference(picture(3)[None])])
    small = torch.nn.functional.interpolate(picture(3)[None], (32, 32), mode="area")
    assert torch.allclose(whole.tokens, restorer.remember([Reference(small)]).tokens, atol=1e-6)
