"""An HTML page that is one file and asks the network for nothing: its parts, put together.

The policy in its head forbids every address but those inside the page, so that a mistake here
shows as an error in the browser and never as a request.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from vidref.errors import OutputError
from vidref.media.unfinished import UnfinishedFile

PAGES = Path(__file__).parent / "pages"
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data: blob:; media-src data: blob:"
)
CHUNK = 3 * 256 * 1024
"""Bytes read at once; a multiple of three, so that the pieces' base64 joins without padding."""


def write_document(path: Path, write: Callable[[TextIO], None]) -> None:
    """Open `path` for a page, let `write` fill it, and give it its name when it is whole."""
    unfinished = UnfinishedFile(path)
    try:
        with unfinished.path.open("w", encoding="utf-8", newline="\n") as file:
            write(file)
    except OSError as error:
        unfinished.discard()
        told = (error.strerror or str(error)).lower()
        raise OutputError(f"{path} could not be written: {told}.") from error
    except BaseException:
        unfinished.discard()
        raise
    unfinished.keep()


def head(title: str, *styles: str) -> str:
    """Everything up to the body; `styles` are files of `pages`."""
    style = "\n".join((PAGES / name).read_text(encoding="utf-8") for name in styles)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark">
<title>{html.escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
"""


def script(name: str) -> str:
    """A script of `pages` as an element."""
    return f"<script>\n{(PAGES / name).read_text(encoding='utf-8')}</script>\n"


def facts_element(id: str, facts: Any) -> str:
    """Facts for a script, written so that no text in them can end the element."""
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return f'<script type="application/json" id="{id}">{text}</script>\n'


def file_element(id: str, path: Path) -> Iterator[str]:
    """A file inside the page, piece by piece, so that its size costs no memory here."""
    yield f'<script type="text/plain" id="{id}">'
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield base64.b64encode(piece).decode("ascii")
    yield "</script>\n"


def data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
