"""`vidref doctor`: what this machine can run, and how fast."""

from __future__ import annotations

import json

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> None:
    """Show versions, devices, codecs, and the measured speed of decoding and encoding here."""
    from vidref.pipeline.doctor import examine

    findings = examine()
    if as_json:
        click.echo(json.dumps(findings))
        return
    for title, facts in findings.items():
        click.echo(f"{title}:")
        for name, value in facts.items():
            click.echo(f"  {name:<24} {value}")
