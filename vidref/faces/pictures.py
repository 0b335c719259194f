"""Reading a user's photo as everyone sees it: upright, in sRGB, eight bits, whatever the format."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidref.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".jp2"}
    | {".heic", ".heif", ".hif", ".avif"}
)
HEIF = frozenset({".heic", ".heif", ".hif"})
BACKDROP = 128
"""What shows through transparent parts: grey."""


@dataclass(frozen=True)
class Picture:
    """A photo's pixels, and the SHA-256 of the file they came from."""

    path: Path
    sha256: str
    rgb: NDArray[np.uint8]


def is_photo(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def read_picture(path: Path) -> Picture:
    """A photo from disk; whatever stops that is an `InputError` that names it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{path} cannot be read ({reason}): check the file.") from error
    if not data:
        raise InputError(f"{path} is empty: copy it again, or remove it.")
    return Picture(path, hashlib.sha256(data).hexdigest(), _decode(path, data))


def _decode(path: Path, data: bytes) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    if path.suffix.lower() in HEIF:
        _know_heif(path)
    try:
        with warnings.catch_warnings():
            # A photo of a hundred megapixels is large, not an attack; twice that is refused below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as picture:
                picture.load()
                upright: Any = ImageOps.exif_transpose(picture)
                return _eight_bit_rgb(upright)
    except Image.DecompressionBombError as error:
        raise InputError(f"{path} is too large (over 178 megapixels): make it smaller.") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{path} is not a picture: remove it, or copy it again.") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
        raise InputError(f"{path} is damaged: remove it, or copy it again.") from error


def _know_heif(path: Path) -> None:
    try:
        import pillow_heif  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as error:
        raise InputError(
            f"{path} needs the package pillow-heif: pip install pillow-heif, or save it as JPEG."
        ) from error
    pillow_heif.register_heif_opener()


def _eight_bit_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    from PIL import Image

    if picture.mode.startswith(("I", "F")):
        # Pillow clips these to 255 instead of scaling them: sixteen bits, or fractions up to one.
        values = np.asarray(picture, np.float64)
        top = 1.0 if picture.mode == "F" and values.max(initial=0) <= 1 else 65535.0
        grey = np.clip(values / top * 255 + 0.5, 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    picture = _in_srgb(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        ground = Image.new("RGBA", picture.size, (BACKDROP, BACKDROP, BACKDROP, 255))
        picture = Image.alpha_composite(ground, picture)
    return np.array(picture.convert("RGB"), np.uint8)


def _in_srgb(picture: Image.Image) -> Image.Image:
    """Phones store Display P3, printers CMYK: the embedded profile says what the numbers mean."""
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return picture
    from PIL import ImageCms

    target = "RGBA" if picture.mode == "RGBA" else "RGB"
    try:
        converted = ImageCms.profileToProfile(
            picture,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            outputMode=target,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture  # A broken profile: the numbers as they stand are the best guess.
    return converted if converted is not None else picture
