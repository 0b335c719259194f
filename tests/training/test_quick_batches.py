"""Batches made with OpenCV are those made on the device, and runs that are spent on few steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.model.small import ALIGNED, small_config
from tests.training.test_restorer_training import small_training
from vidref.model.aligner import local_correlation, middle, moved
from vidref.model.recogniser import Recogniser
from vidref.training import losses
from vidref.training.batches import Batch, BatchMaker
from vidref.training.photos import Photos, load_photos
from vidref.training.quick_batches import QuickBatchMaker, recoloured, to_tensor
from vidref.training.restorer import RestorerTraining
from vidref.training.restorer_config import TrainingConfig
from vidref.training.views import jitter


def both(config: TrainingConfig, step: int = 0) -> tuple[Batch, Batch]:
    photos = load_photos(config.data.folder, config.run.size)
    quick = QuickBatchMaker(photos, config, None).make(step)
    return quick, BatchMaker(photos, config, torch.device("cpu"), None).make(step)


def test_the_same_photographs_are_cut_the_same(tmp_path: Path) -> None:
    plain = {"vary": False, "flip": False, "augment_references": False, "wrong_share": 0}
    config = small_training(tmp_path, data=plain, damage={"faded": 0, "grey": 0})
    quick, usual = both(config)
    assert torch.equal(quick.photos[:, :1], usual.photos[:, :1])
    assert torch.equal(quick.counts, usual.counts) and torch.equal(quick.detail, usual.detail)
    assert (quick.target - usual.target).abs().mean() < 0.006
    assert (quick.references - usual.references).abs().mean() < 0.01
    assert (quick.real - usual.real).abs().mean() < 0.01


def test_a_quick_batch_depends_on_its_step_alone(tmp_path: Path) -> None:
    config = small_training(tmp_path)
    photos = load_photos(config.data.folder, 64)
    recogniser = Recogniser(Path(str(config.recogniser)))
    maker = QuickBatchMaker(photos, config, recogniser)
    maker.make(3)
    late, other = maker.make(5), maker.make(6)
    fresh = QuickBatchMaker(photos, config, recogniser).make(5)
    assert late.embeddings is not None and fresh.embeddings is not None
    for name in ("target", "degraded", "references", "real", "embeddings"):
        assert torch.equal(getattr(late, name), getattr(fresh, name))
    assert not torch.equal(late.target, other.target)


def test_a_batch_says_where_the_references_belong_and_mirrors_them_with_the_target(
    tmp_path: Path,
) -> None:
    config = small_training(
        tmp_path,
        restorer=small_config(**ALIGNED).model_dump(),
        data={"wrong_share": 0, "several_share": 0},
        damage={"faded": 0, "grey": 0},
    )
    apart, in_place = [], []
    for made in (both(config, step)[which] for step in range(4) for which in range(2)):
        count = made.references.shape[1]
        shifts = losses.shifts_of(made.belongs, 32).flatten(0, 1)
        found = moved(made.references.flatten(0, 1), shifts)
        targets = made.target.repeat_interleave(count, 0)
        once = made.photos.flatten() == made.photos[:, :1].repeat_interleave(count)
        for seen, into in ((made.references.flatten(0, 1), apart), (found, in_place)):
            grey = (middle(x).mean(1, keepdim=True) for x in (seen, targets))
            into.append(float(middle(local_correlation(*grey))[once].mean()))
    assert sum(in_place) > sum(apart) + 1
    assert min(in_place) > 0.6


def test_a_share_of_the_references_is_worn(tmp_path: Path) -> None:
    plain = {"vary": False, "flip": False, "augment_references": False, "wrong_share": 0}
    whole = both(small_training(tmp_path / "a", data=plain))
    worn = both(small_training(tmp_path / "b", data={**plain, "worn_share": 1.0}))
    for one, other in zip(whole, worn, strict=True):
        assert (one.references - other.references).abs().mean() > 0.01
        assert (one.references - other.references).abs().mean() < 0.15


def test_what_is_outside_a_photograph_is_not_real(tmp_path: Path) -> None:
    config = small_training(tmp_path, data={"vary": False, "flip": False})
    seen = load_photos(config.data.folder, 64)
    half = seen.corners.clone()
    half[:, :, 0] = torch.tensor([0, 0.5, 0.5, 0])
    photos = Photos(seen.pixels, seen.people, seen.detail, half, seen.circular & False, seen.names)
    quick = QuickBatchMaker(photos, config, None).make(0)
    usual = BatchMaker(photos, config, torch.device("cpu"), None).make(0)
    assert float(quick.real.mean()) == pytest.approx(0.5, abs=0.02)
    assert (quick.real - usual.real).abs().mean() < 0.02


def test_colours_change_as_on_the_device(tmp_path: Path) -> None:
    face = load_photos(small_training(tmp_path).data.folder, 64).pixels[0].permute(1, 2, 0).numpy()
    found = recoloured(face, 0.3, torch.Generator().manual_seed(4))
    wanted = jitter(to_tensor([face]), 0.3, torch.Generator().manual_seed(4))
    assert (to_tensor([found]) - wanted).abs().max() < 0.02
    assert abs(found.astype(int) - face.astype(int)).mean() > 3


def test_each_kind_of_damage_comes_in_its_share(tmp_path: Path) -> None:
    mild, hard = [], []
    for kind, found in (("moderate", mild), ("severe", hard)):
        shares = {name: float(name == kind) for name in ("moderate", "severe", "training", "video")}
        config = small_training(tmp_path / kind, damage=shares)
        maker = QuickBatchMaker(load_photos(config.data.folder, 64), config, None)
        for step in range(8):
            made = maker.make(step)
            found.append(float((made.degraded - made.target).abs().mean()))
    assert sum(hard) > 1.5 * sum(mild)


def test_the_first_step_sees_nothing_of_the_truth_and_the_others_their_own_estimate(
    tmp_path: Path,
) -> None:
    config = small_training(tmp_path, noise={"first": 0.0, "own": 1.0}, data={"quick": True})
    training = RestorerTraining(config, tmp_path / "run")
    batch = training.batches.get(0)
    z_0 = training.network.codec.encode(batch.target)
    z_lq = training.network.codec.encode(batch.degraded)
    never = torch.zeros(4, dtype=torch.bool)
    raw, noise = training._raw(batch), torch.randn_like(z_0)
    own = torch.tensor([True, False, True, False])
    found = training._own_estimate(own, z_0, noise, z_lq, raw, batch, never, never)
    assert torch.equal(found[1::2], z_0[1::2])
    # an untrained residual network's first estimate is the degraded crop itself
    assert torch.allclose(found[::2], z_lq[::2])
    assert not torch.allclose(found[::2], z_0[::2], atol=0.01)


def test_edges_forgive_a_shade_and_not_a_blur() -> None:
    target = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    real, detail = torch.ones(2, 1, 32, 32), torch.ones(2)
    assert losses.edges(target + 0.1, target, real, detail).max() < 1e-6
    soft = torch.nn.functional.avg_pool2d(target, 3, 1, 1)
    assert losses.edges(soft, target, real, detail).min() > 0.05


def test_pictures_of_full_resolution_are_spared_the_low_pass() -> None:
    difference = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    detail = torch.tensor([1.0, 0.4, 1.0, 0.6])
    found = losses.at_own_resolution(difference, detail)
    assert torch.allclose(found, losses.low_passed(difference, detail), atol=1e-6)
    assert torch.equal(found[0], difference[0])
