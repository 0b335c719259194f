"""Whatever a file holds comes out as it went in; only the picture is encoded anew.

Every case is a small real file, run twice: with the default encoder into the same container
(same codec family, same pixel format, more than 40 dB), and with `--lossless` into a container
that holds FFV1 (bit-identical frames). Debian's ffprobe, ffmpeg and mkvmerge are the judges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest

from tests import clips, judge
from tests.clips import Gathered, Sound, ffmpeg, remux, write_clip
from tests.tool import PASS, process, vidref

pytestmark = pytest.mark.usefixtures("judges")

OPUS = Sound("libopus")
MP2 = Sound("mp2")
PCM = Sound("pcm_s16le")
X265 = {"x265-params": "log-level=error:pools=1:frame-threads=1"}
MASTERING = (
    "master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50)"
    ":max-cll=1000,400:hdr10=1:repeat-headers=1"
)
SVT = {"preset": "10", "svtav1-params": "lp=1"}
ABOUT = {
    "title": "A quiet day",
    "artist": "Ü. Nämé",
    "comment": "kept, with an = and a ; in it",
    "creation_time": "2019-03-04T05:06:07.000000Z",
}

Maker = Callable[[Path, Gathered], object]


@dataclass(frozen=True)
class Case:
    """One kind of file. `lossless` is the suffix that FFV1 goes into, where it is not .mkv."""

    name: str
    suffix: str
    make: Maker
    lossless: str = ".mkv"
    #: pixel format of the FFV1 stream where FFV1 has the same samples under another name
    lossless_pix_fmt: str | None = None
    #: difference -> word of the warning that must announce it, where the container or the codec
    #: truly cannot hold the thing
    lossless_loses: tuple[tuple[str, str], ...] = ()
    default_loses: tuple[tuple[str, str], ...] = ()
    #: the judge is ffmpeg's own remux of the source: ADTS headers cannot be in Matroska
    lossless_is_a_remux: bool = False
    #: Debian's ffmpeg 5.1 cannot decode FFV1 in this format yet, so PyAV has to
    lossless_is_too_new: bool = False


def clip(**how: object) -> Maker:
    return lambda path, _: write_clip(path, **how)  # type: ignore[arg-type]


def _then(made: dict[str, object], suffix: str, *arguments: str) -> Maker:
    """A clip by PyAV, then remuxed with ffmpeg arguments; {srt}, {ass}... name the extras."""

    def make(path: Path, extras: Gathered) -> None:
        base = write_clip(path.with_name(f"{path.stem}.base{suffix}"), **made)  # type: ignore[arg-type]
        names = {n: getattr(extras, n) for n in ("srt", "ass", "chapters", "cover", "font")}
        remux(base, path, *(a.format(**names) for a in arguments))

    return make


def _interlaced(encoder: list[str], first: str, sound: list[str]) -> Maker:
    """Truly combed: two moments in time in each frame."""

    def make(path: Path, _: Gathered) -> None:
        base = write_clip(
            path.with_name(f"{path.stem}.base.mkv"), codec="ffv1", frames=24, rate=50, sounds=[PCM]
        )
        order = (
            "interleave_top,setfield=tff" if first == "top" else "interleave_bottom,setfield=bff"
        )
        ffmpeg("-i", base, "-vf", f"tinterlace={order}", *encoder, *sound, path)

    return make


def _trimmed(path: Path, _: Gathered) -> None:
    """Cut in the middle of a GOP without re-encoding: the edit list hides the frames before."""
    base = write_clip(path.with_name(f"{path.stem}.base.mp4"), frames=30, gop=12, b_frames=2)
    ffmpeg("-ss", "0.28", "-i", base, "-c", "copy", path)


def _patched_edit(path: Path, _: Gathered) -> None:
    """The edit starts three frames in and ends two frames early."""
    write_clip(path, frames=24, gop=12, b_frames=2)
    frame, movie_frame = 512, 40
    clips.rewrite_edit_list(path, lambda d, m: (d - 5 * movie_frame, m + 3 * frame))


def _late_picture(path: Path, _: Gathered) -> None:
    """An empty edit: the picture starts 0.3 s after the sound."""
    base = write_clip(path.with_name(f"{path.stem}.base.mp4"))
    ffmpeg(
        "-itsoffset", "0.3", "-i", base, "-i", base, "-map", "0:v", "-map", "1:a", "-c", "copy",
        path,
    )  # fmt: skip


def _before_zero(path: Path, _: Gathered) -> None:
    """A broadcast recorded across the wrap of the 33-bit clock starts at -1.5 s."""
    base = write_clip(path.with_name(f"{path.stem}.base.ts"), b_frames=2, sounds=[MP2])
    ffmpeg(
        "-i", base, "-c", "copy", "-output_ts_offset", "95442.2", "-muxdelay", "0",
        "-mpegts_copyts", "1", path,
    )  # fmt: skip


def _tuned_in(path: Path, _: Gathered) -> None:
    """A broadcast that somebody tuned into between two key frames."""
    whole = write_clip(path.with_name("whole.ts"), frames=30, gop=12, sounds=[MP2]).read_bytes()
    header = whole[: 188 * 4]  # service, programme and stream tables
    path.write_bytes(header + whole[188 * (len(whole) // 188 // 4) :])


def _two_pictures(path: Path, _: Gathered) -> None:
    """The picture and a second camera, which is copied like any other stream."""
    first = write_clip(path.with_name("first.mkv"))
    second = write_clip(path.with_name("second.mkv"), size=(64, 48), sounds=[])
    remux(first, path, "-i", second, "-map", "0", "-map", "1", "-disposition:v:1", "0")


def _captioned(path: Path, _: Gathered) -> None:
    base = write_clip(path.with_name(f"{path.stem}.base.mp4"), b_frames=0)
    clips.with_captions(base, path)


def _dv(path: Path, _: Gathered) -> None:
    base = write_clip(
        path.with_name(f"{path.stem}.base.mkv"),
        codec="ffv1",
        size=(720, 576),
        frames=5,
        sounds=[PCM],
    )
    ffmpeg("-i", base, "-target", "pal-dv", path)


def _klv(path: Path, _: Gathered) -> None:
    """A stream of positions, as drones write it."""
    import av

    base = write_clip(path.with_name(f"{path.stem}.base.ts"), sounds=[MP2])
    with av.open(str(base)) as read, av.open(str(path), "w") as out:
        tracks = {s.index: out.add_stream_from_template(s) for s in read.streams}
        data = out.add_data_stream("klv")
        for packet in read.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "video":
                entry = av.Packet(b"\x06\x0e\x2b\x34 at %d" % packet.dts)
                entry.pts = entry.dts = packet.dts
                entry.time_base, entry.stream = packet.time_base, data
                out.mux(entry)
            packet.stream = tracks[packet.stream.index]
            out.mux(packet)


def _flagged(path: Path, _: Gathered) -> None:
    """Track flags and names as an archivist sets them, by mkvpropedit."""
    write_clip(path, sounds=[Sound(language="eng"), Sound(language="ger", pitch_hz=500)])
    judge._run(
        "mkvpropedit", path, "--edit", "track:v1", "--set", "name=Camera A", "--set",
        "flag-default=1", "--edit", "track:a1", "--set", "flag-default=1", "--set",
        "flag-original=1", "--edit", "track:a2", "--set", "flag-default=0", "--set",
        "name=Kommentar", "--set", "flag-commentary=1", "--set", "flag-visual-impaired=1",
    )  # fmt: skip


def _container_light(path: Path, _: Gathered) -> None:
    """HDR10 metadata in the container alone, not in the bitstream."""
    base = write_clip(
        path.with_name(f"{path.stem}.base.mkv"), codec="libsvtav1", pix_fmt="yuv420p10le",
        colour=clips.HDR10, options=SVT, sounds=[],
    )  # fmt: skip
    judge._run(
        "mkvmerge", "-q", "-o", path, "--max-content-light", "0:1000", "--max-frame-light",
        "0:400", "--max-luminance", "0:1000", "--min-luminance", "0:0.005",
        "--chromaticity-coordinates", "0:0.68,0.32,0.265,0.69,0.15,0.06",
        "--white-colour-coordinates", "0:0.3127,0.329", base,
    )  # fmt: skip


IRREGULAR_MP4 = [0, 3000, 4000, 9000, 9100, 15001, 22000, 22500, 30007, 90000, 90001, 99999]
IRREGULAR_MS = [0, 33, 67, 70, 71, 200, 412, 413, 500, 901, 1400, 1433]
SUBTITLED = (
    "-i", "{srt}", "-i", "{ass}", "-map", "0", "-map", "1", "-map", "2",
    "-metadata:s:s:0", "language=fra", "-metadata:s:s:0", "title=Sous-titres",
    "-metadata:s:s:1", "language=jpn", "-disposition:s:0", "default",
    "-disposition:s:1", "forced",
)  # fmt: skip
NO_CAPTIONS = (("captions", "caption"),)
TWO_VOICES = [
    Sound(language="eng", title="Director"),
    Sound("ac3", language="deu", title="Über alles", pitch_hz=550, disposition=0),
]

CASES = [
    # ------------------------------------------------------------ containers and codecs
    Case("mp4 h264 with everything written about it", ".mp4", clip(metadata=ABOUT)),
    Case("mov h264 with pcm", ".mov", clip(sounds=[PCM], metadata=ABOUT)),
    Case(
        "mkv h264 with all tags", ".mkv", clip(metadata=ABOUT, video_metadata={"language": "ita"})
    ),
    Case("mkv hevc", ".mkv", clip(codec="libx265", options=X265)),
    Case("mp4 hevc", ".mp4", clip(codec="libx265", options=X265)),
    Case(
        "webm vp9 opus", ".webm", clip(codec="libvpx-vp9", sounds=[OPUS], metadata={"title": "W"})
    ),
    Case("webm av1 opus", ".webm", clip(codec="libsvtav1", options=SVT, sounds=[OPUS])),
    Case("mp4 av1", ".mp4", clip(codec="libsvtav1", options=SVT)),
    Case("avi mpeg4 mp3", ".avi", clip(codec="mpeg4", sounds=[Sound("libmp3lame")]), ".avi"),
    Case(
        "avi mjpeg full range",
        ".avi",
        clip(codec="mjpeg", pix_fmt="yuvj420p", colour=clips.FULL_RANGE, sounds=[MP2]),
    ),
    Case("mov mjpeg full range", ".mov", clip(codec="mjpeg", pix_fmt="yuvj422p", sounds=[PCM])),
    Case("mpeg-ts h264 mp2", ".ts", clip(b_frames=2, sounds=[MP2])),
    Case("mpeg-ts h264 aac", ".ts", clip(b_frames=2), lossless_is_a_remux=True),
    Case("mpeg-ts mpeg2", ".ts", clip(codec="mpeg2video", b_frames=2, sounds=[MP2])),
    Case(
        "mpeg-ps mpeg2 mp2",
        ".mpg",
        clip(
            codec="mpeg2video",
            b_frames=2,
            size=(320, 240),
            sounds=[MP2],
            options={"qmin": "1", "qmax": "1"},
        ),
    ),
    Case(
        "mpeg-ps with a time on few frames",
        ".mpg",
        clip(codec="mpeg2video", b_frames=2, size=(64, 48), sounds=[MP2]),
    ),
    Case("dv", ".dv", _dv),
    Case(
        "dv in avi",
        ".avi",
        clip(codec="dvvideo", pix_fmt="yuv420p", size=(720, 576), frames=4, sounds=[PCM]),
    ),
    Case("mkv mpeg2", ".mkv", clip(codec="mpeg2video", b_frames=2, sounds=[MP2])),
    Case("mkv ffv1 flac", ".mkv", clip(codec="ffv1", sounds=[Sound("flac")])),
    Case(
        "fragmented mp4",
        ".mp4",
        clip(container_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    ),
    Case("m2ts h264 ac3", ".m2ts", clip(sounds=[Sound("ac3")])),
    Case("nut h264", ".nut", clip()),
    Case("flv h264", ".flv", clip()),
    Case("mxf mpeg2", ".mxf", clip(codec="mpeg2video", size=(192, 160), sounds=[PCM])),
    Case("wmv", ".wmv", clip(codec="wmv2", sounds=[Sound("libmp3lame")])),
    Case("3gp h264", ".3gp", clip()),
    Case("broadcast without its first key frame", ".ts", _tuned_in),
    Case("two pictures", ".mkv", _two_pictures),
    # ------------------------------------------------------------ time
    Case(
        "variable frame rate mp4",
        ".mp4",
        clip(pts=IRREGULAR_MP4, time_base=Fraction(1, 90000)),
    ),
    Case(
        "variable frame rate mov, lossless to the tick",
        ".mov",
        clip(pts=IRREGULAR_MP4, time_base=Fraction(1, 90000)),
        ".mp4",
    ),
    Case("variable frame rate mkv", ".mkv", clip(pts=IRREGULAR_MS, time_base=Fraction(1, 1000))),
    Case(
        "variable frame rate webm",
        ".webm",
        clip(codec="libvpx-vp9", pts=IRREGULAR_MS, time_base=Fraction(1, 1000), sounds=[OPUS]),
    ),
    Case("ntsc rate", ".mp4", clip(rate=Fraction(30000, 1001), frames=20)),
    Case("ntsc rate mkv", ".mkv", clip(rate=Fraction(24000, 1001), frames=20)),
    Case("pyramid of b-frames", ".mp4", clip(frames=24, gop=24, b_frames=5)),
    Case(
        "open gop hevc",
        ".mkv",
        clip(
            codec="libx265",
            frames=24,
            gop=8,
            options={"x265-params": "log-level=error:open-gop=1:bframes=3:pools=1"},
        ),
    ),
    Case("negative first timestamp", ".ts", _before_zero),
    Case("edit list of a trim", ".mp4", _trimmed),
    Case("edit list rewritten by hand", ".mp4", _patched_edit),
    Case("edit list that delays the picture", ".mp4", _late_picture),
    Case("one frame", ".mp4", clip(frames=1)),
    Case("one frame mkv without sound", ".mkv", clip(frames=1, sounds=[])),
    Case("no audio", ".mp4", clip(sounds=[])),
    Case(
        "a minute with a cut each second",
        ".mp4",
        clip(
            frames=1500, size=(64, 48), gop=250, frames_per_scene=25, options={"preset": "veryfast"}
        ),
    ),
    # ------------------------------------------------------------ picture
    Case("rotated 90", ".mp4", clip(rotation=90), ".mp4"),
    Case("rotated 180", ".mov", clip(rotation=180), ".mp4"),
    Case("rotated 270", ".mp4", clip(rotation=-90), ".mp4"),
    Case("rotated 90 mkv", ".mkv", clip(rotation=90)),
    Case("non-square pixels mp4", ".mp4", clip(sample_aspect=Fraction(12, 11))),
    Case(
        "non-square pixels that only Matroska tells",
        ".mkv",
        _then({}, ".mkv", "-map", "0", "-aspect", "16:9"),
    ),
    Case("non-square pixels mkv", ".mkv", clip(sample_aspect=Fraction(64, 45))),
    Case(
        "interlaced h264, top first",
        ".mkv",
        _interlaced(["-c:v", "libx264", "-x264opts", "tff=1"], "top", ["-c:a", "copy"]),
    ),
    Case(
        "interlaced h264 in mp4, bottom first",
        ".mp4",
        _interlaced(["-c:v", "libx264", "-x264opts", "bff=1"], "bottom", ["-c:a", "aac"]),
    ),
    Case(
        "interlaced mpeg2, top first",
        ".ts",
        _interlaced(
            ["-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-top", "1", "-q:v", "2"],
            "top",
            ["-c:a", "mp2"],
        ),
    ),
    Case(
        "interlaced mpeg2, bottom first",
        ".mpg",
        _interlaced(
            ["-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-top", "0", "-q:v", "2"],
            "bottom",
            ["-c:a", "mp2"],
        ),
    ),
    Case(
        "interlaced prores, top first",
        ".mov",
        _interlaced(["-c:v", "prores_ks", "-flags", "+ildct"], "top", ["-c:a", "copy"]),
    ),
    Case("odd width vp9", ".webm", clip(codec="libvpx-vp9", size=(97, 65), sounds=[OPUS])),
    Case("odd width h264 444", ".mp4", clip(pix_fmt="yuv444p", size=(97, 65))),
    Case(
        "odd width mjpeg", ".avi", clip(codec="mjpeg", pix_fmt="yuvj420p", size=(97, 65), sounds=[])
    ),
    # ------------------------------------------------------------ colour
    Case("bt601", ".mp4", clip(colour=clips.BT601)),
    Case("bt709", ".mkv", clip(colour=clips.BT709)),
    Case("bt709 ts", ".ts", clip(colour=clips.BT709, sounds=[MP2])),
    Case(
        "bt2020 12-bit",
        ".mkv",
        clip(codec="libx265", pix_fmt="yuv420p12le", colour=clips.BT2020, options=X265),
    ),
    Case("full range h264", ".mp4", clip(pix_fmt="yuvj420p", colour=clips.FULL_RANGE)),
    Case(
        "hdr10 mkv",
        ".mkv",
        clip(
            codec="libx265",
            pix_fmt="yuv420p10le",
            colour=clips.HDR10,
            options={"x265-params": f"{X265['x265-params']}:{MASTERING}"},
        ),
    ),
    Case(
        "hdr10 mp4",
        ".mp4",
        clip(
            codec="libx265",
            pix_fmt="yuv420p10le",
            colour=clips.HDR10,
            options={"x265-params": f"{X265['x265-params']}:{MASTERING}"},
        ),
    ),
    Case("hdr10 av1, told by the container alone", ".mkv", _container_light),
    Case(
        "hlg mp4",
        ".mp4",
        clip(codec="libx265", pix_fmt="yuv420p10le", colour=clips.HLG, options=X265),
    ),
    Case(
        "prores 422 10-bit",
        ".mov",
        clip(codec="prores_ks", pix_fmt="yuv422p10le", colour=clips.BT709, sounds=[PCM]),
    ),
    Case("h264 422 10-bit", ".mp4", clip(pix_fmt="yuv422p10le")),
    Case(
        "h264 rgb",
        ".mkv",
        clip(codec="libx264rgb", pix_fmt="rgb24", options={"crf": "10"}),
        lossless_pix_fmt="bgr0",
    ),
    Case("hevc 444 12-bit", ".mkv", clip(codec="libx265", pix_fmt="yuv444p12le", options=X265)),
    Case("grey hevc", ".mp4", clip(codec="libx265", pix_fmt="gray", options=X265)),
    Case("grey 10-bit hevc", ".mkv", clip(codec="libx265", pix_fmt="gray10le", options=X265)),
    Case("grey ffv1", ".mkv", clip(codec="ffv1", pix_fmt="gray")),
    Case("ffv1 444 12-bit", ".mkv", clip(codec="ffv1", pix_fmt="yuv444p12le")),
    Case(
        "alpha prores 4444",
        ".mov",
        clip(codec="prores_ks", pix_fmt="yuva444p10le", sounds=[PCM]),
        lossless_is_too_new=True,
    ),
    Case("alpha ffv1", ".mkv", clip(codec="ffv1", pix_fmt="yuva420p")),
    Case(
        "alpha animation",
        ".mov",
        clip(codec="qtrle", pix_fmt="argb", sounds=[]),
        lossless_pix_fmt="bgra",
    ),
    # ------------------------------------------------------------ what travels beside it
    Case("two languages mkv", ".mkv", clip(sounds=TWO_VOICES)),
    Case("two languages mp4", ".mp4", clip(sounds=TWO_VOICES)),
    Case("flags of an archivist", ".mkv", _flagged),
    Case("subtitles in mkv", ".mkv", _then({}, ".mkv", *SUBTITLED)),
    Case(
        "subtitles in mp4",
        ".mp4",
        _then(
            {},
            ".mp4",
            "-i",
            "{srt}",
            "-map",
            "0",
            "-map",
            "1",
            "-c:s",
            "mov_text",
            "-metadata:s:s:0",
            "language=fra",
        ),
        ".mp4",  # Matroska has no tx3g
    ),
    Case(
        "subtitles in webm",
        ".webm",
        _then(
            {"codec": "libvpx-vp9", "sounds": [OPUS]},
            ".webm",
            "-i",
            "{srt}",
            "-map",
            "0",
            "-map",
            "1",
            "-c:s",
            "webvtt",
        ),
    ),
    Case(
        "chapters mkv",
        ".mkv",
        _then({}, ".mkv", "-i", "{chapters}", "-map", "0", "-map_chapters", "1"),
    ),
    Case(
        "chapters mp4",
        ".mp4",
        _then({}, ".mp4", "-i", "{chapters}", "-map", "0", "-map_chapters", "1"),
        ".mp4",
    ),
    Case(
        "font attached",
        ".mkv",
        _then(
            {},
            ".mkv",
            "-i",
            "{ass}",
            "-map",
            "0",
            "-map",
            "1",
            "-attach",
            "{font}",
            "-metadata:s:t:0",
            "mimetype=font/ttf",
            "-metadata:s:t:0",
            "filename=vidref-sans.ttf",
        ),
    ),
    Case(
        "cover mp4",
        ".mp4",
        _then(
            {},
            ".mp4",
            "-i",
            "{cover}",
            "-map",
            "0",
            "-map",
            "1",
            "-disposition:v:1",
            "attached_pic",
        ),
    ),
    Case(
        "cover mkv",
        ".mkv",
        _then(
            {},
            ".mkv",
            "-map",
            "0",
            "-attach",
            "{cover}",
            "-metadata:s:t:0",
            "mimetype=image/jpeg",
            "-metadata:s:t:0",
            "filename=cover.jpg",
        ),
    ),
    Case(
        "timecode track",
        ".mov",
        _then({}, ".mov", "-timecode", "01:02:03:04"),
        ".mp4",
    ),
    Case("data stream", ".ts", _klv, ".ts"),
    Case("closed captions", ".mp4", _captioned, lossless_loses=NO_CAPTIONS),
]


@dataclass(frozen=True)
class Made:
    """A case's file, with what the judge read in it."""

    path: Path
    probe: judge.Probe
    pixels: bytes


