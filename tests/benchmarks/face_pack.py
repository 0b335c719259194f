"""How long the bundled face pack takes, beside the teacher: python -m tests.benchmarks.face_pack.

Two threads, 640 px frames, medians of many calls; prints a table in milliseconds: how long one
takes, and how much of a core's time (of all threads together).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from vidref.faces.finder import PROPOSED, worth_a_look
from vidref.faces.geometry import placement_of
from vidref.faces.pack import load_pack

RUNS = 60
WARM = 40
"""Calls that do not count: the detector is taken to pieces once it has searched thirty times."""
THREADS = 2


def median_ms(call: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds by the clock, the median, and of all threads' work, the mean."""
    for _ in range(WARM):
        call()
    spent = []
    worked = time.process_time()
    for _ in range(RUNS):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    worked = (time.process_time() - worked) / RUNS
    return float(np.median(spent) * 1000), worked * 1000


def main(data: Path) -> None:
    cv2.setNumThreads(THREADS)
    rng = np.random.default_rng(0)
    frame = cv2.GaussianBlur(rng.integers(0, 256, (640, 640, 3)).astype(np.uint8), (0, 0), 4)
    crop = frame[:112, :112]
    from skimage.data import astronaut

    someone = cv2.resize(astronaut(), (640, 640))
    pack, alone = load_pack(threads=THREADS), load_pack(threads=1)
    helper = ThreadPoolExecutor(1)

    def two_frames() -> None:
        other = helper.submit(alone.detect, frame)
        alone.detect(frame)
        other.result()

    (face,) = pack.detect(someone)
    place = placement_of(face.landmarks_xy)
    proposed = len(worth_a_look(pack.with_least_score(PROPOSED).propose(someone)))
    rows = {
        "bundled detector, 640 px frame": lambda: pack.detect(frame),
        "the same, of a 16:9 frame (640 x 360)": lambda: pack.detect(frame[:360]),
        "the same, one thread": lambda: alone.detect(frame),
        "two 640 px frames, each by one thread": two_frames,
        f"a 640 px frame with one face ({proposed} proposed)": lambda: pack.detect(someone),
        "a known face looked at again": lambda: pack.detect_near(someone, place),
        "bundled recogniser, one face and its mirror": lambda: pack.embed_aligned([crop]),
        "bundled recogniser, eight faces and mirrors": lambda: pack.embed_aligned([crop] * 8),
    }
    teacher = data / "teachers" / "detector-teacher.onnx"
    if teacher.is_file():
        yunet = cv2.FaceDetectorYN.create(str(teacher), "", (640, 640), 0.6, 0.3, 5000)
        rows["teacher detector (YuNet, OpenCV), 640 px frame"] = lambda: yunet.detect(frame)
    for name, call in rows.items():
        taken, worked = median_ms(call)
        print(f"{name:50} {taken:7.1f} ms, {worked:7.1f} ms of a core")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"))
