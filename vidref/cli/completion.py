"""`vidref completion SHELL`: the script that teaches a shell our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    For bash, add this line to ~/.bashrc: eval "$(vidref completion bash)"
    """
    from vidref.cli.main import vidref

    kind = get_completion_class(shell)
    assert kind is not None  # click knows every shell that the argument admits
    click.echo(kind(vidref, {}, "vidref", "_VIDREF_COMPLETE").source())
