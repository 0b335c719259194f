"""What is inside a page: its facts, and the moving picture, as a browser would find them."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import av
import numpy as np


def element(page: Path, id: str) -> str:
    found = re.search(rf'<script [^>]*id="{id}">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found, f"{page} has no element {id}"
    return found.group(1)


def facts(page: Path) -> dict[str, Any]:
    return json.loads(element(page, "facts"))


def proxy(page: Path) -> Path:
    """The page's moving picture as a file."""
    path = page.with_suffix(".inside.mp4")
    path.write_bytes(base64.b64decode(element(page, "clip")))
    return path


def halves(page: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each frame's upper and lower picture, RGB."""
    told = facts(page)
    height, width, second = told["stored_height"], told["stored_width"], told["second_y"]
    with av.open(str(proxy(page))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [(f[:height, :width], f[second : second + height, :width]) for f in frames]


def addresses(page: Path) -> list[str]:
    """Everything in the page that could send a browser elsewhere."""
    text = re.sub(r'<script type="text/plain".*?</script>', "", page.read_text(), flags=re.DOTALL)
    return re.findall(r"""(?:https?:)?//[\w.-]+\.\w+|@import|url\((?!data:)[^)]*\)""", text)
