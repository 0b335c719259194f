"""`vidref restore --report`: what was done, to whom, from what, and what was left alone and why.

One HTML file for whoever must defend the result: it asks the network for nothing and can be
printed.
"""

from __future__ import annotations

import html
import io
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidref.media.stills import is_stills
from vidref.pipeline.account import Account, Likeness, PersonAccount
from vidref.pipeline.drawn import drawn
from vidref.pipeline.plan import Plan, PlannedPerson
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.support import Support
from vidref.report.charts import likeness_chart, timeline
from vidref.report.document import data_url, head, write_document
from vidref.report.moments import Files, Look, Moment, moments_of
from vidref.report.plan_words import clock, known_of, seconds_of
from vidref.report.reference_crops import Crops, Shown, chosen, read_crops, set_aside
from vidref.report.support_words import support_section
from vidref.settings import Settings
from vidref.version import __version__

FEW = 5
MOST_PEOPLE = 40
"""Pictures are read for so many; everyone is named."""


@dataclass(frozen=True)
class Run:
    """All that is known after a restore."""

    result: RestoreResult
    settings: Settings
    account: Account | None
    timings: tuple[tuple[str, float], ...]
    """(stage, seconds)."""
    support: dict[str, Support]


def report_path(output: Path) -> Path:
    """`NAME.EXT.report.html` beside the output."""
    return output.with_name(f"{output.name}.report.html")


def write_report(run: Run, path: Path) -> None:
    """Write the page."""
    plan = run.result.plan

    def write(file: TextIO) -> None:
        file.write(head(f"Report: {run.result.output.name}", "page.css", "report.css"))
        file.write(f"<body>\n<header>\n{_title(run)}</header>\n<main>\n")
        if plan is not None:
            file.write(_timeline(plan))
            file.writelines(_people(run, plan))
            file.write(_left_alone(plan))
        file.write(_how(run))
        file.write("</main>\n</body>\n</html>\n")

    write_document(path, write)


def _title(run: Run) -> str:
    result, plan = run.result, run.result.plan
    name = html.escape(result.output.name)
    people = [] if plan is None else [p for p in plan.people if _is_restored(plan, p)]
    if people and plan is not None:
        names = ", ".join(html.escape(p.name) for p in people)
        who = f"those of {names}" if len(people) <= FEW else f"those of {len(people)} people"
        rest = len(plan.people) - len(people)
        others = f" {_count(rest, 'other person', 'other people')} left alone." if rest else ""
        told = (
            f"{_count(result.faces, 'face')} in {_count(result.frames, 'frame')} rebuilt, {who}."
            f"{others} Every other part of the picture, the sound and all timing are as they were."
        )
    else:
        told = "No face was rebuilt: the picture is as it was."
    lines = [
        f"<h1>{name}</h1>",
        f'<p class="faint">made from {html.escape(result.source.name)}</p>',
    ]
    lines.append(f"<p>{told}</p>")
    if people:
        lines.append(
            "<p>A rebuilt face is an estimate. Where the clip and the references held no evidence, "
            "detail was invented that looks likely; do not read identity, age or expression from "
            "such detail alone.</p>"
        )
    return "\n".join(lines) + "\n"


def _timeline(plan: Plan) -> str:
    if not plan.tracks:
        return ""
    legend = (
        '<p class="faint legend"><i class="restored"></i> rebuilt '
        '<i class="alone"></i> left alone <i class="mark"></i> used as reference</p>'
    )
    return f"<section>\n<h2>Timeline</h2>\n{timeline(plan)}{legend}\n</section>\n"


