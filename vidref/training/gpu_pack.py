"""Everything a training needs, laid out in loads that fit one call to a lent GPU machine.

    python -m vidref.training.gpu_pack pack ../shared/data .gpu [--limit-mib 30]

`.gpu/photos-NN/` hold the training photographs, `.gpu/extras/` the perceptual encoder; the bundled
recogniser travels with the tree. docs/training.md says in which order they go. And back:

    python -m vidref.training.gpu_pack cut FILE FOLDER       (pieces of 15 MiB)
    python -m vidref.training.gpu_pack join FOLDER NAME OUT
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from vidref.training.travel import cut, join, pack_photos

MIB = 2**20
PIECE = 15 * MIB


@click.group()
def main() -> None:
    """Loads for a GPU machine, and what comes back."""


@main.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--limit-mib", type=int, default=30, show_default=True)
def pack(data: Path, out: Path, limit_mib: int) -> None:
    """Write the loads under OUT."""
    for shard in pack_photos(data, out / "photos", limit_mib * MIB):
        folder = out / shard.stem
        folder.mkdir(exist_ok=True)
        shard.replace(folder / shard.name)
        click.echo(f"{folder}  {(folder / shard.name).stat().st_size / MIB:.1f} MiB")
    (out / "photos").rmdir()
    extras = out / "extras"
    extras.mkdir(exist_ok=True)
    encoder = data / "teachers" / "perceptual-encoder.safetensors"
    if encoder.exists():
        shutil.copy(encoder, extras)
    size = sum(file.stat().st_size for file in extras.iterdir())
    click.echo(f"{extras}  {size / MIB:.1f} MiB")


@main.command("cut")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
def cut_file(file: Path, folder: Path) -> None:
    """Cut FILE into pieces that may come back."""
    click.echo(f"{len(cut(file, folder, PIECE))} pieces")


@main.command("join")
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.argument("name")
@click.argument("out", type=click.Path(path_type=Path))
def join_file(folder: Path, name: str, out: Path) -> None:
    """Put the pieces of NAME together again."""
    click.echo(str(join(folder, name, out)))


if __name__ == "__main__":
    main()
