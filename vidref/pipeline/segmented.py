"""A clip made as a job: segment by segment, each kept once it is whole, then joined."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidref.faces.steady import REACH
from vidref.media.deinterlace import CombWatch
from vidref.media.frames import Frame
from vidref.media.join import join_segments
from vidref.media.mux import OutputTimes
from vidref.media.reader import Reader
from vidref.media.segments import Cut
from vidref.pipeline.identity import Facts
from vidref.pipeline.journal import Job
from vidref.pipeline.one_pass import frames_expected
from vidref.pipeline.plan import Plan
from vidref.pipeline.progress import OnProgress, Ticker
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.segment_stream import SegmentStore, SegmentStream, cut_for
from vidref.pipeline.sidecar import sidecar, sidecar_path, statement, write_sidecar
from vidref.pipeline.target import Target, open_reader
from vidref.settings import Settings

if TYPE_CHECKING:
    from vidref.pipeline.restoration import Restoration


def in_segments(
    job: Job,
    source: Path,
    output: Path,
    target: Target,
    restoration: Restoration,
    settings: Settings,
    on_progress: OnProgress,
) -> RestoreResult:
    """Make what is missing of the job, and join it."""
    begun = time.monotonic()
    if job.cut is None:
        job.set_cut(cut_of(source, target, restoration.plan, settings))
    cut = job.cut
    assert cut is not None
    combs = CombWatch()
    before = sum(done.facts["frames"] for done in job.finished.values())
    with open_reader(source, settings) as reader:
        expected = frames_expected(reader)
    ticker = Ticker(on_progress, "restore", expected, before)
    for run, _ in cut.runs(job.missing()):
        make_run(job, run, source, target, restoration, settings, combs, ticker.tick)
    ticker.end()
    facts = [finished.facts for finished in job.finished.values()]
    result = join_all(job.paths(), facts, source, output, target, restoration, settings)
    told = (*result.warnings, *filter(None, [combs.sentence()]))
    seconds = time.monotonic() - begun
    return replace(result, seconds=seconds, warnings=told)


def cut_of(source: Path, target: Target, plan: Plan, settings: Settings) -> Cut:
    """How the job is cut, once for all who work on it."""
    with open_reader(source, settings) as reader:
        return cut_for(
            reader,
            target.container,
            target.encoding,
            settings.threads,
            settings.job.segment_s,
            damaged=not plan.source.is_clean,
        )


def make_run(
    store: SegmentStore,
    run: range,
    source: Path,
    target: Target,
    restoration: Restoration,
    settings: Settings,
    combs: CombWatch,
    on_frame: Callable[[], None],
) -> None:
    """Make segments that follow on each other; the store has each as soon as it is whole."""
    clip, cut = target.clip, store.cut
    assert cut is not None
    watch = restoration.watch(cut.number_at)
    frames: Counter[int] = Counter()

    def facts_of(number: int) -> dict[str, Any]:
        return {"frames": frames[number], **watch.facts(number)}

    with open_reader(source, settings) as reader:
        times = OutputTimes(reader, target.container)
        out = SegmentStream(
            store, run, clip, target.container, target.encoding, settings.threads, times, facts_of
        )
        part = cut.part(run, around=REACH)
        with open_reader(source, settings, part, clip) as partial, out:
            items = restoration.rebuilder(watch).stream(
                _frames(partial, combs), settings.queue_frames
            )
            with closing(items):
                for frame in items:
                    assert isinstance(frame, Frame)
                    number = cut.number_at(frame.pts)
                    if number in run:
                        out.write(frame)
                        frames[number] += 1
                        on_frame()
            out.finish()


def join_all(
    segments: Sequence[Path],
    facts: Sequence[dict[str, Any]],
    source: Path,
    output: Path,
    target: Target,
    restoration: Restoration,
    settings: Settings,
) -> RestoreResult:
    """All segments, in order, into the output, its sidecar beside it.

    `facts` are what the journal kept with each segment.
    """
    begun = time.monotonic()
    # First, so that an output that is there is never without its account.
    beside = sidecar_path(output)
    write_sidecar(
        beside, sidecar(restoration, settings, _together(part["identity"] for part in facts))
    )
    with open_reader(source, settings) as reader:
        notes = join_segments(
            segments,
            output,
            target.container,
            reader,
            target.encoding,
            target.dropped,
            settings.threads,
            statement(restoration, settings),
        )
    return RestoreResult(
        source,
        output,
        sum(part["frames"] for part in facts),
        time.monotonic() - begun,
        target.encoding.encoder,
        (*target.encoding.notes, *notes),
        sum(part["faces"] for part in facts),
        sidecar=beside,
    )


def _frames(reader: Reader, combs: CombWatch) -> Iterator[Frame]:
    """The picture alone, as it was: the join copies everything else."""
    for item in reader:
        if isinstance(item, Frame):
            combs.see(item.image)
            yield item


def _together(parts: Iterable[Facts]) -> Facts:
    """Each person's looks over all segments, in the order of time."""
    found: Facts = {}
    for part in parts:
        for person, looks in part.items():
            found.setdefault(person, []).extend(looks)
    return found
