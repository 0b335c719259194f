"""Which encoder writes the picture, in which pixel format, with which settings.

The rule: the source's own codec family where it can hold the source's samples, visually lossless;
otherwise the next family that loses nothing of depth and chroma, and the choice is said aloud.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import av.codec
import av.error

from vidref.errors import SettingsError, UnsupportedStreamError
from vidref.media.colour import FULL_RANGE, LIMITED_RANGE, UNSPECIFIED, usual_matrix
from vidref.media.families import (
    ALIASES,
    FALLBACKS,
    FAMILIES,
    HARDWARE,
    QSCALE,
    Family,
    container_holds,
    holds_raw,
)
from vidref.media.pixel_formats import choose_pixel_format
from vidref.media.planes import is_rgb
from vidref.media.x264 import x264_params

if TYPE_CHECKING:
    from vidref.media.probe import Picture

PRORES_PROFILES = {"proxy": "proxy", "lt": "lt", "standard": "standard", "hq": "hq"}
MPEG2_RATES = (
    *(Fraction(rate) for rate in (24, 25, 30, 50, 60)),
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 60)),
)
MPEG4_LARGEST_CLOCK = 65535
SAYS_LIGHT = ("libx265", "libsvtav1")  # the encoders that can be told HDR's light levels


@dataclass(frozen=True)
class Request:
    """What the user asked of the output picture; all None means "like the source"."""

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    lossless: bool = False
    prores: bool = False
    threads: int = 0


@dataclass(frozen=True)
class Encoding:
    """A decided encoder; `notes` are sentences the user must hear."""

    family: str
    encoder: str
    pix_fmt: str
    options: dict[str, str]
    rate: Fraction
    notes: tuple[str, ...] = ()


def choose_encoding(picture: Picture, container: str, request: Request) -> Encoding:
    """Decide how `picture` is written into `container` (an FFmpeg muxer's name)."""
    if request.lossless + request.prores + (request.codec is not None) > 1:
        raise SettingsError("Choose one of --codec, --lossless and --prores, not several.")
    wanted = _wanted(picture, request)
    families = [wanted] if wanted else [picture.codec, *_instead_of(picture.codec, container)]
    for name in families:
        encoding = _try(name, picture, container, request, asked=wanted is not None)
        if encoding:
            if wanted is None and name != picture.codec:
                note = f"{picture.codec} ({picture.pix_fmt}) cannot be written as it is: the "
                note += f"picture becomes {encoding.family} ({encoding.pix_fmt})."
                encoding = replace(encoding, notes=(note, *encoding.notes))
            return encoding
    raise UnsupportedStreamError(
        f"No encoder here writes {picture.pix_fmt} pictures as {wanted or picture.codec} into "
        f"{container}; choose an .mkv output, or another --codec."
    )


def _instead_of(codec: str, container: str) -> tuple[str, ...]:
    """What is tried where `codec` cannot be written: in an archive's file, what loses nothing."""
    known: Any = av.codec.Codec(codec, "r")
    is_archival = container == "matroska" and known.lossless and not known.lossy
    return (("ffv1",) if is_archival else ()) + FALLBACKS


def _wanted(picture: Picture, request: Request) -> str | None:
    if request.lossless:
        return "ffv1"
    if request.prores:
        return "prores"
    if request.codec is None:
        return None
    by_encoder = {family.encoder: family.codec for family in FAMILIES.values()}
    return ALIASES.get(request.codec) or by_encoder.get(request.codec, request.codec)


def _try(
    name: str, picture: Picture, container: str, request: Request, asked: bool
) -> Encoding | None:
    family = FAMILIES.get(name) or (_hardware(name) if asked else None)
    if family is None:
        if asked:
            known = ", ".join(FAMILIES)
            raise SettingsError(f"There is no codec {name!r} here; known ones are: {known}.")
        return None
    if picture.is_rgb and family.encoder == "libx264":
        family = replace(family, encoder="libx264rgb")
    if not container_holds(container, family.codec, family.encoder):
        return None
    if family.encoder == "rawvideo" and not holds_raw(container, picture.pix_fmt):
        return None
    pix_fmt, loss = choose_pixel_format(family, picture, exact=not asked and name != picture.codec)
    if pix_fmt is None:
        return None
    options, notes = _options(family, picture, container, request)
    if loss:
        notes.append(loss)
    rate = _nominal_rate(family.codec, picture.average_rate)
    return Encoding(family.codec, family.encoder, pix_fmt, options, rate, tuple(notes))


def _hardware(name: str) -> Family | None:
    """`h264_nvenc` and its like, where FFmpeg was built with them."""
    codec, _, device = name.partition("_")
    if device not in HARDWARE:
        return None
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError as error:
        raise SettingsError(
            f"This build has no {name} encoder; `vidref doctor` lists what it has."
        ) from error
    quality = {"nvenc": "cq", "qsv": "global_quality", "vaapi": "qp"}.get(device, "q")
    options = ((quality, "18"),)
    return Family(codec, name, options, quality, has_b_frames=True)


def _options(
    family: Family, picture: Picture, container: str, request: Request
) -> tuple[dict[str, str], list[str]]:
    options = dict(family.options)
    notes: list[str] = []
    if request.crf is not None:
        if family.crf_option is None:
            raise SettingsError(
                f"--crf means nothing to {family.codec}; it applies to h264, hevc, vp9 and av1."
            )
        options[family.crf_option] = f"{request.crf:g}"
    if request.preset is not None:
        options["preset"] = request.preset
    if family.qscale is not None:
        options |= {"flags": "+qscale", "global_quality": str(family.qscale * QSCALE)}
        options |= {"qmin": "1"}
    if picture.chroma_site and not picture.is_rgb:
        options["chroma_sample_location"] = picture.chroma_site
    if container == "avi" and family.has_b_frames:
        options["bf"] = "0"  # AVI has no presentation times: reordered frames would come out late
    if picture.interlaced:
        if family.interlaces:
            options["flags"] = options.get("flags", "") + "+ildct+ilme"
        elif family.codec in ("hevc", "vp9", "vp8", "av1"):
            notes.append(
                f"{family.codec} is written here as whole frames: the fields stay in place, but "
                "players are no longer told that they are fields (--codec h264 tells them)."
            )
    if family.codec == "prores":
        options["profile"] = _prores_profile(picture)
    if family.codec == "dnxhd":
        options["profile"] = _dnxhr_profile(picture)
    if family.encoder.startswith("libx264") and (told := x264_params(picture)):
        options["x264-params"] = ":".join(told)
    if family.codec == "hevc" and family.encoder == "libx265":
        params = ["log-level=error", *picture.hdr.x265_params()]
        if picture.hdr.mastering:
            params.append("hdr10=1")
        options["x265-params"] = ":".join(params)
    if family.encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # it prints its banner from C, past every switch
    if family.encoder == "libsvtav1" and picture.hdr:
        options["svtav1-params"] = ":".join(picture.hdr.svtav1_params())
    for kind in picture.hdr.dynamic:
        notes.append(f"The {kind} metadata of each frame cannot be written and is left out.")
    return options, notes


def _prores_profile(picture: Picture) -> str:
    if picture.codec == "prores" and picture.profile:
        word = picture.profile.lower().split()[-1].split("-")[-1]
        if word in PRORES_PROFILES:
            return PRORES_PROFILES[word]
        if "4444" in picture.profile:
            return "4444xq" if "xq" in picture.profile.lower() else "4444"
    return "4444" if picture.has_alpha or "444" in picture.pix_fmt else "hq"


def _dnxhr_profile(picture: Picture) -> str:
    if "444" in picture.pix_fmt or picture.pix_fmt.startswith("gbr"):
        return "dnxhr_444"
    return "dnxhr_hqx" if "10" in picture.pix_fmt else "dnxhr_hq"


def _nominal_rate(codec: str, rate: Fraction) -> Fraction:
    """The rate in the codec's own header; the real timestamps are the container's."""
    if codec in ("mpeg2video", "mpeg1video"):
        return min(MPEG2_RATES, key=lambda known: abs(known - rate))
    if codec == "dvvideo":
        return Fraction(25) if rate <= Fraction(27) else Fraction(30000, 1001)
    return rate.limit_denominator(1001) if rate.numerator > MPEG4_LARGEST_CLOCK else rate


def carries_captions(encoding: Encoding) -> bool:
    """Whether closed captions that ride on the frames survive this encoder."""
    return encoding.encoder in ("libx264", "libx264rgb", "libx265", "mpeg2video") or (
        encoding.family == "h264" and encoding.encoder.endswith("nvenc")
    )


def colour_options(picture: Picture, pix_fmt: str) -> dict[str, int]:
    """Attributes of PyAV's encoder context that carry the colour tags on.

    An RGB picture that becomes YUV gets the matrix it is converted with.
    """
    colour = picture.colour
    if picture.is_rgb and not is_rgb(pix_fmt):
        colour = replace(colour, matrix=usual_matrix(picture.height), range=LIMITED_RANGE)
    tags = {
        "colorspace": colour.matrix,
        "color_primaries": colour.primaries,
        "color_trc": colour.transfer,
    }
    kept = {name: value for name, value in tags.items() if value != UNSPECIFIED}
    if colour.range or picture.pix_fmt.startswith("yuvj"):
        kept["color_range"] = colour.range or FULL_RANGE
    return kept
