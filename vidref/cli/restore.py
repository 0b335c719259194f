"""`vidref restore`: flags in, one call of the public API, progress and warnings out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidref.cli.common import dropped_streams, output_options
from vidref.cli.progress import Reporter


@click.command()
@click.argument("source", type=click.Path(path_type=Path, allow_dash=True, readable=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True, readable=False),
    help="The result; its suffix chooses the container. Default: NAME.restored beside the source.",
)
@click.option("--start", help="Begin here (seconds, m:s or h:m:s).")
@click.option("--end", help="Stop before this time.")
@click.option("--preview", metavar="SECONDS", help="Only so many seconds, from --start.")
@click.option("--codec", help="Video codec; default: the source's own.")
@click.option("--crf", type=float, help="Quality of h264, hevc, vp9 or av1 (lower is finer).")
@click.option("--preset", help="Speed preset of the encoder.")
@click.option("--lossless", is_flag=True, default=None, help="FFV1: every pixel exact.")
@click.option("--prores", is_flag=True, default=None, help="Apple ProRes.")
@click.option("--format", "container", help="Container, where the name does not say (pipes).")
@click.option(
    "--drop",
    callback=dropped_streams,
    metavar="I,J|unsupported",
    help="Leave out these streams.",
)
@click.option("--deinterlace", is_flag=True, default=None, help="Make whole frames (bwdif).")
@click.option("--overwrite", is_flag=True, default=None, help="Replace the output if it exists.")
@click.option("--threads", type=int, help="Cores to use; 0 is all.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, readable=False),
    help="A YAML file of settings; flags override it.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
@output_options
def restore(
    source: Path,
    output: Path | None,
    config: Path | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Restore SOURCE: a clip, a photo, a folder of frames, or - for standard input.

    Sound, subtitles, chapters, attachments, timing and colour are kept as they are.
    """
    from vidref.api import default_output, plan_with, restore_with
    from vidref.settings import Settings

    settings = Settings.load(config, {SETTING_OF[name]: value for name, value in options.items()})
    output = output or default_output(source, settings)
    reporter = Reporter(quiet=quiet, as_json=as_json)
    if dry_run:
        reporter.result(plan_with(source, output, settings))
        return
    with reporter:
        result = restore_with(source, output, settings, reporter.progress)
    reporter.warnings(result.warnings)
    reporter.result(
        {
            "source": str(result.source),
            "output": str(result.output),
            "frames": result.frames,
            "seconds": round(result.seconds, 3),
            "encoder": result.encoder,
            "warnings": list(result.warnings),
        }
    )


SETTING_OF = {
    "start": "span.start",
    "end": "span.end",
    "preview": "span.preview",
    "codec": "output.codec",
    "crf": "output.crf",
    "preset": "output.preset",
    "lossless": "output.lossless",
    "prores": "output.prores",
    "container": "output.container",
    "drop": "output.drop",
    "deinterlace": "picture.deinterlace",
    "overwrite": "output.overwrite",
    "threads": "threads",
}
