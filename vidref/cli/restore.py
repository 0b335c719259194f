"""`vidref restore`: flags in, one call of the public API, progress and warnings out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidref.cli.common import dropped_streams, face_options, output_options
from vidref.cli.progress import Reporter


@click.command()
@click.argument("source", type=click.Path(path_type=Path, allow_dash=True, readable=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True, readable=False),
    help="The result; its suffix chooses the container. Default: NAME.restored beside the source.",
)
@face_options
@click.option(
    "--plan",
    type=click.Path(path_type=Path, readable=False),
    help="Use this plan of `vidref analyse` as it stands, instead of looking for faces.",
)
@click.option("--model", help="bundled, a bundle's folder, a hub id, or another face model's .pth.")
@click.option("--fidelity", type=float, help="0: most detail ... 1: closest to the input.")
@click.option("--strength", type=float, help="Show less, 0 to 1, times what each face needs.")
@click.option(
    "--grain",
    type=float,
    help="Skin texture drawn where a face lacks it, 0 to 1. Default: 1 in a photo, 0 in a clip.",
)
@click.option("--steps", type=int, help="Steps of the sampler.")
@click.option("--seed", type=int, help="Another seed invents other detail.")
@click.option(
    "--noise",
    type=click.Choice(["shared", "independent"]),
    help="independent: new noise in every frame, only to compare.",
)
@click.option(
    "--combine",
    type=click.Choice(["concatenated", "average", "weighted"]),
    help="How several references meet.",
)
@click.option("--device", help="auto, cpu, cuda, cuda:1 or mps.")
@click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    help="Arithmetic of the model.",
)
@click.option("--batch", type=int, help="Calls of the model that may wait in the queue.")
@click.option(
    "--restart",
    is_flag=True,
    default=None,
    help="Begin anew; without it an interrupted job is continued.",
)
@click.option(
    "--report", is_flag=True, default=None, help="Write a page about the run beside the output."
)
@click.option(
    "--uncertainty",
    is_flag=True,
    default=None,
    help="Measure what of each face is supported by evidence; for the page and the sidecar.",
)
@click.option("--c2pa", is_flag=True, default=None, help="Sign the output (Content Credentials).")
@click.option(
    "--cert",
    type=click.Path(path_type=Path, readable=False),
    help="With --c2pa: the signer's certificate chain (PEM).",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, readable=False),
    help="With --c2pa: the signer's private key (PEM).",
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

    Every person in it is found and rebuilt from their own sharpest frames and the photos in
    --refs. Sound, subtitles, chapters, attachments, timing, colour and every pixel outside the
    faces are kept as they are. A job that was interrupted goes on where it was.
    """
    from vidref.api import default_output, plan_with, restore_with
    from vidref.settings import Settings

    settings = Settings.load(config, options)
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
            "faces": result.faces,
            "sidecar": None if result.sidecar is None else str(result.sidecar),
            "report": None if result.report is None else str(result.report),
            "warnings": list(result.warnings),
        }
    )