def _people(run: Run, plan: Plan) -> Any:
    if not plan.people:
        return
    yield "<section>\n<h2>People</h2>\n"
    threads = run.settings.threads
    files = Files(run.result.source, run.result.output, run.settings.span.bounds[0], threads)
    for number, person in enumerate(plan.people):
        used, refused = chosen(plan, person), set_aside(plan, person)
        crops: Crops = {}
        moments: list[Moment] = []
        told = _told_of(run.account, person.id)
        looks = _looks(told, run.result.source, plan)
        if number < MOST_PEOPLE:
            crops = read_crops([*used, *refused], plan, run.result.source, threads)
            if _is_restored(plan, person):
                moments = moments_of(plan, person.id, looks, files)
        yield _card(plan, person, told, looks, moments, run.support.get(person.id))
        yield _references("References used", used, crops, True)
        yield _references("Refused as references", refused, crops, len(refused) <= 6)
        yield "</article>\n"
    yield "</section>\n"


def _card(
    plan: Plan,
    person: PlannedPerson,
    told: PersonAccount | None,
    looks: Sequence[Look],
    moments: Sequence[Moment],
    support: Support | None,
) -> str:
    doubt = " It is not sure who this is, so photos were not used." if person.unsure else ""
    why = f"{html.escape(person.why)} Confidence {person.confidence:.2f}.{doubt}"
    done = "rebuilt " + known_of(person) if _is_restored(plan, person) else "left alone"
    parts = [
        f'<article class="card person">\n<h3>{html.escape(person.name)}</h3>',
        f"<p>{clock(seconds_of(plan, person))} on screen, {done}.</p>",
        f'<p class="faint">{why}</p>',
    ]
    if moments:
        parts.append('<div class="moments">' + "".join(map(_moment, moments)) + "</div>")
    if told is not None and told.identity is not None:
        parts.append(_likeness(plan, told.identity, looks))
    elif _is_restored(plan, person):
        parts.append(
            '<p class="faint">Nothing is known of this person to compare the result with.</p>'
        )
    if support is not None:
        parts.append(support_section(support))
    return "\n".join(parts) + "\n"


def _moment(moment: Moment) -> str:
    words = f"{moment.title}, {clock(moment.seconds)}"
    facts = f"face {moment.face_px:.0f} px"
    if moment.likeness is not None:
        facts += f", likeness {moment.likeness[0]:.2f} &rarr; {moment.likeness[1]:.2f}"
    return (
        f'<figure><div class="pair">{_image(moment.before, f"{words}: before")}'
        f"{_image(moment.after, f'{words}: after')}</div>"
        f'<figcaption><span class="before">before</span> and <span class="after">after</span>: '
        f'{words}<br><span class="faint">{facts}</span></figcaption></figure>'
    )


def _likeness(plan: Plan, means: Likeness, looks: Sequence[Look]) -> str:
    chart = likeness_chart(plan, looks) if len(looks) > 1 else ""
    return (
        f"<h4>Likeness to the references</h4>{chart}"
        f'<p>Mean over {_count(means.looks, "look")}: <span class="before">{means.before:.2f} '
        f'before</span>, <span class="after">{means.after:.2f} after</span>. '
        '<span class="faint">1 is the same picture, about 0 a stranger. The judge is the face '
        "pack, which also guides the model: it shows whether the identity was kept, not how well "
        "a stranger would recognise it.</span></p>"
    )


def _references(title: str, shown: Sequence[Shown], crops: Crops, is_open: bool) -> str:
    if not shown:
        return ""
    cells = []
    for item in shown:
        crop = crops.get(item.key)
        picture = _image(crop, item.words[0]) if crop is not None else '<div class="gone"></div>'
        first, *rest = (html.escape(word) for word in item.words if word)
        under = "".join(f'<br><span class="faint">{word}</span>' for word in rest)
        cells.append(f"<figure>{picture}<figcaption>{first}{under}</figcaption></figure>")
    body = f'<div class="references">{"".join(cells)}</div>'
    if is_open:
        return f"<h4>{title}</h4>{body}\n"
    return f"<details><summary>{title} ({len(shown)})</summary>{body}</details>\n"