_made: dict[str, Made] = {}


@pytest.fixture(scope="module")
def extras(tmp_path_factory: pytest.TempPathFactory) -> Gathered:
    return Gathered(tmp_path_factory.mktemp("extras"))


@pytest.fixture
def made(case: Case, extras: Gathered, tmp_path_factory: pytest.TempPathFactory) -> Made:
    if case.name not in _made:
        path = tmp_path_factory.mktemp("clip") / f"clip{case.suffix}"
        case.make(path, extras)
        _made[case.name] = Made(path, judge.probe(path), judge.pixels(path))
    return _made[case.name]


def _named(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[c.name.replace(" ", "-") for c in cases])


def _restore(source: Path, output: Path, *arguments: str) -> str:
    before = judge.sha256(source)
    done = vidref(*PASS, source, "-o", output, *arguments)
    assert done.exit_code == 0, done.stderr
    assert judge.sha256(source) == before, "the original changed"
    assert [p.name for p in output.parent.iterdir()] == [output.name], "something was left behind"
    return str(done.stderr)


def _all_differences(source: judge.Probe, output: judge.Probe) -> list[str]:
    found = judge.differences(source, output)
    if any(judge.has_captions(source)) and not all(judge.has_captions(output)):
        found.append("captions were dropped")
    was, now = _fields(source), _fields(output)
    if was != now and output.picture["codec_name"] != "ffv1":
        found.append(f"fields of the frames were {was} and are {now}")
    return found


