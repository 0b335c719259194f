"""Thirty clips, three of them broken, alone, on `local` and on a Ray cluster: the same bytes?

    python -m tests.benchmarks.fleet_engines [NODES]

Faces are really found and rebuilt, with the tests' small stand-in for the restorer.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from pathlib import Path

from tests.fleet.cluster import nodes
from tests.people_clips import PHOTOS, Portrait, frames_of, write_pictures
from tests.stand_in import save_stand_in
from vidref.api import restore
from vidref.errors import VidrefError
from vidref.fleet.batch import Engine, Outcome, run_batch
from vidref.fleet.requests import Wanted

GOOD, FRAMES = 27, 16
SEGMENT_S = "0.24"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make_clips(folder / "in")
        model = save_stand_in(folder / "model")
        flags = {"threads": 1, "job.segment_s": SEGMENT_S, "model": str(model)}
        made: dict[str, dict[str, str]] = {}

        begun = time.monotonic()
        alone = folder / "alone"
        alone.mkdir()
        failed = 0
        for clip in sorted(source.iterdir()):
            try:
                words = {key.replace(".", "__"): value for key, value in flags.items()}
                restore(clip, alone / clip.name, refs=str(PHOTOS), **words)
            except VidrefError:
                failed += 1
        _told("one by one", begun, alone, failed, made)

        begun = time.monotonic()
        wanted = Wanted(str(folder / "local"), flags, references=str(PHOTOS))
        outcome = run_batch(str(source), wanted, Engine("local", 2))
        _told("local, 2 workers", begun, folder / "local", outcome.failed, made)
        _reported(outcome)

        with nodes(count) as cluster:
            begun = time.monotonic()
            wanted = Wanted(str(folder / "ray"), flags, references=str(PHOTOS))
            outcome = run_batch(str(source), wanted, Engine("ray", 0, cluster.address))
            _told(f"ray, {count} nodes", begun, folder / "ray", outcome.failed, made)
            _reported(outcome)
    same = all(files == made["one by one"] for files in made.values())
    print(f"bit-identical, clips and sidecars: {'yes' if same else 'NO'}")
    assert same


def make_clips(folder: Path) -> Path:
    folder.mkdir()
    for number in range(GOOD):
        photo = ("studio", "window", "outdoors")[number % 3]
        where = (10.0 + 2 * number, 5.0 + number)
        portrait = Portrait(photo, 140 + number, where, (1.0, 0.3))
        write_pictures(folder / f"{number:02}.mp4", frames_of([portrait], FRAMES, (256, 192)))
    whole = (folder / "00.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("this is no clip")
    return folder


def _told(
    name: str, begun: float, folder: Path, failed: int, made: dict[str, dict[str, str]]
) -> None:
    files = [p for p in sorted(folder.iterdir()) if p.suffix in (".mp4", ".json")]
    made[name] = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
    delivered = sum(p.suffix == ".mp4" for p in files)
    seconds = time.monotonic() - begun
    print(f"{name}: {delivered} delivered, {failed} reported, {seconds:.0f} s", flush=True)


def _reported(outcome: Outcome) -> None:
    for clip in outcome.clips:
        if clip.error:
            print(f"  {Path(clip.source).name}: {clip.error.replace(clip.source, '...')}")


if __name__ == "__main__":
    main()
