"""A run of the restorer: data, pairing, resuming exactly, learning, and the command."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from tests.model.small import ALIGNED, DIMENSION, recogniser_file, small_config
from tests.training.small_photos import write_photos
from vidref.cli.train_restorer import CONFIGS, restorer
from vidref.errors import InputError, ModelError, SettingsError
from vidref.model.restorer import Restorer
from vidref.training.batches import Batch, BatchMaker
from vidref.training.pairs import Pairing
from vidref.training.photos import Photos, load_photos
from vidref.training.restorer import train_restorer
from vidref.training.restorer_config import TrainingConfig, read_training_config
from vidref.training.travel import cut, join, pack_photos
from vidref.training.views import FIXED, TARGET, homographies, sample_views


def small_training(folder: Path, **changes: Any) -> TrainingConfig:
    values: dict[str, object] = {
        "restorer": small_config().model_dump(),
        "data": {"folder": write_photos(folder / "photos"), "references": 2},
        "damage": {"encode": False},
        "losses": {"identity": 0.1, "recogniser_features": 0.05, "adversarial": 0.01},
        "recogniser": recogniser_file(folder),
        "run": {"size": 64, "batch": 4, "steps": 6, "warmup": 2, "log_every": 1, "sheet_every": 99},
    }
    for part, change in changes.items():
        known = values.get(part)
        values[part] = {**known, **change} if isinstance(known, dict) else change
    return TrainingConfig.model_validate(values)


def photos(folder: Path) -> Photos:
    return load_photos(write_photos(folder), 64)


def batch(config: TrainingConfig, step: int = 0) -> Batch:
    seen = load_photos(config.data.folder, config.run.size)
    return BatchMaker(seen, config, torch.device("cpu"), None).make(step)


def test_photographs_are_those_of_the_split_with_their_own_resolution(tmp_path: Path) -> None:
    seen = photos(tmp_path)
    assert len(seen) == 7 and seen.pixels.shape == (7, 3, 77, 77)
    assert len(set(seen.people.tolist())) == 4
    assert sorted(set(seen.detail.tolist())) == [0.25, 1.0]
    assert len(load_photos(tmp_path, 64, strict=True)) == 3
    with pytest.raises(InputError, match=r"faces\.csv"):
        load_photos(tmp_path / "nothing", 64)


def test_the_plain_view_is_the_inner_square(tmp_path: Path) -> None:
    seen = photos(tmp_path)
    index = torch.tensor([0, 3])
    maps = homographies(FIXED, torch.tensor([False, True]), torch.Generator())
    views, real = sample_views(seen, index, maps, 64)
    stored = seen.pixels[index].float() / 127.5 - 1
    edge = (77 - 64) / 2
    inner = torch.nn.functional.grid_sample(
        stored, torch.nn.functional.affine_grid(torch.tensor([[[64.17 / 77, 0, 0.0],
        [0, 64.17 / 77, 0]]]).expand(2, 2, 3), [2, 3, 64, 64], align_corners=False),
        align_corners=False,
    )  # fmt: skip
    assert edge > 6
    assert (views[0] - inner[0]).abs().mean() < 0.03
    assert (views[1].flip(2) - inner[1]).abs().mean() < 0.03
    assert real.min() == 1


def test_mirrored_pixels_and_corners_of_round_photos_are_not_real(tmp_path: Path) -> None:
    seen = photos(tmp_path)
    half = seen.corners.clone()
    half[0, :, 0] = torch.tensor([0, 0.5, 0.5, 0])
    changed = Photos(seen.pixels, seen.people, seen.detail, half, seen.circular, seen.names)
    maps = homographies(FIXED, torch.zeros(2, dtype=torch.bool), torch.Generator())
    round_one = int(seen.circular.nonzero()[0])
    _, real = sample_views(changed, torch.tensor([0, round_one]), maps, 64)
    assert float(real[0].mean()) == pytest.approx(0.5, abs=0.02)
    assert real[0, 0, :, 0].min() == 1 and real[0, 0, :, -1].max() == 0
    assert real[1, 0, 0, 0] == 0 and real[1, 0, 32, 32] == 1


def test_references_are_other_photographs_where_there_are_any(tmp_path: Path) -> None:
    seen = photos(tmp_path)
    pairing = Pairing(seen, references=2, several_share=0.5, wrong_share=0.2)
    draws = torch.Generator().manual_seed(0)
    people = seen.people.tolist()
    groups = {p: people.count(p) for p in people}
    wrong = 0
    for _ in range(60):
        choice = pairing.choose(4, draws)
        for row, target in enumerate(choice.targets.tolist()):
            for column, chosen in enumerate(choice.references[row].tolist()):
                if choice.wrong_person[row]:
                    assert people[chosen] != people[target]
                elif groups[people[target]] > 1:
                    assert chosen != target and people[chosen] == people[target]
                    assert not choice.same_photo[row, column]
                else:
                    assert chosen == target and choice.same_photo[row, column]
        wrong += int(choice.wrong_person.sum())
        assert set(choice.counts.tolist()) <= {1, 2}
    assert 20 < wrong < 80


def test_a_batch_depends_on_its_step_alone(tmp_path: Path) -> None:
    config = small_training(tmp_path)
    one, again, other = batch(config, 5), batch(config, 5), batch(config, 6)
    for name in ("target", "degraded", "references", "real"):
        assert torch.equal(getattr(one, name), getattr(again, name))
    assert not torch.equal(one.target, other.target)
    assert one.target.abs().max() <= 1 and one.degraded.abs().max() <= 1


def test_all_kinds_of_damage_are_met_in_their_shares(tmp_path: Path) -> None:
    # only `severe` and `moderate`, told apart by how little of the target is left
    config = small_training(
        tmp_path,
        damage={"moderate": 0.5, "severe": 0.5, "training": 0, "video": 0, "encode": False},
        run={"batch": 4},
    )
    errors = []
    for step in range(25):
        made = batch(config, step)
        errors += (made.degraded - made.target).abs().mean((1, 2, 3)).tolist()
    ordered = sorted(errors)
    assert sum(ordered[50:]) / 50 > 1.5 * sum(ordered[:50]) / 50


def test_the_view_of_an_only_photograph_is_far_from_the_target(tmp_path: Path) -> None:
    config = small_training(tmp_path, data={"references": 1, "wrong_share": 0})
    seen = load_photos(config.data.folder, 64)
    maker = BatchMaker(seen, config, torch.device("cpu"), None)
    draws = torch.Generator().manual_seed(0)
    target, _ = sample_views(
        seen, torch.arange(4), homographies(TARGET, torch.zeros(4).bool(), draws), 64
    )
    everyone, straight = torch.ones(4).bool(), torch.zeros(4).bool()
    same, _ = maker._references(torch.arange(4), everyone, straight, draws)
    assert (same - target).abs().mean() > 0.1


@pytest.mark.slow
def test_a_resumed_run_is_the_unbroken_run_to_the_last_bit(tmp_path: Path) -> None:
    config = small_training(tmp_path, run={"accumulate": 2, "batch": 2})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train_restorer(config, whole, report=lambda line: None)
    times = iter(range(1000))
    # a clock that reaches the limit after a few steps, wherever that is
    train_restorer(
        config, broken, time_limit=8, report=lambda line: None, clock=lambda: next(times)
    )
    with (broken / "log.csv").open() as file:
        assert 0 < len(list(csv.DictReader(file))) < 6
    train_restorer(config, broken, report=lambda line: None)
    assert (whole / "state.safetensors").stat().st_size > 10_000
    from safetensors.torch import load_file

    one, other = load_file(whole / "state.safetensors"), load_file(broken / "state.safetensors")
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


@pytest.mark.slow
def test_training_learns_and_its_bundle_restores(tmp_path: Path) -> None:
    config = small_training(
        tmp_path,
        data={"vary": False, "limit": 2, "references": 1, "wrong_share": 0},
        damage={"moderate": 0, "severe": 1, "training": 0, "video": 0, "faded": 0, "grey": 0},
        losses={"identity": 0, "recogniser_features": 0, "adversarial": 0},
        drop_degraded=0.0,
        run={"steps": 80, "learning_rate": 2e-3, "warmup": 5, "batch": 4, "ema": 0.9},
    )
    folder = tmp_path / "run"
    train_restorer(config, folder, report=lambda line: None)
    with (folder / "log.csv").open() as file:
        found = [float(row["reconstruction"]) for row in csv.DictReader(file)]
    assert sum(found[-20:]) < 0.85 * sum(found[:20])
    loaded = Restorer.load(str(folder / "bundle"))
    identity = loaded.config.context.identity
    assert identity is not None and identity.dimension == DIMENSION
    assert identity.recogniser_sha256 is not None
    assert (folder / "sheets" / "0000080.png").exists()
    assert "Averaged weights after 80 steps" in (folder / "bundle" / "CARD.md").read_text()
    # a second run starts from the first one's weights
    again = config.model_copy(update={"start_from": str(folder / "bundle")})
    run = again.run.model_copy(update={"steps": 1})
    outcome = train_restorer(
        again.model_copy(update={"run": run}), tmp_path / "next", report=lambda line: None
    )
    assert outcome.progress.step == 1


def test_a_restorer_that_sees_references_trains_in_half_precision(tmp_path: Path) -> None:
    aligned = small_config(**ALIGNED).model_dump()
    ends = []
    for precision in ("fp32", "bf16"):
        config = small_training(
            tmp_path, restorer=aligned, run={"steps": 2, "precision": precision}
        )
        ends.append(train_restorer(config, tmp_path / precision, report=lambda line: None))
    whole, half = (end.last_loss for end in ends)
    assert 0 < abs(whole - half) < 0.02 * whole


@pytest.mark.parametrize("prediction", ["v", "epsilon"])
def test_every_prediction_trains(prediction: str, tmp_path: Path) -> None:
    config = small_training(tmp_path, run={"steps": 2})
    restorer_config = small_config(
        denoiser={"widths": [32, 32], "cross_attention": [False, True]},
        diffusion={"prediction": prediction, "schedule": "linear"},
    )
    config = config.model_copy(update={"restorer": restorer_config})
    assert train_restorer(config, tmp_path / "run", report=lambda line: None).last_loss > 0


def test_the_papers_configuration_trains_from_checkpoints_of_the_real_format(
    tmp_path: Path,
) -> None:
    from safetensors.torch import save_file

    from tests.model.test_clip_tower import openai_names, vision_model
    from tests.model.test_denoiser import stable_diffusion

    checkpoint = stable_diffusion(tmp_path / "sd")
    farl = tmp_path / "farl.safetensors"
    save_file({k: v.clone() for k, v in openai_names(vision_model()).items()}, farl)
    paper = small_config(
        codec={"kind": "autoencoder-kl", "channels": 4, "source": str(checkpoint)},
        denoiser={"source": str(checkpoint)},
        context={
            "width": 32,
            "identity": {"dimension": DIMENSION, "normalised": False},
            "semantic": {"source": str(farl), "tokens": 197, "dimension": 128},
        },
        diffusion={"prediction": "epsilon", "schedule": "scaled-linear"},
    )
    config = small_training(
        tmp_path,
        data={"references": 1, "augment_references": False},
        losses={"adversarial": 0},
        run={"steps": 2, "batch": 2},
    ).model_copy(update={"restorer": paper})
    train_restorer(config, tmp_path / "run", report=lambda line: None)
    loaded = Restorer.load(str(tmp_path / "run" / "bundle"), batch=1)
    assert loaded.config.denoiser.source == str(checkpoint)


def test_shards_that_travel_hold_the_same_photographs(tmp_path: Path) -> None:
    here = write_photos(tmp_path / "here")
    shards = pack_photos(here, tmp_path / "there", limit_bytes=9_000)
    assert len(shards) > 1 and all(s.stat().st_size <= 9_000 for s in shards)
    mine, theirs = load_photos(here, 64), load_photos(tmp_path / "there", 64)
    order = [theirs.names.index(name) for name in mine.names]
    assert torch.equal(mine.pixels, theirs.pixels[order])
    assert torch.equal(mine.corners, theirs.corners[order])


def test_a_state_comes_back_in_pieces_and_a_lost_piece_is_noticed(tmp_path: Path) -> None:
    data = torch.randint(256, (10_000,), dtype=torch.uint8).numpy().tobytes()
    (tmp_path / "state").write_bytes(data)
    pieces = cut(tmp_path / "state", tmp_path / "out", 4096)
    assert len(pieces) == 3
    assert join(tmp_path / "out", "state", tmp_path / "back").read_bytes() == data
    pieces[1].unlink()
    with pytest.raises(InputError, match="incomplete"):
        join(tmp_path / "out", "state", tmp_path / "back")


def test_wrong_configurations_are_refused_with_a_sentence(tmp_path: Path) -> None:
    config = small_training(tmp_path)
    with pytest.raises(SettingsError, match="recogniser is not set"):
        train_restorer(config.model_copy(update={"recogniser": None}), tmp_path / "run")
    file = tmp_path / "run.yaml"
    file.write_text("data: {folder: x, nonsense: 1}\nrestorer: {}")
    with pytest.raises(SettingsError, match=r"run\.yaml"):
        read_training_config(file)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "state.safetensors").write_bytes(b"not tensors")
    with pytest.raises(ModelError, match="delete it"):
        train_restorer(config, tmp_path / "bad", report=lambda line: None)


@pytest.mark.parametrize(
    "name",
    [p.name for p in sorted(CONFIGS.glob("train-restorer*.yaml"))] + ["train-paper-512.yaml"],
)
def test_every_configuration_that_ships_is_valid(name: str) -> None:
    config = read_training_config(CONFIGS / name)
    assert config.restorer.size == 512


def test_the_command_trains_and_changes_values(tmp_path: Path) -> None:
    config = small_training(tmp_path)
    file = tmp_path / "run.yaml"
    file.write_text(config.model_dump_json())
    arguments = ["--config", str(file), "--out", str(tmp_path / "run"), "--set", "run.steps=1"]
    result = CliRunner().invoke(restorer, arguments, catch_exceptions=False)
    assert result.exit_code == 0 and "1 steps" in result.output
    with pytest.raises(SettingsError, match="KEY=VALUE"):
        CliRunner().invoke(restorer, [*arguments, "--set", "nonsense"], catch_exceptions=False)
