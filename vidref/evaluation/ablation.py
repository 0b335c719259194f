"""What each part of the method is worth: one table from one command.

    trained    lambda of the hard-example identity loss; identity tokens, patch tokens, or both
    sampled    how many references, how they are combined, whose noise it is

Training is somebody else's: this room is given a function from changes of a configuration to the
folder of a bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vidref.evaluation.face_cases import FaceCase, read_picture
from vidref.evaluation.faces import FaceRestorer, Measure, measure_cases, restore_cases
from vidref.evaluation.tables import means
from vidref.model.restorer import Sampling

Train = Callable[[str, dict[str, object]], str]
"""(name of the variant, changes by dotted key) -> folder of its bundle."""
Open = Callable[[str], FaceRestorer]

SHARES = (0.0, 0.1, 0.25, 0.5)
TOKENS: dict[str, dict[str, object]] = {
    "identity token only": {"restorer.context.patches": None},
    "patch tokens only": {"restorer.context.identity": None},
    "both": {},
}
FRAMES = 3
"""Frames that the noise rows restore: the input with a little sensor noise each time."""


@dataclass(frozen=True)
class Bench:
    """What every variant is measured on."""

    cases: Sequence[FaceCase]
    kind: str
    measure: Measure
    sampling: Sampling
    report: Callable[[str], None]

    def row(
        self, group: str, variant: str, restorer: FaceRestorer, count: int, sampling: Sampling
    ) -> dict[str, str | float]:
        """One line of the table."""
        self.report(f"{group}: {variant}")
        pictures = restore_cases(restorer, self.cases, self.kind, count, sampling)
        table = measure_cases(self.measure, self.cases, pictures)
        return {"group": group, "variant": variant, **means(table)}


def ablate(
    bench: Bench, train: Train, open_bundle: Open, model: str | None
) -> list[dict[str, str | float]]:
    """All rows. The sampled ones use `model`, or else the variant with everything."""
    rows, bundles = [], {}
    for share in SHARES:
        name = f"lambda {share:g}"
        bundles[name] = train(name, {"losses.hard_share": share})
        restorer = open_bundle(bundles[name])
        rows.append(bench.row("hard-example identity loss", name, restorer, 1, bench.sampling))
    for name, changes in TOKENS.items():
        bundle = train(name, changes)
        rows.append(bench.row("tokens", name, open_bundle(bundle), 1, bench.sampling))
    restorer = open_bundle(model or bundle)
    rows += sampled(bench, restorer)
    return rows


def sampled(bench: Bench, restorer: FaceRestorer) -> list[dict[str, str | float]]:
    """The rows that need no training."""
    most = max(len(case.references) for case in bench.cases)
    counts = sorted({0, 1, 2, most} & set(range(most + 1)))
    rows = [
        bench.row("references", str(count), restorer, count, bench.sampling) for count in counts
    ]
    for combine in ("average", "weighted", "concatenated"):
        how = replace(bench.sampling, combine=combine)
        rows.append(bench.row("combining all references", combine, restorer, most, how))
    for shared in (True, False):
        name = "the person's" if shared else "a new one every frame"
        bench.report(f"noise: {name}")
        rows.append({"group": "noise", "variant": name, **flicker(bench, restorer, shared)})
    return rows


def flicker(bench: Bench, restorer: FaceRestorer, shared: bool) -> dict[str, float]:
    """How much neighbouring frames differ (levels of 255), of the output and of the input."""
    rng = np.random.default_rng(0)
    told, inputs = [], []
    for case in bench.cases:
        still = read_picture(case.degraded[bench.kind])
        context = restorer.context(case.references[:1])
        for frame in range(FRAMES):
            noisy = still + rng.normal(0, 1, still.shape)
            image = noisy.round().clip(0, 255).astype(np.uint8)
            told.append((case.person if shared else f"{case.person} {frame}", image, context))
            inputs.append(image)
    outputs = restorer.restore(told, bench.sampling)
    return {
        "flicker": difference_of_neighbours(outputs),
        "flicker_input": difference_of_neighbours(inputs),
    }


def difference_of_neighbours(pictures: Sequence[np.ndarray]) -> float:
    """Mean absolute difference of consecutive frames of the same face."""
    found = [
        np.abs(pictures[i].astype(np.float32) - pictures[i - 1]).mean()
        for i in range(1, len(pictures))
        if i % FRAMES
    ]
    return float(np.mean(found))
