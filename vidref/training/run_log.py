"""The log of a restorer's run."""

from __future__ import annotations

import csv
from pathlib import Path

from vidref.training.state import Progress


class Log:
    """log.csv, one row per report; a resumed run appends."""

    def __init__(self, path: Path, active: bool) -> None:
        self.path, self.active = path, active

    def write(
        self, progress: Progress, rate: float, speed: float, values: dict[str, float]
    ) -> None:
        if not self.active:
            return
        row = {"step": progress.step, "seconds": round(progress.seconds, 1), "rate": rate}
        row |= {"pictures_per_second": round(speed, 2), **values}
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)

    @staticmethod
    def line(progress: Progress, speed: float, values: dict[str, float]) -> str:
        """The same for people."""
        told = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        return f"step {progress.step}  {progress.seconds:.0f} s  {speed:.1f}/s  {told}"
