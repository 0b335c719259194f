"""`vidref compare`: one HTML file that shows a clip and its restoration in step.

Everything is inside: the pictures, who is where in them, the script. It opens from the disk, in
any browser of today, without a network.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from pathlib import Path
from string import Template
from typing import Any, TextIO

from vidref.errors import InputError
from vidref.media.hdr import HdrMetadata
from vidref.media.probe import Clip
from vidref.media.reader import Reader
from vidref.media.unfinished import UnfinishedFile
from vidref.pipeline.account import Account
from vidref.pipeline.plan import Plan
from vidref.pipeline.progress import OnProgress, Ticker
from vidref.pipeline.same_source import fingerprint
from vidref.pipeline.upright import quarter_turns
from vidref.report.document import (
    PAGES,
    data_url,
    facts_element,
    file_element,
    head,
    script,
    write_document,
)
from vidref.report.pairs import Pairs, Stretch
from vidref.report.people_shown import (
    ShownPerson,
    View,
    account_beside,
    people_of_account,
    people_of_plan,
)
from vidref.report.plan_words import clock
from vidref.report.proxy import Proxy, write_proxy

LONGEST_SIDE = 1920
LONGEST_S = Fraction(300)
"""A browser holds the whole page in memory."""
PQ, HLG = 16, 18


@dataclass(frozen=True)
class Comparison:
    """What is compared and what is known of it."""

    before: Path
    after: Path
    start: Fraction = Fraction(0)
    end: Fraction | None = None
    shift: Fraction | None = None
    """How far into `before` the other begins; None: as its sidecar says, or not at all."""
    account: Account | None = None
    plan: Plan | None = None

    @property
    def stretch(self) -> Stretch:
        return Stretch(self.start, self.end, self.shift or Fraction(0))


def known(comparison: Comparison) -> Comparison:
    """With the sidecar beside the restored clip, if it is of the very original that is compared."""
    account = account_beside(comparison.after)
    if account is None:
        return comparison
    if fingerprint(comparison.before) != (account.source.bytes, account.source.fingerprint):
        return comparison
    shift = Fraction(account.source.start_s) if comparison.shift is None else comparison.shift
    return replace(comparison, account=account, shift=shift)


def write_compare_page(
    comparison: Comparison, output: Path, on_progress: OnProgress, threads: int = 0
) -> list[str]:
    """Write the page; returns the sentences that the user must hear."""
    stretch, notes = _shortened(comparison)
    # of a run that was killed here, the next sweeps away what it left
    copy = UnfinishedFile(output.with_name(f"{output.name}.clip"))
    try:
        with Pairs(comparison.before, comparison.after, stretch, threads) as pairs:
            clip = pairs.before.clip
            ticker = Ticker(on_progress, "compare", frames_expected(clip, stretch))
            proxy = write_proxy(pairs, copy.path, LONGEST_SIDE, threads, ticker.tick)
            ticker.end()
            begin_s = (pairs.before.first_pts or 0) * clip.picture.time_base
            notes += [note for note in [pairs.sentence()] if note]
        view = View(begin_s, proxy.end_s, quarter_turns(clip.picture.rotation))
        people = people_on(comparison, view)
        notes += _about(clip, proxy)

        def write(file: TextIO) -> None:
            names = comparison.before.name, comparison.after.name
            write_body(file, names, _size(clip), notes)
            file.write(facts_element("facts", _facts(proxy, people)))
            first = data_url("image/jpeg", proxy.first_jpeg)
            file.write(f'<script type="text/plain" id="first">{first}</script>\n')
            file.write(script("compare.js"))  # before the clip, so that nobody waits for all of it
            file.writelines(file_element("clip", copy.path))
            file.write("</body>\n</html>\n")

        write_document(output, write)
    finally:
        copy.discard()
    return notes


def people_on(comparison: Comparison, view: View) -> list[ShownPerson]:
    if comparison.account is not None:
        return people_of_account(comparison.account, view)
    return people_of_plan(comparison.plan, view) if comparison.plan is not None else []


def write_body(file: TextIO, names: tuple[str, str], size: str, notes: Sequence[str]) -> None:
    """Everything of a compare page but its pictures, facts and script."""
    before, after = names
    file.write(head(f"{before} and {after}", "page.css", "compare.css"))
    told = "".join(f'<p class="faint">{html.escape(note)}</p>\n' for note in notes)
    body = Template((PAGES / "compare.html").read_text(encoding="utf-8"))
    words = {"before": before, "after": after, "size": size}
    escaped = {name: html.escape(word) for name, word in words.items()}
    file.write(body.substitute(escaped, notes=told))


def _facts(proxy: Proxy, people: Sequence[ShownPerson]) -> dict[str, Any]:
    return {
        "kind": "video",
        **asdict(proxy.shape),
        "sound": proxy.has_sound,
        "times": [round(time, 4) for time in proxy.times_s],
        "end": round(proxy.end_s, 4),
        "people": [asdict(person) for person in people],
    }


def _size(clip: Clip) -> str:
    picture = clip.picture
    return f"{picture.width} \u00d7 {picture.height}, {float(picture.average_rate):.4g} frames/s"


def _about(clip: Clip, proxy: Proxy) -> list[str]:
    """What differs between the page's copy and the clips themselves."""
    shape, found = proxy.shape, []
    turned = quarter_turns(clip.picture.rotation) % 2
    stored = clip.picture.height if turned else clip.picture.width
    if shape.stored_width < stored:
        found.append(
            f"The page's copy is made smaller, to {shape.stored_width} of {stored} columns: at "
            "100 % its detail is not that of the clips."
        )
    if clip.picture.colour.transfer in (PQ, HLG) or clip.picture.hdr != HdrMetadata():
        found.append("The clips are HDR; the page shows them in 8 bits, as the browser sees fit.")
    return found


def frames_expected(clip: Clip, stretch: Stretch) -> int | None:
    if clip.duration_s is None:
        return None
    span = stretch.of_before
    end = min(span.end or Fraction(clip.duration_s), Fraction(clip.duration_s))
    return max(1, round((end - span.start) * clip.picture.average_rate))


def _shortened(comparison: Comparison) -> tuple[Stretch, list[str]]:
    """At most what a page can hold, and the sentence that says so."""
    stretch = comparison.stretch
    start = stretch.of_before.start
    with Reader(comparison.before) as reader:
        length = reader.clip.duration_s
    if length is not None and Fraction(length) <= start:
        raise InputError(
            f"{comparison.before} ends before {clock(float(start))}, where the comparison begins: "
            "choose an earlier --start (or --shift)."
        )
    last = start + LONGEST_S
    end = stretch.end if stretch.end is not None else length and Fraction(length)
    if end is None:
        return Stretch(stretch.start, last, stretch.shift), []
    if end <= last:
        return stretch, []
    words = (
        f"A page holds {clock(float(LONGEST_S))}: this one shows {clock(float(start))} to "
        f"{clock(float(last))} of {clock(float(end))}; --start chooses another part, and --video "
        "has no limit."
    )
    return Stretch(stretch.start, last, stretch.shift), [words]
