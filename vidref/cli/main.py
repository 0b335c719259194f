"""`vidref`: the group that finds each command's file only when that command is called.

`vidref --help` must answer in under 0.3 s, so nothing heavier than click is imported here, and
the one-line summaries stand in this table rather than in modules that would have to be imported.
"""

from __future__ import annotations

import sys

import click

from vidref.cli.lazy import lazy_group

COMMANDS: dict[str, tuple[str, str]] = {
    "restore": ("vidref.cli.restore:restore", "Restore a clip, a photo or a folder of frames."),
    "analyse": ("vidref.cli.analyse:analyse", "Find who is in a clip, and write the plan."),
    "compare": ("vidref.cli.compare:compare", "Show a clip before and after, side by side."),
    "batch": ("vidref.cli.batch:batch", "Restore many clips, here or on a cluster."),
    "models": ("vidref.cli.models:models", "List, verify and fetch models."),
    "train": ("vidref.cli.train:train", "Train the face pack or the restorer."),
    "evaluate": ("vidref.cli.evaluate:evaluate", "Measure models and restored faces and clips."),
    "doctor": ("vidref.cli.doctor:doctor", "Show what this machine can run, and how fast."),
    "completion": ("vidref.cli.completion:completion", "Print the shell's completion script."),
}


@click.group(cls=lazy_group(COMMANDS), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vidref", message="vidref %(version)s")
def vidref() -> None:
    """Restore faces in video as the person really looked."""


def main() -> None:
    """Run the CLI: a `VidrefError` is one sentence and its exit code, never a traceback."""
    from vidref.errors import VidrefError

    try:
        status = vidref(prog_name="vidref", standalone_mode=False)
    except VidrefError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped; nothing was left behind and the original is untouched.", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
    sys.exit(status if isinstance(status, int) else 0)
