"""What `--uncertainty` found of a person, as a part of the report."""

from __future__ import annotations

from vidref.pipeline.support import Support


def support_section(support: Support) -> str:
    return ""
