"""Two processes share their gradients: a model trained by both is one model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.test_restorer_training import small_training

PROGRAM = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from vidref.training.restorer import RestorerTraining
from vidref.training.restorer_config import TrainingConfig
torch.set_num_threads(1)
config = TrainingConfig.model_validate_json(Path(sys.argv[1]).read_text())
folder = Path(sys.argv[2])
training = RestorerTraining(config, folder)
targets = training.maker.make(0).target
for _ in range(2):
    training.step()
weights = {k: v.contiguous() for k, v in training.network.own_weights().items()}
save_file({**weights, "targets": targets}, folder / f"rank{training.machine.rank}.safetensors")
"""


@pytest.mark.slow
def test_two_processes_train_one_model_on_batches_of_their_own(tmp_path: Path) -> None:
    config = small_training(tmp_path, run={"accumulate": 2, "batch": 2})
    (tmp_path / "run.json").write_text(config.model_dump_json())
    (tmp_path / "program.py").write_text(PROGRAM)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    launch += ["--master_port", "29617"]
    launch += [str(tmp_path / "program.py"), str(tmp_path / "run.json"), str(tmp_path)]
    root = Path(__file__).resolve().parents[2]
    subprocess.run(launch, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=True)
    one, other = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in (0, 1))
    assert not torch.equal(one.pop("targets"), other.pop("targets"))
    for key in one:
        assert torch.equal(one[key], other[key]), key
