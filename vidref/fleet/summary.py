"""The batch on one page: a plain HTML file that needs nothing else, to be looked at or mailed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from vidref.fleet.state import CANCELLED, DONE, FAILED, RUNNING, WAITING, ClipRow

WORDS = {
    DONE: "done",
    FAILED: "failed",
    RUNNING: "in work",
    WAITING: "waiting",
    CANCELLED: "cancelled",
}
# Every colour on its ground has a contrast of at least 4.5 to 1 (WCAG 2.2, AA).
STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #ffffff; --line: #c8c8c8;
  --quiet: #555555; --good: #0b6b2e; --bad: #a8071a; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --paper: #161616; --line: #444444;
  --quiet: #b0b0b0; --good: #6fd08c; --bad: #ff8a8a; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; }
table { border-collapse: collapse; width: 100%; margin-top: 1.5rem; }
caption { text-align: left; color: var(--quiet); }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem .4rem 0;
  border-bottom: 1px solid var(--line); }
td:first-child { overflow-wrap: anywhere; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
.done { color: var(--good); font-weight: 600; } .failed { color: var(--bad); font-weight: 600; }
.quiet { color: var(--quiet); } ul { margin: .2rem 0 0; padding-left: 1.1rem; }
a { color: inherit; }
@media (max-width: 40rem) { th.extra, td.extra { display: none; } }
"""


def write_page(clips: Sequence[ClipRow], path: Path, title: str) -> None:
    """Put the page in place in one step."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(page(clips, path.parent, title), encoding="utf-8")
    part.replace(path)


def page(clips: Sequence[ClipRow], folder: Path, title: str) -> str:
    """Failed clips first: they are what somebody must look at."""
    order = {FAILED: 0, RUNNING: 1, WAITING: 2, CANCELLED: 3, DONE: 4}
    rows = "\n".join(_row(c, folder) for c in sorted(clips, key=lambda c: (order[c.state], c.id)))
    when = time.strftime("%Y-%m-%d %H:%M")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head>
<body><main><h1>{escape(title)}</h1>
<p>{escape(sentence(clips))} <span class="quiet">{when}</span></p>
<table><caption>Every clip, those that failed first</caption>
<thead><tr><th scope="col">Clip</th><th scope="col">State</th>
<th scope="col" class="number">Frames</th><th scope="col" class="number">Faces</th>
<th scope="col" class="number extra">Work</th><th scope="col" class="number extra">Tries</th>
</tr></thead>
<tbody>
{rows}
</tbody></table></main></body></html>
"""


def sentence(clips: Sequence[ClipRow]) -> str:
    """`27 done, 3 failed.`"""
    counts = {state: sum(c.state == state for c in clips) for state in WORDS}
    parts = [f"{n} {WORDS[state]}" for state, n in counts.items() if n]
    return f"{len(clips)} clips: {', '.join(parts)}." if parts else "No clips."


def _row(clip: ClipRow, folder: Path) -> str:
    name = escape(Path(clip.source).name)
    if clip.state == DONE and "://" not in clip.output:
        output = Path(clip.output)
        near = output.is_relative_to(folder)
        link = quote(output.relative_to(folder).as_posix()) if near else output.as_uri()
        name = f'<a href="{escape(link, quote=True)}">{name}</a>'
    where = escape(clip.source)
    said = [clip.error] if clip.error else []
    said += list(clip.warnings)
    notes = "".join(f"<li>{escape(text)}</li>" for text in said)
    state = escape(WORDS[clip.state])
    if clip.state == RUNNING:
        done = f", {clip.segments_done} of {clip.segments} segments" if clip.segments else ""
        state = escape(f"{WORDS[RUNNING]}: {clip.step}{done}")
    return (
        f'<tr><td>{name}<br><span class="quiet">{where}</span>'
        f"{f'<ul>{notes}</ul>' if notes else ''}</td>"
        f'<td class="{clip.state}">{state}</td>'
        f'<td class="number">{_number(clip.frames)}</td>'
        f'<td class="number">{_number(clip.faces)}</td>'
        f'<td class="number extra">{clip.work_s:.1f} s</td>'
        f'<td class="number extra">{clip.tries or ""}</td></tr>'
    )


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}".replace(",", "\u202f")
