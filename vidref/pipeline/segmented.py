"""A clip made as a job: segment by segment, each kept once it is whole, then joined."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from vidref.media.deinterlace import CombWatch
from vidref.media.frames import Frame
from vidref.media.join import join_segments
from vidref.media.mux import OutputTimes
from vidref.media.reader import Reader
from vidref.pipeline.identity import Facts
from vidref.pipeline.journal import Job
from vidref.pipeline.one_pass import frames_expected
from vidref.pipeline.progress import OnProgress, Ticker
from vidref.pipeline.restoration import Restoration
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.segment_stream import SegmentStream, cut_for
from vidref.pipeline.sidecar import statement
from vidref.pipeline.target import Target, open_reader
from vidref.settings import Settings


def in_segments(
    job: Job,
    source: Path,
    output: Path,
    target: Target,
    restoration: Restoration,
    settings: Settings,
    on_progress: OnProgress,
) -> tuple[RestoreResult, Facts]:
    """Make what is missing of the job, join it, and tell how each person came out."""
    begun = time.monotonic()
    clip, encoding = target.clip, target.encoding
    combs = CombWatch()
    with open_reader(source, settings) as reader:
        if job.cut is None:
            damaged = not restoration.plan.source.is_clean
            job.set_cut(
                cut_for(
                    reader,
                    target.container,
                    encoding,
                    settings.threads,
                    settings.job.segment_s,
                    damaged,
                )
            )
        cut = job.cut
        assert cut is not None
        watch = restoration.watch(cut.number_at)
        frames: Counter[int] = Counter()

        def facts_of(number: int) -> dict[str, Any]:
            return {"frames": frames[number], **watch.facts(number)}

        before = sum(done.facts["frames"] for done in job.finished.values())
        ticker = Ticker(on_progress, "restore", frames_expected(reader), before)
        for run, part in cut.runs(job.missing()):
            times = OutputTimes(reader, target.container)
            out = SegmentStream(
                job, run, clip, target.container, encoding, settings.threads, times, facts_of
            )
            with open_reader(source, settings, part, clip) as partial, out:
                items = restoration.rebuilder(watch).stream(
                    _frames(partial, combs), settings.queue_frames
                )
                with closing(items):
                    for frame in items:
                        assert isinstance(frame, Frame)
                        out.write(frame)
                        frames[cut.number_at(frame.pts)] += 1
                        ticker.tick()
                out.finish()
        ticker.end()
    with open_reader(source, settings) as reader:
        notes = join_segments(
            job.paths(),
            output,
            target.container,
            reader,
            encoding,
            target.dropped,
            settings.threads,
            statement(restoration, settings),
        )
    done = [finished.facts for finished in job.finished.values()]
    told = (*encoding.notes, *notes, *filter(None, [combs.sentence()]))
    faces = sum(facts["faces"] for facts in done)
    seconds = time.monotonic() - begun
    result = RestoreResult(
        source, output, ticker.done, seconds, encoding.encoder, tuple(told), faces
    )
    return result, _together(facts["identity"] for facts in done)


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
