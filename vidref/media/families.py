"""The codecs that can be written: their encoders, visually lossless settings, and containers."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import av

QSCALE = 118  # FF_QP2LAMBDA: FFmpeg's unit of `global_quality`

# Visually lossless: on a second of an interview these leave 50.0, 48.8, 49.0 and 48.5 dB of PSNR.
X264_CRF, X265_CRF, VP9_CRF, AV1_CRF = 16, 18, 18, 20


@dataclass(frozen=True)
class Family:
    """One codec and the encoder that writes it."""

    codec: str
    encoder: str
    options: tuple[tuple[str, str], ...] = ()
    crf_option: str | None = None
    has_b_frames: bool = False
    interlaces: bool = False
    qscale: int | None = None


FAMILIES: dict[str, Family] = {
    family.codec: family
    for family in (
        Family(
            "h264",
            "libx264",
            (("crf", str(X264_CRF)), ("preset", "medium")),
            "crf",
            has_b_frames=True,
            interlaces=True,
        ),
        Family(
            "hevc",
            "libx265",
            (("crf", str(X265_CRF)), ("preset", "medium")),
            "crf",
            has_b_frames=True,
        ),
        Family(
            "vp9",
            "libvpx-vp9",
            (("crf", str(VP9_CRF)), ("b", "0"), ("cpu-used", "4"), ("row-mt", "1")),
            "crf",
        ),
        Family("vp8", "libvpx", (("crf", "4"), ("b", "40M"), ("cpu-used", "2")), "crf"),
        Family("av1", "libsvtav1", (("crf", str(AV1_CRF)), ("preset", "7")), "crf"),
        Family("mpeg2video", "mpeg2video", qscale=2, interlaces=True),
        Family("mpeg1video", "mpeg1video", qscale=2),
        Family("mpeg4", "mpeg4", qscale=2, interlaces=True),
        Family("msmpeg4v3", "msmpeg4", qscale=2),
        Family("msmpeg4v2", "msmpeg4v2", qscale=2),
        Family("h263", "h263", qscale=2),
        Family("flv1", "flv", qscale=2),
        Family("wmv1", "wmv1", qscale=2),
        Family("wmv2", "wmv2", qscale=2),
        Family("mjpeg", "mjpeg", qscale=2),
        Family("prores", "prores_ks", (("vendor", "apl0"),), interlaces=True),
        Family("dnxhd", "dnxhd", interlaces=True),
        Family("dvvideo", "dvvideo"),
        Family("cfhd", "cfhd", (("quality", "film3+"),)),
        Family("jpeg2000", "jpeg2000", (("pred", "dwt53"),)),
        Family("ffv1", "ffv1", (("level", "3"), ("slicecrc", "1"))),
        Family("ffvhuff", "ffvhuff"),
        Family("huffyuv", "huffyuv"),
        Family("utvideo", "utvideo"),
        Family("magicyuv", "magicyuv"),
        Family("png", "png"),
        Family("qtrle", "qtrle"),
        Family("v210", "v210"),
        Family("rawvideo", "rawvideo"),
    )
}
ALIASES = {"h265": "hevc", "x264": "h264", "x265": "hevc", "mpeg2": "mpeg2video", "dv": "dvvideo"}
# Where the source's own family cannot hold it, or has no encoder, in order of preference.
FALLBACKS = ("h264", "hevc", "vp9", "av1", "prores", "ffv1", "rawvideo")

HARDWARE = ("nvenc", "qsv", "videotoolbox", "vaapi", "amf")

# What containers hold that cannot be asked: FFmpeg has no list of it.
HELD = {
    "mpegts": {"h264", "hevc", "mpeg2video", "mpeg1video", "mpeg4", "av1"},
    "mpeg": {"mpeg1video", "mpeg2video"},
    "vob": {"mpeg1video", "mpeg2video"},
    "dv": {"dvvideo"},
    "nut": set(FAMILIES),
}
# FFmpeg writes raw pictures into Matroska only where AVI has a name for their samples.
RAW_IN_MATROSKA = {"yuv420p", "yuvj420p", "yuv422p", "yuv411p", "yuv410p", "nv12", "gray"}
RAW_IN_MATROSKA |= {"uyvy422", "yuyv422", "yvyu422"}


def holds_raw(container: str, pix_fmt: str) -> bool:
    """Whether the muxer takes uncompressed pictures of these samples."""
    return container not in ("matroska", "webm") or pix_fmt in RAW_IN_MATROSKA


@cache
def container_holds(container: str, codec: str, encoder: str) -> bool:
    """Whether the muxer takes this codec."""
    if container in HELD:
        return codec in HELD[container]
    with av.open(io.BytesIO(), "w", format=container) as output:
        supported = output.supported_codecs
    return encoder in supported or codec in supported
