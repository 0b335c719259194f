"""The ablation harness: every variant of the issue in one table from one command."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.evaluation.test_faces import own_layout
from tests.training.test_restorer_training import small_training
from vidref.cli.evaluate_ablate import ablate


@pytest.mark.slow
def test_one_command_makes_one_table_of_every_variant(tmp_path: Path) -> None:
    config = small_training(tmp_path, losses={"adversarial": 0}, run={"batch": 2})
    file, out = tmp_path / "run.yaml", tmp_path / "out"
    file.write_text(config.model_dump_json())
    arguments = [str(own_layout(tmp_path / "protocol")), "--out", str(out)]
    arguments += ["--config", str(file), "--train-steps", "1", "--steps", "1", "--limit", "2"]
    arguments += ["--judges", str(tmp_path / "none")]
    result = CliRunner().invoke(ablate, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with (out / "ablation.csv").open() as table:
        rows = [(row["group"], row["variant"]) for row in csv.DictReader(table)]
    assert rows == [
        ("hard-example identity loss", "lambda 0"),
        ("hard-example identity loss", "lambda 0.1"),
        ("hard-example identity loss", "lambda 0.25"),
        ("hard-example identity loss", "lambda 0.5"),
        ("tokens", "identity token only"),
        ("tokens", "patch tokens only"),
        ("tokens", "both"),
        ("references", "0"),
        ("references", "1"),
        ("references", "2"),
        ("combining all references", "average"),
        ("combining all references", "weighted"),
        ("combining all references", "concatenated"),
        ("noise", "the person's"),
        ("noise", "a new one every frame"),
    ]
    assert (out / "ablation.md").read_text() in result.output
