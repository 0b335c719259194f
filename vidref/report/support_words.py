"""What `--uncertainty` found of a person, as a part of the report."""

from __future__ import annotations

import html
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidref.pipeline.support import VISIBLE, Support, SupportLook
from vidref.report.document import data_url
from vidref.report.plan_words import clock

SHOWN = 256
RED = np.array([232, 74, 46], np.float32)
STRONGEST = 3 * VISIBLE
"""Expected error at which the tint is at its strongest."""


def support_section(support: Support) -> str:
    """The figure, what it means, and where on the face it is wrong."""
    share = round(100 * support.supported)
    scale = ""
    if not support.is_calibrated:
        scale = (
            " The scale was measured with another restorer than the one used here: compare these "
            "figures with each other, not with those of other runs."
        )
    pictures = "".join(map(_figure, support.looks))
    return (
        "<h4>Supported by evidence</h4>"
        f'<div class="meter" role="img" aria-label="{share} % supported"><i style="width:{share}%">'
        f"</i></div><p>{share} % of the face is supported, {100 - share} % is partly "
        "invented or missing.</p>"
        f'<p class="faint">The face was restored several times from the same evidence (mirrored, '
        "moved, with a little noise, other seeds). From how much the answers differ, and how "
        "fine the detail is, follows the error to be expected. Red is where it is more than "
        f"{VISIBLE:g} of 255 levels: there, do not take detail for a fact.{html.escape(scale)}</p>"
        f'<div class="support">{pictures}</div>'
    )


def _figure(look: SupportLook) -> str:
    plain, tinted = _small(look.restored), tint(look)
    when = clock(look.seconds)
    return (
        f'<figure><div class="pair">{_image(plain, f"Restored, {when}")}'
        f"{_image(tinted, f'Expected error, {when}')}</div><figcaption>{when}</figcaption></figure>"
    )


def tint(look: SupportLook) -> NDArray[np.uint8]:
    """The restored face in grey, red where its error is expected to be seen."""
    grey = _small(look.restored).astype(np.float32).mean(2, keepdims=True)
    smooth = Image.fromarray(look.expected).resize((SHOWN, SHOWN), Image.Resampling.BILINEAR)
    over = np.clip((np.asarray(smooth)[..., None] - VISIBLE) / (STRONGEST - VISIBLE), 0, 1)
    strength = np.where(over > 0, 0.25 + 0.5 * over, 0)
    mixed = grey * (1 - strength) + RED * strength
    return np.asarray(np.rint(mixed), np.uint8)


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize((SHOWN, SHOWN), Image.Resampling.LANCZOS))


def _image(picture: NDArray[np.uint8], words: str) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=88)
    url = data_url("image/jpeg", file.getvalue())
    return f'<img src="{url}" width="{SHOWN}" height="{SHOWN}" alt="{html.escape(words)}">'
