"""A job as `vidref restore` runs it, with a stand-in for the model that only takes time.

Run as a process of its own, so that tests can kill it: every segment that is begun is noted in
LOG, and every frame waits SLEEP seconds.

    python -m tests.pipeline.segment_job SOURCE OUTPUT LOG SLEEP SEGMENT_S LOSSLESS [RESTART]
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction
from pathlib import Path

from vidref.errors import VidrefError
from vidref.media.containers import muxer_for
from vidref.media.encoders import Request, choose_encoding
from vidref.media.frames import Frame
from vidref.media.join import join_segments
from vidref.media.mux import OutputTimes
from vidref.media.reader import Reader
from vidref.pipeline.journal import Job
from vidref.pipeline.segment_stream import SegmentStream, cut_for

THREADS = 1


def run(
    source: Path,
    output: Path,
    log: Path,
    sleep_s: float = 0,
    segment_s: Fraction = Fraction(1, 2),
    lossless: bool = False,
    restart: bool = False,
    known: dict[str, str] | None = None,
) -> list[str]:
    """Make `output`, going on with what is there; returns the sentences for the user."""
    muxer = muxer_for(output)
    with Job.open(output, known or {"the clip": source.name}, restart) as job:
        with Reader(source, threads=THREADS) as reader:
            clip = reader.clip
            encoding = choose_encoding(clip.picture, muxer, Request(lossless=lossless, threads=1))
            if job.cut is None:
                job.set_cut(cut_for(reader, muxer, encoding, THREADS, segment_s, damaged=False))
            assert job.cut is not None
            for numbers, part in job.cut.runs(job.missing()):
                times = OutputTimes(reader, muxer)
                seen: set[int] = set()
                with (
                    Reader(source, threads=THREADS, part=part, clip=clip) as frames,
                    SegmentStream(
                        job, numbers, clip, muxer, encoding, THREADS, times, _facts
                    ) as stream,
                ):
                    for item in frames:
                        if not isinstance(item, Frame):
                            continue
                        time.sleep(sleep_s)
                        stream.write(item)
                        number = job.cut.number_at(item.pts)
                        if number not in seen:
                            seen.add(number)
                            with log.open("a") as file:
                                file.write(f"{number}\n")
                    stream.finish()
        with Reader(source, threads=THREADS) as reader:
            notes = join_segments(job.paths(), output, muxer, reader, encoding, threads=THREADS)
        facts = [finished.facts for finished in job.finished.values()]
        assert facts == [_facts(number) for number in range(len(job.cut.segments))]
        job.finish()
    return notes


def _facts(number: int) -> dict[str, object]:
    return {"number": number, "people": {"Ünal": [number / 8, 0.1]}}


def main() -> None:
    source, output, log = (Path(word) for word in sys.argv[1:4])
    sleep_s, segment_s, lossless = sys.argv[4:7]
    try:
        run(
            source, output, log, float(sleep_s), Fraction(segment_s), lossless == "1",
            "RESTART" in sys.argv,
        )  # fmt: skip
    except VidrefError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