def _fields(report: judge.Probe) -> set[tuple[int, int]]:
    frames = report.frames[report.picture["index"]]
    return {(f["interlaced_frame"], f["top_field_first"]) for f in frames}


def _unannounced(found: list[str], loses: tuple[tuple[str, str], ...], words: str) -> list[str]:
    """Differences, less those that a case allows and that stderr said in so many words."""
    return [
        line
        for line in found
        if not any(line.startswith(what) and word in words.lower() for what, word in loses)
    ]


def _nothing_in(found: list[str]) -> None:
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@_named(CASES)
def test_a_clip_comes_out_as_it_went_in(case: Case, made: Made, tmp_path: Path) -> None:
    output = tmp_path / f"out{case.suffix}"
    words = _restore(made.path, output)
    report = judge.probe(output)
    pix_fmt = made.probe.picture["pix_fmt"]
    assert report.picture["codec_name"] == made.probe.picture["codec_name"]
    assert judge.same_pix_fmt(pix_fmt, report.picture["pix_fmt"])
    found = _all_differences(made.probe, report)
    _nothing_in(_unannounced(found, case.default_loses, words))
    after = judge.pixels(output)
    assert len(after) == len(made.pixels)
    closeness_db = judge.psnr_db(made.pixels, after, pix_fmt)
    assert closeness_db > 40


