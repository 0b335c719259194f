"""A photo, or a folder of frames, behaves as a clip: frames in order, each with its own file.

A still that nothing changed is copied byte for byte, so its own compression, EXIF and colour
profile survive; one that has to be encoded (because it changed, or the output asks for another
format) keeps its sample format where the new format can hold it, and its colour profile.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.codec
import av.error
from PIL import Image, UnidentifiedImageError

from vidref.errors import InputError, OutputError, UnsupportedStreamError
from vidref.media.containers import local_file
from vidref.media.jpeg_segments import with_segments_of
from vidref.media.pixel_formats import encoder_formats, nearest_format
from vidref.media.tiff_tags import has_more_below, with_tags_of

if TYPE_CHECKING:
    import av.video.frame

JPEG_QUALITY = 1  # the finest quantiser that every JPEG reader takes


@dataclass(frozen=True)
class StillFormat:
    """The encoder of a kind of still, and its options."""

    encoder: str
    options: tuple[tuple[str, str], ...] = ()


_JPEG = StillFormat(
    "mjpeg", (("flags", "+qscale"), ("global_quality", str(118 * JPEG_QUALITY)), ("qmin", "1"))
)
_TIFF = StillFormat("tiff", (("compression_algo", "deflate"),))
FORMATS = {
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".png": StillFormat("png"),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": StillFormat("bmp"),
    ".webp": StillFormat("libwebp", (("lossless", "1"),)),
    ".dpx": StillFormat("dpx"),
    ".exr": StillFormat("exr"),
    ".jp2": StillFormat("jpeg2000", (("pred", "dwt53"), ("format", "jp2"))),
}
JPEG_SUFFIXES, TIFF_SUFFIXES = {".jpg", ".jpeg"}, {".tif", ".tiff"}
SAY_ALL = JPEG_SUFFIXES | {".png"}
# 8-bit pictures go through Pillow, which keeps EXIF and colour profile in all of these.
PILLOW_FORMATS: dict[str, dict[str, Any]] = {
    ".png": {"format": "PNG"},
    ".tif": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    ".tiff": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
    ".webp": {"format": "WEBP", "lossless": True},
}


@dataclass
class Still:
    """One picture file, decoded."""

    path: Path
    image: av.video.frame.VideoFrame
    is_changed: bool = False


def is_stills(source: Path) -> bool:
    """Whether this is a photo, or a folder that holds some."""
    if source.is_dir():
        return True
    return source.suffix.lower() in FORMATS


def find_stills(source: Path) -> list[Path]:
    """The pictures of a folder in the order in which a person counts (2 before 10)."""
    if source.is_file():
        return [source]
    found = [p for p in source.iterdir() if p.suffix.lower() in FORMATS and p.is_file()]
    found = [path for path in found if not path.name.startswith(".")]
    if not found:
        known = " ".join(sorted(FORMATS))
        raise InputError(f"The folder {source} holds no pictures ({known}); check the path.")
    return sorted(found, key=_counting_order)


def read_stills(paths: list[Path]) -> Iterator[Still]:
    """Decode one at a time, so that a folder of any length needs the memory of one picture."""
    for path in paths:
        yield Still(path, _decode(path))


def write_still(still: Still, target: Path, suffix: str) -> str | None:
    """Write to `target` (any name) as the format of `suffix`; returns what the user must hear."""
    try:
        if not still.is_changed and suffix.lower() == still.path.suffix.lower():
            shutil.copyfile(still.path, target)
            return None
        return _encode(still, target, suffix.lower())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{target} could not be written: {reason}.") from error


def check_still_suffix(path: Path) -> str:
    """The suffix, or a sentence when no kind of still has it."""
    if path.suffix.lower() not in FORMATS:
        known = " ".join(sorted(FORMATS))
        raise OutputError(f"{path} is not the name of a photo; end it in one of: {known}.")
    return path.suffix


def _counting_order(path: Path) -> list[tuple[int, int, str]]:
    pieces = re.split(r"(\d+)", path.name.lower())
    return [(1, int(piece), "") if piece.isdigit() else (0, 0, piece) for piece in pieces]


def _decode(path: Path) -> av.video.frame.VideoFrame:
    remedy = "it is damaged or not a picture; remove it, or copy it again"
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes); remove it, or copy it again.")
    try:
        # Without this, a photo called "50%d.png" would be taken for a numbered series.
        series = {"pattern_type": "none"} if path.suffix.lower() != ".webp" else {}
        with av.open(local_file(path), "r", container_options=series) as container:
            frame = next(container.decode(video=0))
            if frame.is_corrupt:
                raise InputError(f"{path} cannot be read: {remedy}.")
            return _with_plain_channels(frame)
    except PermissionError as error:
        raise InputError(f"{path} may not be read; check its permissions.") from error
    except (av.error.FFmpegError, OSError, StopIteration, IndexError) as error:
        raise InputError(f"{path} cannot be read: {remedy}.") from error


def _with_plain_channels(frame: av.video.frame.VideoFrame) -> av.video.frame.VideoFrame:
    """The same samples without a palette, and with a byte for each that had a bit."""
    name = frame.format.name
    if name == "pal8":
        alpha = bytes(frame.planes[1])[3::4]
        return frame.reformat(format="rgb24" if min(alpha) == 255 else "rgba", threads=1)
    return frame.reformat(format="gray", threads=1) if name in ("monob", "monow") else frame


def _encode(still: Still, target: Path, suffix: str) -> str | None:
    """Write the picture with what its file says beside it; the sentence tells what got lost."""
    lost, tags = _left_behind(still.path), _tags(still.path)
    is_deep = any(component.bits > 8 for component in still.image.format.components)
    if suffix in JPEG_SUFFIXES:
        target.write_bytes(_jpeg(still, tags))
    elif suffix in PILLOW_FORMATS and not is_deep:
        _encode_with_pillow(still.image, target, PILLOW_FORMATS[suffix], tags)
    else:
        target.write_bytes(_encode_with_ffmpeg(still.image, suffix))
    if {suffix, still.path.suffix.lower()} <= TIFF_SUFFIXES:
        original = still.path.read_bytes()
        target.write_bytes(with_tags_of(original, target.read_bytes()))
        if is_deep and has_more_below(original):
            lost.append("its EXIF block cannot be written")
    elif (
        (is_deep or suffix not in PILLOW_FORMATS)
        and suffix not in SAY_ALL
        and not tags.keys().isdisjoint(("exif", "icc_profile"))
    ):
        lost.append(f"its EXIF and colour profile cannot be written to {suffix}")
    return f"{still.path.name}: {'; '.join(lost)}." if lost else None


def _jpeg(still: Still, tags: dict[str, Any]) -> bytes:
    if still.image.format.name == "gray":  # FFmpeg's encoder has no picture without colours
        file = io.BytesIO()
        _encode_with_pillow(still.image, file, {"format": "JPEG", "quality": 98}, tags)
        data = file.getvalue()
    else:
        data = _encode_with_ffmpeg(still.image, ".jpg")
    if still.path.suffix.lower() in JPEG_SUFFIXES:
        return with_segments_of(still.path.read_bytes(), data, not _is_cmyk(still.path))
    return _with_exif(data, tags.get("exif", b"")) if still.image.format.name != "gray" else data


def _left_behind(path: Path) -> list[str]:
    """What no result can hold, where there is such a thing."""
    lost = []
    if _is_cmyk(path):
        lost.append("its printing colours (CMYK) become RGB, without their colour profile")
    try:
        with Image.open(path) as picture:
            pages = getattr(picture, "n_frames", 1) if picture.format == "TIFF" else 1
    except (UnidentifiedImageError, OSError):
        pages = 1
    return [*lost, f"only the first of its {pages} pages is kept"] if pages > 1 else lost


def _is_cmyk(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            return picture.mode == "CMYK"
    except (UnidentifiedImageError, OSError):
        return False


def _tags(path: Path) -> dict[str, Any]:
    """EXIF, colour profile and density, for Pillow's `save`; empty for formats it does not read."""
    try:
        with Image.open(path) as picture:
            tags: dict[str, Any] = {}
            if picture.getexif():
                tags["exif"] = picture.getexif().tobytes()
            for name in ("icc_profile", "dpi"):
                if picture.info.get(name) and (name == "dpi" or picture.mode != "CMYK"):
                    tags[name] = picture.info[name]
            return tags
    except (UnidentifiedImageError, OSError):
        return {}


