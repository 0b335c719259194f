"""`vidref models`: which weights are here, whether they are whole, and fetching packs."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def models() -> None:
    """List, check, find and fetch weights."""


@models.command("list")
def list_models() -> None:
    """Show the bundled weights and the face packs in insightface's folder."""
    from vidref import weights
    from vidref.faces.pack import LOCAL_PACKS, NON_COMMERCIAL

    found = [(name, folder, "Apache-2.0") for name, folder in weights.bundled_folders().items()]
    packs = LOCAL_PACKS.expanduser()
    if packs.is_dir():
        found += [(f.name, f, "non-commercial") for f in sorted(packs.iterdir()) if f.is_dir()]
    for name, folder, licence in found:
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 2**20
        click.echo(f"{name:14} {size:7.1f} MiB  {licence:14}  {folder}")
    if any(licence == "non-commercial" for _, _, licence in found):
        click.echo(NON_COMMERCIAL)


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
def verify(names: tuple[str, ...]) -> None:
    """Check the hashes of NAMES (default: everything bundled)."""
    from vidref import weights

    for name in names or tuple(weights.bundled_folders()):
        folder = _folder(name)
        checked = weights.verify(folder)
        for file in checked:
            click.echo(f"ok  {file}")
        if not checked:
            click.echo(f"--  {folder}: no hashes are recorded for it")


@models.command()
@click.argument("name")
def path(name: str) -> None:
    """Print the folder that NAME is in."""
    click.echo(_folder(name))


@models.command()
@click.argument("name")
@click.option(
    "--from",
    "source",
    metavar="ZIP|URL",
    help="A local zip of the pack, or the base address of a mirror (NAME.zip is added).",
)
@click.option("--yes", is_flag=True, help="Accept the licence without being asked.")
def fetch(name: str, source: str | None, yes: bool) -> None:
    """Fetch the insightface pack NAME, for example buffalo_l."""
    from vidref.faces.fetch import fetch_pack
    from vidref.faces.pack import NON_COMMERCIAL

    click.echo(NON_COMMERCIAL)
    if not yes:
        click.confirm("Go on?", abort=True)
    click.echo(fetch_pack(name, source))


def _folder(name: str) -> Path:
    from vidref import weights
    from vidref.faces.pack import find_pack

    return weights.bundled_folders().get(name) or find_pack(name)