@_named(CASES)
def test_lossless_keeps_every_bit(case: Case, made: Made, tmp_path: Path) -> None:
    suffix = case.lossless if case.lossless != ".ts" else ".mkv"
    output = tmp_path / f"out{suffix}"
    dropping = ("--drop", "unsupported") if case.lossless == ".ts" else ()
    words = _restore(made.path, output, "--lossless", *dropping)
    report = judge.probe(output)
    pix_fmt = made.probe.picture["pix_fmt"]
    assert report.picture["codec_name"] == "ffv1"
    if case.lossless_is_too_new:
        assert clips.planes(output) == clips.planes(made.path), "the pixels changed"
    else:
        assert judge.same_pix_fmt(case.lossless_pix_fmt or pix_fmt, report.picture["pix_fmt"])
        convert = pix_fmt if case.lossless_pix_fmt else None
        assert judge.pixels(output, convert) == made.pixels, "the pixels changed"
    source = made.probe
    if case.lossless_is_a_remux:
        source = judge.probe(remux(made.path, made.path.with_name("reference.mkv"), "-map", "0"))
    found = _all_differences(source, report)
    if dropping:  # a stream that Matroska cannot hold was dropped because we asked
        found = [line for line in found if not line.startswith("other streams were")]
    _nothing_in(_unannounced(found, case.lossless_loses, words))


