"""A worker whose model takes no torch: every frame passes, after a sleep if one is asked for.

Everything around the model is the real thing: analysis has a plan and a cut, segments are encoded
and stored, the join makes the file. `VIDREF_TEST_SLEEP` is what each frame costs in seconds, and
a source whose name holds `crash` or `bug` does to its worker what the name says.
"""

from __future__ import annotations

import hashlib
import os
import signal
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidref.fleet.units import (
    Analyse,
    Analysed,
    Delivered,
    Ended,
    Examine,
    Examined,
    Join,
    Made,
    Make,
)
from vidref.fleet.work import Worker, _Here, _Store
from vidref.media.frames import Frame
from vidref.media.join import join_segments
from vidref.media.mux import OutputTimes
from vidref.media.segments import Cut, Segment
from vidref.pipeline.plan import AnalysisSettings, Plan, PlannedPack, PlannedSource
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.same_source import fingerprint
from vidref.pipeline.segment_stream import SegmentStream
from vidref.pipeline.segmented import cut_of
from vidref.pipeline.target import open_reader, plan_clip


class PassingWorker(Worker):
    """Segments in, the same segments out."""

    def _examine(self, here: _Here) -> Examined:
        here.refuse_to_replace()
        plan_clip(here.source, here.output, here.settings)
        if "bug" in here.source.name:
            raise RuntimeError("something is wrong")
        return Examined({"the clip": str(fingerprint(here.source))})

    def _analyse(self, here: _Here, lend_to: str | None) -> Analysed:
        target = plan_clip(here.source, here.output, here.settings)
        plan = empty_plan(here.source)
        _note(here, "analyse")
        return Analysed(plan, cut_of(here.source, target, plan, here.settings))

    def _make(self, here: _Here, ticket: int, unit: Make, tell: Any) -> tuple[str, ...]:
        if "crash" in here.source.name:
            os.kill(os.getpid(), signal.SIGKILL)
        sleep_s = float(os.environ.get("VIDREF_TEST_SLEEP", "0"))
        target = plan_clip(here.source, here.output, here.settings)
        threads, cut = here.settings.threads, unit.cut
        frames: dict[int, int] = dict.fromkeys(unit.numbers, 0)

        def facts_of(number: int) -> dict[str, Any]:
            return {"frames": frames[number], "faces": 0, "identity": {}}

        with (
            open_reader(here.source, here.settings) as reader,
            _Store(unit, ticket, self.name, tell) as store,
        ):
            times = OutputTimes(reader, target.container)
            out = SegmentStream(
                store, unit.numbers, target.clip, target.container, target.encoding, threads,
                times, facts_of,
            )  # fmt: skip
            part = cut.part(unit.numbers)
            with open_reader(here.source, here.settings, part, target.clip) as partial, out:
                for item in partial:
                    if isinstance(item, Frame):
                        time.sleep(sleep_s)
                        out.write(item)
                        frames[cut.number_at(item.pts)] += 1
                out.finish()
        return ()

    def _join(self, here: _Here, unit: Join) -> Delivered:
        target = plan_clip(here.source, here.output, here.settings)
        segments = [Path(unit.store) / f"{n:06}.segment" for n in range(len(unit.cut.segments))]
        with open_reader(here.source, here.settings) as reader:
            join_segments(
                segments, here.output, target.container, reader, target.encoding, target.dropped,
                here.settings.threads,
            )  # fmt: skip
        frames = sum(part["frames"] for part in unit.facts)
        return here.deliver(RestoreResult(here.source, here.output, frames, 0.0, "none"))


class SleepingWorker:
    """Takes its time, and makes nothing: what is measured is the schedule.

    A clip is said to have `VIDREF_TEST_SEGMENTS` segments; each takes `VIDREF_TEST_SLEEP`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, ticket: int, unit: Any, tell: Any) -> None:
        begun = time.monotonic()
        result: Any = None
        match unit:
            case Examine():
                result = Examined({"the clip": "asleep"})
            case Analyse():
                count = int(os.environ["VIDREF_TEST_SEGMENTS"])
                segments = tuple(Segment(k, k or None, k + 1, k, k or None) for k in range(count))
                result = Analysed(empty_plan(Path(unit.task.source)), Cut(segments, enters=True))
            case Make():
                for number in unit.numbers:
                    self._sleep(ticket, number, unit, tell)
            case Join():
                result = Delivered(len(unit.facts), 0, "", None, ())
        tell(Ended(ticket, result, time.monotonic() - begun))

    def _sleep(self, ticket: int, number: int, unit: Make, tell: Any) -> None:
        sleep_s = float(os.environ["VIDREF_TEST_SLEEP"])
        time.sleep(sleep_s)
        name = f"{number:06}.{unit.token}.segment"
        (Path(unit.store) / name).write_bytes(b"zzz" + hashlib.sha256(b"zzz").digest())
        facts = {"frames": 1, "faces": 0, "identity": {}}
        tell(Made(ticket, number, name, facts, sleep_s, self.name))


def empty_plan(source: Path) -> Plan:
    """A plan of nobody, which says whose it is."""
    size, digest = fingerprint(source)
    return Plan(
        PlannedSource(source.name, size, digest, 0, 96, 64, Fraction(1, 25), 1, 0, 0),
        "a test",
        PlannedPack("none", "0"),
        AnalysisSettings((), 0.0),
        (0,),
        (),
        (),
    )


def _note(here: _Here, what: str) -> None:
    """Append to a log that a test may read, if there is one."""
    log = os.environ.get("VIDREF_TEST_LOG")
    if log:
        with open(log, "a") as file:
            file.write(f"{what} {here.source.name}\n")
