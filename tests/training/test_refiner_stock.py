"""Windows that are made once for all folds: whose scenes are in them, and what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.training.test_refiner import CONFIG, blank, marked
from vidref.cli.train_refiner import refiner
from vidref.errors import SettingsError
from vidref.training.detector_data import mirrored
from vidref.training.detector_labels import DetectorData, Picture
from vidref.training.detector_train import fold_of
from vidref.training.face_recipe import read_recipe
from vidref.training.refiner_data import LURES, Lure, Targets, WindowStream, target_of
from vidref.training.refiner_stock import Part, StockedStream, in_the_mirror
from vidref.training.refiner_train import RefinerRecipe, stocked_parts

RECIPE = replace(read_recipe(RefinerRecipe, CONFIG, None), stocked=120, turned_faces=0)
FOLDS = 3


def scenes(changed: int | None = None) -> DetectorData:
    """Pictures with faces and without; those of one fold may be given other pixels."""
    pictures = []
    for number in range(30):
        made = marked(120) if number % 2 else blank(120)
        name = f"scene_{number:05}.webp"
        other = fold_of(name, FOLDS) == changed
        pictures.append(Picture(name, 255 - made.image if other else made.image, made.labels))
    return DetectorData(pictures, [marked(256)])


def parts_without(fold: int, data: DetectorData, stock: Path) -> list[Part]:
    return stocked_parts(RECIPE, data, (fold, FOLDS), stock)


@pytest.mark.parametrize("fold", range(FOLDS))
def test_nothing_of_a_folds_scenes_is_in_what_that_fold_learns_from(tmp_path, fold):
    before = parts_without(fold, scenes(), tmp_path / "before")
    after = parts_without(fold, scenes(changed=fold), tmp_path / "after")
    assert len(before) == FOLDS - 1
    for one, other in zip(before, after, strict=True):
        assert len(one.windows) == 40 and np.array_equal(one.windows, other.windows)
    # Whereas another fold, which may learn from them, does.
    learns = (fold + 1) % FOLDS
    before = parts_without(learns, scenes(), tmp_path / "before")
    after = parts_without(learns, scenes(changed=fold), tmp_path / "after")
    assert any(
        not np.array_equal(one.windows, other.windows)
        for one, other in zip(before, after, strict=True)
    )


def test_a_stock_is_made_once_and_one_of_another_recipe_is_refused(tmp_path):
    first = parts_without(0, scenes(), tmp_path)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    again = parts_without(0, scenes(), tmp_path)
    assert len(kept) == FOLDS - 1
    assert kept == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    assert np.array_equal(first[0].targets.points, again[0].targets.points)
    with pytest.raises(SettingsError, match="another recipe"):
        stocked_parts(replace(RECIPE, seed=1), scenes(), (0, FOLDS), tmp_path)


def test_targets_in_the_mirror_are_those_of_the_mirrored_window():
    stream = WindowStream(scenes(), [], seed=3)
    seen = 0
    for number in range(40):
        sample = stream.sample(np.random.default_rng(number))
        face, _, points = target_of(sample.labels)
        turned = in_the_mirror(part_of(sample).targets)
        expected = target_of(mirrored(sample).labels)
        assert turned.face[0] == expected[0] == face
        assert np.allclose(turned.boxes[0], expected[1], atol=1e-5)
        assert np.allclose(turned.points[0], expected[2], atol=1e-5)
        seen += int(face == 1 and not np.allclose(points, expected[2]))
    assert seen > 5


def part_of(sample) -> Part:
    face, box, points = target_of(sample.labels)
    return Part(sample.image[None], Targets(np.array([face], "f"), box[None], points[None]))


def test_a_batch_is_a_fifth_lures_and_the_rest_from_all_parts_in_stock(tmp_path):
    parts = parts_without(0, scenes(), tmp_path)
    grey = Picture("grey", np.full((120, 120, 3), 130, np.uint8), blank(120).labels)
    lures = WindowStream(
        scenes(), [Lure(grey, np.array([30, 30, 80, 80], np.float32))], 0, [], LURES
    )
    images, targets = StockedStream(parts, lures, 0).batch(0, 50, None)
    stocked = {window.tobytes() for part in parts for window in part.windows}
    stocked |= {window[:, ::-1].tobytes() for part in parts for window in part.windows}
    from_stock = [image.tobytes() in stocked for image in images]
    assert from_stock == [True] * 40 + [False] * 10
    assert not targets.face[40:].any()
    for part in parts:
        own = {window.tobytes() for window in part.windows}
        assert any(image.tobytes() in own for image in images)


def test_a_stock_without_a_fold_is_refused_in_one_sentence(tmp_path):
    result = CliRunner().invoke(
        refiner, ["--data", str(tmp_path), "--out", str(tmp_path), "--stock", str(tmp_path)]
    )
    assert result.exit_code == 2 and "--fold" in result.output