def _encode_with_pillow(
    image: av.video.frame.VideoFrame,
    target: Path | io.BytesIO,
    form: dict[str, Any],
    tags: dict[str, Any],
) -> None:
    has_alpha = any(component.is_alpha for component in image.format.components)
    is_grey = image.format.name in ("gray", "ya8", "monob", "monow")
    kind = "rgba" if has_alpha else "rgb24"
    picture = Image.fromarray(image.to_ndarray(format=kind, threads=1))
    if is_grey:
        picture = picture.convert("LA" if has_alpha and form["format"] != "WEBP" else "L")
    picture.save(target, **form, **tags)


def _encode_with_ffmpeg(image: av.video.frame.VideoFrame, suffix: str) -> bytes:
    form = FORMATS[suffix]
    context: Any = av.CodecContext.create(form.encoder, "w")
    context.width, context.height = image.width, image.height
    context.pix_fmt = _pixel_format(form.encoder, image.format.name)
    context.time_base = Fraction(1, 25)
    context.options = dict(form.options)
    if image.color_range:
        context.color_range = image.color_range
    try:
        image.pts, image.pict_type = 0, 0
        packets = [*context.encode(image), *context.encode(None)]
    except (av.error.FFmpegError, ValueError) as error:
        raise UnsupportedStreamError(
            f"A {image.width}x{image.height} {image.format.name} picture cannot be written as "
            f"{suffix}; choose .png or .tif."
        ) from error
    return b"".join(bytes(packet) for packet in packets)


def _with_exif(jpeg: bytes, exif: bytes) -> bytes:
    """Put an EXIF segment right behind the start marker, where cameras put it."""
    if not exif or len(exif) > 65_533:
        return jpeg
    return jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + jpeg[2:]


def _pixel_format(encoder: str, source: str) -> str:
    formats = encoder_formats(encoder)
    if source in formats:
        return source
    return nearest_format(formats, source)
