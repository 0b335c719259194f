"""What a quality score is worth: from where a photo says who someone is, and what looks poor.

    python -m tests.benchmarks.quality_limits [--people 40]

Portraits of split train are harmed as in `worn.py` (made into frames of clips first, half of them).
For each picture: the score, how alike the recogniser finds it to the unharmed portrait, and what is
left of the face. The limits of `photos.py` and `pipeline/choosing.py` are read from the tables.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import cv2
import numpy as np

from tests.benchmarks.harm import portraits
from tests.benchmarks.quality import DATA
from tests.benchmarks.worn import family
from vidref.faces.likeness import likeness_for
from vidref.faces.pack import aligned, load_pack
from vidref.faces.quality import measure

EDGES = (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=40)
    options = parser.parse_args()
    pack = load_pack(threads=1)
    rng = np.random.default_rng(11)
    rows = []
    for index, portrait in enumerate(portraits(DATA, "train", options.people, seed=2)):
        clean = aligned(portrait.rgb, portrait.points.astype(np.float32))
        crops, scores, left = [clean], [], []
        for worn in family(portrait, index % 2 == 0, rng):
            crops.append(aligned(worn.rgb, worn.points.astype(np.float32)))
            scores.append(measure(worn.rgb, worn.points).score)
            left.append(worn.left.all)
        vectors = pack.embed_aligned(crops)
        rows += list(zip(scores, vectors[1:] @ vectors[0], left, strict=True))
    table = np.array(rows)
    agrees = likeness_for(pack).agrees
    print(
        f"{len(table)} pictures of {options.people} people; `agrees` is {agrees:.2f}.\n\n"
        "| score | pictures | likeness to the clean portrait, median | worst tenth "
        "| below `agrees` | left, median |\n|---|--:|--:|--:|--:|--:|"
    )
    for low, high in pairwise(EDGES):
        here = table[(table[:, 0] >= low) & (table[:, 0] < high)]
        if len(here):
            alike, left_here = here[:, 1], here[:, 2]
            print(
                f"| {low} to {high} | {len(here)} | {np.median(alike):.2f} "
                f"| {np.quantile(alike, 0.1):.2f} | {np.mean(alike < agrees):.2f} "
                f"| {np.median(left_here):.2f} |"
            )


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
