"""How long the bundled face pack takes, beside the teacher: python -m tests.benchmarks.face_pack.

Two threads, 640 px frames, medians of many calls; prints a table in milliseconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from vidref.faces.finder import PROPOSED, worth_a_look
from vidref.faces.geometry import placement_of
from vidref.faces.pack import load_pack

RUNS = 60
THREADS = 2


def median_ms(call: Callable[[], object]) -> float:
    for _ in range(5):
        call()
    spent = []
    for _ in range(RUNS):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return float(np.median(spent) * 1000)


def main(data: Path) -> None:
    cv2.setNumThreads(THREADS)
    rng = np.random.default_rng(0)
    frame = cv2.GaussianBlur(rng.integers(0, 256, (640, 640, 3)).astype(np.uint8), (0, 0), 4)
    crop = frame[:112, :112]
    from skimage.data import astronaut

    someone = cv2.resize(astronaut(), (640, 640))
    pack = load_pack(threads=THREADS)
    (face,) = pack.detect(someone)
    place = placement_of(face.landmarks_xy)
    proposed = len(worth_a_look(pack.with_least_score(PROPOSED).propose(someone)))
    rows = {
        "bundled detector, 640 px frame": lambda: pack.detect(frame),
        f"the same with one face ({proposed} proposed)": lambda: pack.detect(someone),
        "a known face looked at again": lambda: pack.detect_near(someone, place),
        "bundled recogniser, one face and its mirror": lambda: pack.embed_aligned([crop]),
        "bundled recogniser, eight faces and mirrors": lambda: pack.embed_aligned([crop] * 8),
    }
    teacher = data / "teachers" / "detector-teacher.onnx"
    if teacher.is_file():
        yunet = cv2.FaceDetectorYN.create(str(teacher), "", (640, 640), 0.6, 0.3, 5000)
        rows["teacher detector (YuNet, OpenCV), 640 px frame"] = lambda: yunet.detect(frame)
    for name, call in rows.items():
        print(f"{name:50} {median_ms(call):7.1f} ms")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"))