# ---------------------------------------------------------------- what the table cannot say


def test_a_vp9_clip_keeps_its_alpha_or_says_that_it_cannot(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "alpha.webm", codec="libvpx-vp9", pix_fmt="yuva420p", sounds=[],
        options={"auto-alt-ref": "0"}, video_metadata={"alpha_mode": "1"},
    )  # fmt: skip
    folder = tmp_path / "out"
    folder.mkdir()
    done = vidref(*PASS, source, "-o", folder / "out.webm")
    if done.exit_code != 0:
        assert done.exit_code == 2 and "alpha" in done.stderr.lower()
        return
    before, after = (_vp9_alpha(p) for p in (source, folder / "out.webm"))
    assert judge.psnr_db(before, after, "gray") > 30


def _vp9_alpha(path: Path) -> bytes:
    """The alpha plane, by the one decoder that reads it."""
    return judge._run(
        "ffmpeg", "-v", "error", "-nostdin", "-c:v", "libvpx-vp9", "-i", path, "-vf",
        "format=yuva420p,alphaextract,format=gray", "-fps_mode", "passthrough", "-f", "rawvideo",
        "-",
    )  # fmt: skip


def test_a_stream_that_the_container_cannot_hold_is_named(tmp_path: Path, extras: Gathered) -> None:
    source = tmp_path / "subtitled.mkv"
    _then({}, ".mkv", *SUBTITLED)(source, extras)
    folder = tmp_path / "out"
    folder.mkdir()
    done = vidref(*PASS, source, "-o", folder / "out.mp4")
    assert done.exit_code == 2
    assert "subtitle" in done.stderr and ".mkv" in done.stderr and "--drop" in done.stderr
    assert list(folder.iterdir()) == []


