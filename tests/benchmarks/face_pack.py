"""How long the bundled face pack takes, beside the teacher: python -m tests.benchmarks.face_pack.

Two threads, 640 px frames, medians of many calls, all rows in turns; prints a table in
milliseconds: how long one takes, and how much of a core's time (of all threads together). Each
thread is held to a core of its own: some kernels (of virtual machines, `sched_vcpu_pack`) leave two
threads that often sleep on one core, and what is measured then is one core.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from vidref.faces.finder import PROPOSED, worth_a_look
from vidref.faces.geometry import placement_of
from vidref.faces.pack import load_pack

TURNS, AT_ONCE = 15, 4
WARM = 40
"""Calls that do not count: the detector is taken to pieces once it has searched thirty times."""
THREADS = 2


def apart(cores: list[int]) -> None:
    """This thread on the first of the cores, all others on the second."""
    for thread in (int(task.name) for task in Path("/proc/self/task").iterdir()):
        os.sched_setaffinity(thread, {cores[0 if thread == threading.get_native_id() else 1]})


def measured(rows: dict[str, Callable[[], object]]) -> dict[str, tuple[list[float], float]]:
    """Milliseconds by the clock, of every call, and of all threads' work, the mean."""
    cores = sorted(os.sched_getaffinity(0))
    for call in rows.values():
        for _ in range(WARM):
            call()
    if len(cores) >= THREADS:
        apart(cores)
    spent: dict[str, list[float]] = {name: [] for name in rows}
    worked = dict.fromkeys(rows, 0.0)
    for _ in range(TURNS):
        for name, call in rows.items():
            before = time.process_time()
            for _ in range(AT_ONCE):
                start = time.perf_counter()
                call()
                spent[name].append((time.perf_counter() - start) * 1000)
            worked[name] += (time.process_time() - before) * 1000
    return {name: (spent[name], worked[name] / len(spent[name])) for name in rows}


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
    rows: dict[str, Callable[[], object]] = {
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
    for name, (taken, worked) in measured(rows).items():
        median, least = float(np.median(taken)), min(taken)
        print(f"{name:50} {median:7.1f} ms (least {least:.1f}), {worked:7.1f} ms of a core")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data"))
