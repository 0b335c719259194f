"""Can the restorer learn at all? Four faces at 256 px from `severe` inputs, on the CPU.

    python tests/benchmarks/overfit.py ../shared/data/ runs/overfit --seconds 1700 --threads 1

Prints the PSNR over fresh severe inputs (draws that training did not see), 4 steps, with the
averaged weights; log.csv and sheets/ in the run's folder hold the curves and the pictures.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

import vidref.model
from vidref.model.context import Reference
from vidref.model.restorer import Face, Restorer, Sampling
from vidref.training.batches import BatchMaker
from vidref.training.photos import load_photos
from vidref.training.restorer import train_restorer
from vidref.training.restorer_config import TrainingConfig, read_training_config

BUNDLED = Path(vidref.model.__file__).parent.parent / "configs" / "bundled-large.yaml"
CONFIG = """
restorer: {restorer}
data: {{folder: {data}, limit: 4, references: 1, vary: false, flip: false, wrong_share: 0}}
damage: {{moderate: 0, severe: 1, training: 0, video: 0, faded: 0, grey: 0}}
losses: {{identity: 0}}
drop_degraded: 0
drop_context: 0
run: {{size: 256, batch: 4, steps: 100000, budget_seconds: {seconds}, learning_rate: 1.0e-3,
      warmup: 50, cooldown: 0.5, ema: 0.99, weight_decay: 0, log_every: 10, save_every: 200,
      sheet_every: 200}}
"""


def measure(config: TrainingConfig, folder: Path, batches: int = 8) -> list[float]:
    """PSNR in dB of each restored face over the photograph's real pixels."""
    restorer = Restorer.load(str(folder / "bundle"))
    photos = load_photos(config.data.folder, config.run.size, limit=config.data.limit)
    maker = BatchMaker(photos, config, torch.device("cpu"), None)
    decibels = []
    for step in range(10**6, 10**6 + batches):
        batch = maker.make(step)
        faces = [
            Face(crop, str(row), restorer.remember([Reference(batch.references[row, :1])]))
            for row, crop in enumerate(batch.degraded)
        ]
        restored = restorer.restore(faces, Sampling(steps=4))
        error = ((restored - batch.target) / 2 * batch.real) ** 2
        mean = error.sum((1, 2, 3)) / (3 * batch.real.sum((1, 2, 3)))
        decibels += (-10 * mean.log10()).tolist()
    return decibels


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("data", type=Path)
    cli.add_argument("out", type=Path)
    cli.add_argument("--seconds", type=float, default=1700)
    cli.add_argument("--threads", type=int, default=1)
    args = cli.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "overfit.yaml"
    file.write_text(CONFIG.format(restorer=BUNDLED, data=args.data.resolve(), seconds=args.seconds))
    config = read_training_config(file, {"restorer.context.identity": None})

    # the threads' own time, so that what else the machine does is not counted
    def clock() -> float:
        return time.process_time() / args.threads

    outcome = train_restorer(config, args.out, clock=clock)
    found = measure(config, args.out)
    print(
        f"{outcome.progress.step} steps in {outcome.progress.seconds:.0f} s "
        f"on {args.threads} thread(s): "
        f"PSNR mean {sum(found) / len(found):.2f} dB, least {min(found):.2f} dB, n {len(found)}"
    )


if __name__ == "__main__":
    main()
