"""Charts as plain elements and SVG: they scale to a phone and to paper, and need no script."""

from __future__ import annotations

import html
from collections.abc import Sequence

from vidref.pipeline.plan import FrameReference, Plan
from vidref.report.plan_words import clock

WIDTH, HEIGHT = 1000, 160
"""Of the likeness chart's own coordinates; it is stretched to the width there is."""
GAP_S = 3.0
"""Looks further apart than this are not joined: nobody looked between them."""


def timeline(plan: Plan) -> str:
    """A lane for each person: shots as shades, tracks as bars, own views used as marks."""
    lanes = []
    for person in plan.people:
        bars = []
        for track in plan.tracks_of(person.id):
            left, right = _share(plan, track.first_pts), _share(plan, track.last_pts)
            kind = "restored" if plan.is_restored(track) else "alone"
            words = html.escape(f"{_clock(plan, track.first_pts)}: {track.why}")
            bars.append(
                f'<i class="{kind}" style="left:{left:.2f}%;width:{right - left:.2f}%" '
                f'title="{words}"></i>'
            )
            for stretch in track.left_alone if plan.is_restored(track) else ():
                left, right = _share(plan, stretch.first_pts), _share(plan, stretch.last_pts)
                words = html.escape(f"{_clock(plan, stretch.first_pts)}: {stretch.why}")
                bars.append(
                    f'<i class="alone" style="left:{left:.2f}%;width:{right - left:.2f}%" '
                    f'title="{words}"></i>'
                )
        for reference in person.references:
            if isinstance(reference, FrameReference):
                at = _share(plan, reference.pts)
                bars.append(f'<i class="mark" style="left:{at:.2f}%"></i>')
        name = html.escape(person.name)
        lanes.append(
            f'<div class="who">{name}</div><div class="lane">{_shots(plan)}{"".join(bars)}</div>'
        )
    ends = (plan.source.first_pts, plan.source.last_pts)
    axis = "".join(f"<span>{_clock(plan, pts)}</span>" for pts in ends)
    return f'<div class="lanes">{"".join(lanes)}<div></div><div class="axis">{axis}</div></div>\n'


def likeness_chart(plan: Plan, looks: Sequence[tuple[float, float, float]]) -> str:
    """Likeness before and after over the clip's length, as two lines from 0 to 1."""
    base = plan.source.time_base
    begin = float(plan.source.first_pts * base)
    length = max(float((plan.source.last_pts - plan.source.first_pts) * base), 1e-3)
    least = min(0.0, *(min(before, after) for _, before, after in looks))

    def place(time_s: float, value: float) -> tuple[float, float]:
        x = min(max((time_s - begin) / length, 0), 1) * WIDTH
        return x, (1 - (value - least) / (1 - least)) * HEIGHT

    lines = []
    for kind, which in (("before", 1), ("after", 2)):
        points = [place(look[0], look[which]) for look in looks]
        run: list[str] = []
        for k, (x, y) in enumerate(points):
            far = k > 0 and looks[k][0] - looks[k - 1][0] > GAP_S
            run.append(f"{'M' if k == 0 or far else 'L'}{x:.1f} {y:.1f}h.01")
        lines.append(f'<path class="{kind}" d="{"".join(run)}"/>')
    grid = "".join(
        f'<path class="grid" d="M0 {place(begin, v)[1]:.1f}H{WIDTH}"/>' for v in (0, 0.5, 1)
    )
    first, last = looks[0], looks[-1]
    words = (
        f"Likeness over time: {first[1]:.2f} before and {first[2]:.2f} after at the beginning, "
        f"{last[1]:.2f} and {last[2]:.2f} at the end."
    )
    labels = "".join(
        f'<span style="top:{100 * place(begin, v)[1] / HEIGHT:.1f}%">{v:g}</span>'
        for v in (0, 0.5, 1)
    )
    ends = "".join(
        f"<span>{_clock(plan, pts)}</span>" for pts in (plan.source.first_pts, plan.source.last_pts)
    )
    return (
        f'<div class="chart"><div class="scale" aria-hidden="true">{labels}</div>'
        f'<svg viewBox="0 -4 {WIDTH} {HEIGHT + 8}" preserveAspectRatio="none" role="img" '
        f'aria-label="{words}">{grid}{"".join(lines)}</svg><div></div>'
        f'<div class="axis">{ends}</div></div>'
    )


def _shots(plan: Plan) -> str:
    ends = [*plan.shots[1:], plan.source.last_pts]
    return "".join(
        f'<i class="shot" style="left:{_share(plan, first):.2f}%;'
        f'width:{_share(plan, last) - _share(plan, first):.2f}%"></i>'
        for number, (first, last) in enumerate(zip(plan.shots, ends, strict=True))
        if number % 2
    )


def _share(plan: Plan, pts: int) -> float:
    length = max(1, plan.source.last_pts - plan.source.first_pts)
    return 100 * (pts - plan.source.first_pts) / length


def _clock(plan: Plan, pts: int) -> str:
    return clock(float((pts - plan.source.first_pts) * plan.source.time_base))