def _left_alone(plan: Plan) -> str:
    rows = []
    for track, stretch in plan.left_alone():
        first, last = (
            clock(float((pts - plan.source.first_pts) * plan.source.time_base))
            for pts in (stretch.first_pts, stretch.last_pts)
        )
        name, why = (html.escape(s) for s in (plan.person(track.person).name, stretch.why))
        rows.append(f"<tr><td>{name}</td><td>{first} to {last}</td><td>{why}</td></tr>")
    if not rows:
        return ""
    return (
        "<section>\n<h2>Faces left alone</h2>\n<table><thead><tr><th>Who</th><th>When</th>"
        f"<th>Why</th></tr></thead><tbody>{''.join(rows)}</tbody></table>\n</section>\n"
    )


def _how(run: Run) -> str:
    result, account, wanted = run.result, run.account, run.settings.model
    facts: list[tuple[str, str]] = [
        ("Source", _file(result.source)),
        ("Result", _file(result.output)),
        ("Encoder", result.encoder),
    ]
    if account is not None:
        facts += [
            ("Model", f"{account.model.name} (SHA-256 {account.model.sha256})"),
            ("Face pack", f"{account.face_pack.name} (SHA-256 {account.face_pack.sha256})"),
        ]
    grain = f"grain {drawn(wanted.grain, result.plan):g}, " if result.plan else ""
    facts.append(
        (
            "Settings",
            f"steps {wanted.steps}, fidelity {wanted.fidelity:g}, strength {wanted.strength:g}, "
            f"{grain}{wanted.noise} noise, references {wanted.combine}, seed {wanted.seed}",
        )
    )
    if result.plan is not None:
        asked = result.plan.settings
        facts.append(
            (
                "Looked for",
                f"{', '.join(asked.people) or 'everyone'}, faces of {asked.min_face_px:g} px "
                f"and more; {_photos(asked.references)}",
            )
        )
    took = [f"{stage} {seconds:.1f} s" for stage, seconds in run.timings]
    facts += [
        ("Time", f"{result.seconds:.1f} s" + (f" ({', '.join(took)})" if took else "")),
        ("Versions", _versions()),
    ]
    notes = "".join(f"<li>{html.escape(note)}</li>" for note in result.warnings)
    told = f"<h3>Notes of the run</h3><ul>{notes}</ul>" if notes else ""
    rows = "".join(f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in facts)
    return (
        f'<section>\n<h2>How it was made</h2>\n<div class="card"><dl class="facts">{rows}</dl>'
        f"{told}</div>\n</section>\n"
    )


def _photos(folder: str | None) -> str:
    return "no photos were given" if folder is None else f"photos in {folder}"


def _versions() -> str:
    ffmpeg = ".".join(map(str, av.library_versions["libavcodec"]))
    return (
        f"vidref {__version__}, Python {platform.python_version()}, torch {version('torch')}, "
        f"PyAV {av.__version__} (libavcodec {ffmpeg}), {platform.system()} {platform.machine()}"
    )


def _file(path: Path) -> str:
    size = path.stat().st_size if path.is_file() else None
    return path.name if size is None else f"{path.name}, {size:,} bytes"


def _image(crop: NDArray[np.uint8], words: str) -> str:
    file = io.BytesIO()
    Image.fromarray(crop).save(file, "JPEG", quality=90)
    height, width = crop.shape[:2]
    return (
        f'<img src="{data_url("image/jpeg", file.getvalue())}" width="{width}" height="{height}" '
        f'alt="{html.escape(words)}">'
    )


def _is_restored(plan: Plan, person: PlannedPerson) -> bool:
    return any(plan.is_restored(track) for track in plan.tracks_of(person.id))


def _looks(told: PersonAccount | None, source: Path, plan: Plan) -> list[Look]:
    """On the clip's own clock: those of photos are told by the number of the photo."""
    tick = float(plan.source.time_base) if is_stills(source) else 1.0
    return [] if told is None else [(t * tick, before, after) for t, before, after in told.looks]


def _told_of(account: Account | None, id: str) -> PersonAccount | None:
    people = () if account is None else account.people
    return next((person for person in people if person.id == id), None)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
