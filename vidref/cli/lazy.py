"""A click group of commands that are imported only when they are called."""

from __future__ import annotations

import importlib

import click


def lazy_group(commands: dict[str, tuple[str, str]]) -> type[click.Group]:
    """A group class over {name: ("module:attribute", one-line summary)}."""

    class Group(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(commands)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name not in commands:
                return None
            module, attribute = commands[cmd_name][0].split(":")
            command: click.Command = getattr(importlib.import_module(module), attribute)
            return command

        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])

    return Group