def test_dropping_a_stream_drops_that_one_and_no_other(tmp_path: Path, extras: Gathered) -> None:
    source = tmp_path / "subtitled.mkv"
    _then({}, ".mkv", *SUBTITLED)(source, extras)
    done = vidref(*PASS, source, "-o", tmp_path / "out.mkv", "--drop", "2")
    assert done.exit_code == 0, done.stderr
    kinds = [s["codec_name"] for s in judge.probe(tmp_path / "out.mkv").streams]
    assert kinds == ["h264", "aac", "ass"]


def test_dropping_what_is_unsupported_names_what_it_dropped(
    tmp_path: Path, extras: Gathered
) -> None:
    source = tmp_path / "subtitled.mkv"
    _then({}, ".mkv", *SUBTITLED)(source, extras)
    done = vidref(*PASS, source, "-o", tmp_path / "out.mp4", "--drop", "unsupported")
    assert done.exit_code == 0, done.stderr
    report = judge.probe(tmp_path / "out.mp4")
    assert [s["codec_name"] for s in report.streams][:2] == ["h264", "aac"]
    if len(report.streams) < 4:
        assert "subtitle" in done.stderr


def test_a_listener_hears_the_same_after_an_edit_list(tmp_path: Path, extras: Gathered) -> None:
    source = tmp_path / "trimmed.mp4"
    _trimmed(source, extras)
    vidref(*PASS, source, "-o", tmp_path / "out.mp4")
    assert judge.sound(tmp_path / "out.mp4") == judge.sound(source)


