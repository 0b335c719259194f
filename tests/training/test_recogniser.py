"""What the recogniser is taught: pairs of views, held-out people, and its two losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch

from vidref.errors import SettingsError
from vidref.training.face_export import export_recogniser, read_network
from vidref.training.face_recipe import read_recipe
from vidref.training.face_run import Clock, learning_rate_factor
from vidref.training.recogniser_data import PairSampler, People, hold_out, view
from vidref.training.recogniser_loss import PeopleProxies, agreement
from vidref.training.recogniser_network import RecogniserNetwork
from vidref.training.recogniser_train import RecogniserRecipe, train_recogniser

CONFIG = Path(__file__).resolve().parents[2] / "vidref" / "configs" / "train-recogniser.yaml"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def people(counts: list[int]) -> People:
    """Smooth random "faces"; the photographs of one person are unlike each other."""
    rng = np.random.default_rng(0)
    faces, photos = [], []
    for count in counts:
        photos.append(tuple(range(len(faces), len(faces) + count)))
        for _ in range(count):
            noise = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
            faces.append(cv2.resize(noise, (128, 128), interpolation=cv2.INTER_CUBIC))
    return People(tuple(f"p{i}" for i in range(len(counts))), tuple(photos), np.stack(faces))


def test_a_batch_holds_two_views_of_each_person_and_two_photographs_where_there_are():
    sampler = PairSampler(people([1, 1, 2, 1]), per_batch=4, several_weight=3.0, seed=0)
    faces, owners = sampler.batch(0, None)
    assert faces.shape == (8, 112, 112, 3)
    assert (owners[:4] == owners[4:]).all()
    assert sorted(owners[:4]) == [0, 1, 2, 3]


def test_the_same_batch_comes_from_the_same_seed_whatever_came_before():
    made = people([1, 2, 1])
    first = PairSampler(made, 2, 3.0, seed=1)
    first.batch(0, None)
    ahead, _ = first.batch(5, None)
    alone, _ = PairSampler(made, 2, 3.0, seed=1).batch(5, None)
    assert (ahead == alone).all()


def test_views_of_one_photograph_differ_and_still_show_it():
    made = people([1])
    views = [view(made, 0, np.random.default_rng(i)) for i in range(20)]
    assert len({v.tobytes() for v in views}) == 20


def test_people_are_held_out_whole_and_only_with_really_different_photographs():
    made = people([2, 1, 2, 2])
    twice = made.faces.copy()
    twice[1] = twice[0]
    kept, held = hold_out(People(made.names, made.photos, twice), count=2, seed=0)
    assert set(held.names) == {"p2", "p3"}
    assert set(kept.names) == {"p0", "p1"}


def test_the_margin_costs_most_where_the_person_is_right():
    proxies = PeopleProxies(10, 4, scale=16.0)
    owners = torch.arange(10)
    right = proxies.directions.detach()
    without = float(proxies(right, owners, 0.0).detach())
    assert float(proxies(right, owners, 0.3).detach()) > without


def test_agreement_is_best_when_views_of_a_person_meet_and_people_part():
    owners = torch.arange(4).repeat(2)
    apart = torch.eye(4).repeat(2, 1)
    together = torch.ones(8, 4)
    wrong = torch.cat([torch.eye(4), torch.eye(4).roll(1, 0)])
    right = float(agreement(apart, owners, 0.1))
    assert (
        right
        < 0.01
        < float(agreement(together, owners, 0.1))
        < float(agreement(wrong, owners, 0.1))
    )


def test_the_exported_file_is_the_network_with_any_batch(tmp_path):
    torch.manual_seed(0)
    network = RecogniserNetwork((8, 8, 8), (1, 0, 0), 16).eval()
    export_recogniser(network, tmp_path / "recogniser.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "recogniser.onnx"))
    assert session.get_inputs()[0].shape[2:] == [112, 112]
    for count in (1, 3):
        faces = torch.randn(count, 3, 112, 112)
        (out,) = session.run(None, {session.get_inputs()[0].name: faces.numpy()})
        with torch.no_grad():
            same = torch.nn.functional.cosine_similarity(torch.from_numpy(out), network(faces))
        assert float(same.min()) > 0.999


def test_a_run_ends_at_whichever_limit_comes_first_and_slows_towards_it():
    clock = Clock(minutes=60, steps=10)
    clock.restore(step=5, seconds=0)
    assert clock.progress == 0.5
    clock.restore(step=5, seconds=3600)
    assert clock.progress == 1.0
    assert learning_rate_factor(0.5) > learning_rate_factor(0.9) > learning_rate_factor(1.0) > 0


def test_a_recipe_with_an_unknown_field_is_named(tmp_path):
    config = tmp_path / "recipe.yaml"
    config.write_text(CONFIG.read_text() + "colour: 3\n")
    with pytest.raises(SettingsError, match="colour"):
        read_recipe(RecogniserRecipe, config, None)


@pytest.mark.slow
def test_a_training_of_seconds_writes_its_state_and_goes_on_from_it(tmp_path):
    if not DATA.is_dir():
        pytest.skip("needs ../shared/data")
    recipe = replace(
        read_recipe(RecogniserRecipe, CONFIG, 2.0),
        steps=2,
        widths=(8, 8, 8),
        blocks=(0, 0, 0),
        people_per_batch=4,
    )
    out = tmp_path / "run"
    train_recogniser(recipe, DATA, out, resume=False)
    train_recogniser(replace(recipe, steps=4), DATA, out, resume=True)
    lines = [line for line in (out / "log.jsonl").read_text().splitlines() if "held_out" in line]
    assert '"step": 2' in lines[0] and "whitened" in lines[1]
    assert '"step": 4' in lines[2] and "whitened" in lines[3]
    assert (out / "samples.png").is_file()
    assert isinstance(read_network(out / "best.safetensors"), RecogniserNetwork)
