"""The grain's training: faces made once, strengths learned from them, and the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from tests.model.small import ALIGNED, DIMENSION, recogniser_file, small_config, small_network
from tests.training.small_photos import write_photos
from vidref.cli.train_grain import grain
from vidref.errors import SettingsError
from vidref.model.bundle import save_bundle
from vidref.model.grain import Grain, detail, strengths
from vidref.model.restorer import Restorer
from vidref.training.grain import start_at_the_mean, unlikely
from vidref.training.grain_cases import kept_cases
from vidref.training.grain_config import GrainTraining, read_grain_training

SIZE = 128
NO_CHANGE: dict[str, object] = {}


def bundle(folder: Path) -> Path:
    identity = {"dimension": DIMENSION}
    context = {"width": 32, "identity": identity, "patches": {"grid": 2, "widths": [32, 32]}}
    config = small_config(size=SIZE, working_size=SIZE // 2, context=context, **ALIGNED)
    save_bundle(folder, config, small_network(config).own_weights(), "a card")
    return folder


def recipe(folder: Path) -> Path:
    values = {
        "grain": {"width": 16, "blocks": 1},
        "data": {"folder": str(write_photos(folder / "photos")), "references": 2},
        "damage": {"encode": False},
        "recogniser": str(recogniser_file(folder)),
        "cases": 6,
        "run": {"batch": 2, "steps": 6, "log_every": 2},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(values))
    return folder / "run.yaml"


def read(folder: Path, **changes: object) -> GrainTraining:
    return read_grain_training(recipe(folder), None, changes)


def test_faces_are_made_once_and_only_for_this_recipe(tmp_path: Path) -> None:
    restorer, wanted = Restorer.load(str(bundle(tmp_path / "b"))), read(tmp_path)
    told: list[str] = []
    cases = kept_cases(tmp_path / "cases", wanted, restorer, told.append)
    assert len(cases) == 6 and restorer.network.grain is None
    before = (tmp_path / "cases" / "face.npy").stat().st_mtime_ns
    again = kept_cases(tmp_path / "cases", wanted, restorer, told.append)
    assert (tmp_path / "cases" / "face.npy").stat().st_mtime_ns == before
    seen = again.draw(3, np.random.default_rng(1))
    assert seen.face.shape == seen.real.shape == (3, 1, SIZE, SIZE)
    assert set(seen.real.unique().tolist()) <= {0.0, 1.0}
    # a restored face is near its truth, not a picture of something else
    assert (seen.face - seen.crop).abs().mean() < 0.5
    with pytest.raises(SettingsError, match="another"):
        kept_cases(tmp_path / "cases", read(tmp_path, cases=8), restorer, told.append)


def test_what_is_said_becomes_as_strong_as_the_truth(tmp_path: Path) -> None:
    restorer, wanted = Restorer.load(str(bundle(tmp_path / "b"))), read(tmp_path)
    cases = kept_cases(tmp_path / "cases", wanted, restorer, print)
    torch.manual_seed(0)
    network = Grain(wanted.grain)
    start_at_the_mean(network, cases, wanted.run)
    seen = cases.draw(6, np.random.default_rng(2))
    true = strengths(detail(seen.truth))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    first = float(unlikely(network, seen))
    for _ in range(150):
        optimiser.zero_grad()
        loss = unlikely(network, seen)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert float(loss) < first - 0.3
    said = network(seen.face, seen.crop, seen.photographed, seen.there).exp()
    inner = (..., slice(3, -3), slice(3, -3))
    assert 0.7 < float(said[inner].mean() / true[inner].mean()) < 1.4
    where = torch.corrcoef(torch.stack([said[inner].flatten().log(), true[inner].flatten().log()]))
    assert where[0, 1] > 0.6


def test_the_command_makes_a_bundle_that_restores(tmp_path: Path) -> None:
    made, run = bundle(tmp_path / "b"), recipe(tmp_path)
    arguments = ["--config", str(run), "--model", str(made), "--out", str(tmp_path / "r")]
    found = CliRunner().invoke(grain, [*arguments, "--set", "run.warmup=0"])
    assert found.exit_code == 0, found.output
    restorer = Restorer.load(str(tmp_path / "r" / "bundle"))
    assert restorer.config.grain is not None and restorer.network.grain is not None
    plain = Restorer.load(str(made)).network.state_dict()
    kept = {k: v for k, v in restorer.network.state_dict().items() if not k.startswith("grain.")}
    assert plain.keys() == kept.keys()
    assert all(torch.equal(plain[key], kept[key]) for key in plain)
    assert (tmp_path / "r" / "log.csv").read_text().count("\n") == 4
    assert json.loads((tmp_path / "r" / "cases" / "about.json").read_text())["there"]
    again = CliRunner().invoke(grain, arguments)
    assert isinstance(again.exception, SettingsError)


def test_a_recipe_with_a_wrong_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="lustre"):
        read(tmp_path, lustre=1)
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(SettingsError, match="list"):
        read_grain_training(tmp_path / "list.yaml", None, NO_CHANGE)