def test_prores_and_a_named_codec_are_what_was_asked_for(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", colour=clips.BT709, sounds=[PCM], format="mov")
    for arguments, suffix, codec in (
        (("--prores",), ".mov", "prores"),
        (("--codec", "h265"), ".mov", "hevc"),
        (("--codec", "hevc", "--crf", "30"), ".mkv", "hevc"),
        (("--codec", "ffv1"), ".mkv", "ffv1"),
    ):
        output = tmp_path / f"out{suffix}"
        done = vidref(*PASS, source, "-o", output, "--overwrite", *arguments)
        assert done.exit_code == 0, done.stderr
        report = judge.probe(output)
        assert report.picture["codec_name"] == codec
        assert report.picture["color_space"] == "bt709"
        assert len(report.times) == 12


@pytest.mark.parametrize("pix_fmt", ["uyvy422", "yuv420p", "bgr24"])
def test_uncompressed_pictures_lose_nothing_in_matroska(pix_fmt: str, tmp_path: Path) -> None:
    source, output = tmp_path / "in.avi", tmp_path / "out.mkv"
    write_clip(source, codec="rawvideo", pix_fmt=pix_fmt, frames=4, sounds=[])
    done = vidref(*PASS, source, "-o", output)
    assert done.exit_code == 0, done.stderr
    assert ("becomes ffv1" in done.stderr) == (pix_fmt == "bgr24")
    assert judge.pixels(output, pix_fmt) == judge.pixels(source, pix_fmt)


def test_a_lower_crf_gives_a_closer_picture(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mp4", sounds=[])
    before = judge.pixels(source)
    found = []
    for crf in ("5", "40"):
        done = vidref(*PASS, source, "-o", tmp_path / f"{crf}.mp4", "--crf", crf)
        assert done.exit_code == 0, done.stderr
        found.append(judge.psnr_db(before, judge.pixels(tmp_path / f"{crf}.mp4"), "yuv420p"))
    assert found[0] > found[1] + 5


def test_deinterlacing_happens_when_asked_and_says_so(tmp_path: Path, extras: Gathered) -> None:
    source = tmp_path / "fields.mkv"
    _interlaced(["-c:v", "libx264", "-x264opts", "tff=1"], "top", ["-c:a", "copy"])(source, extras)
    done = vidref(*PASS, source, "-o", tmp_path / "out.mkv", "--deinterlace")
    assert done.exit_code == 0, done.stderr
    assert "interlac" in (done.stderr + done.stdout).lower()
    before, after = judge.probe(source), judge.probe(tmp_path / "out.mkv")
    assert after.picture.get("field_order") in (None, "unknown", "progressive")
    assert not any(f["interlaced_frame"] for f in after.frames[0])
    assert after.times == before.times


@pytest.mark.parametrize("in_front", [True, False], ids=["index first", "index last"])
def test_an_mp4_that_plays_while_loading_still_does(in_front: bool, tmp_path: Path) -> None:
    options = {"movflags": "faststart"} if in_front else {}
    source = write_clip(tmp_path / "in.mp4", container_options=options)
    done = vidref(*PASS, source, "-o", tmp_path / "out.mp4")
    assert done.exit_code == 0, done.stderr
    for path in (source, tmp_path / "out.mp4"):
        data = path.read_bytes()
        assert (data.index(b"moov") < data.index(b"mdat")) == in_front


# ---------------------------------------------------------------- pipes


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".webm"])
def test_a_clip_goes_through_a_pipe(suffix: str, tmp_path: Path) -> None:
    kind = {"codec": "libvpx-vp9", "sounds": [OPUS]} if suffix == ".webm" else {"sounds": [MP2]}
    source = write_clip(tmp_path / f"in{suffix}", **kind)  # type: ignore[arg-type]
    done = process(*PASS, "-", "-o", "-", "--lossless", stdin=source.read_bytes())
    assert done.exit_code == 0, done.stderr
    output = tmp_path / "out.mkv"
    output.write_bytes(done.piped)
    report = judge.probe(output)
    assert report.format["format_name"] == "matroska,webm"
    assert judge.pixels(output) == judge.pixels(source)
    assert judge.differences(judge.probe(source), report) == []


def test_a_pipe_can_carry_another_format(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.ts", sounds=[MP2])
    done = process(*PASS, "-", "-o", "-", "--format", "mpegts", stdin=source.read_bytes())
    assert done.exit_code == 0, done.stderr
    output = tmp_path / "out.ts"
    output.write_bytes(done.piped)
    assert judge.differences(judge.probe(source), judge.probe(output)) == []
