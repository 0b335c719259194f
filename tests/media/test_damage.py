"""A file that is broken, or cannot be written, costs one sentence and nothing else.

Either exit code 2 with one sentence and no file, or a finished file of what is readable with a
warning that counts what is not. The original is never touched, nothing is left behind.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import judge
from tests.clips import Sound, ffmpeg, remux, write_clip
from tests.tool import PASS, Done, command, environment, is_one_sentence, leftovers, process, vidref

pytestmark = pytest.mark.usefixtures("judges")

MP2 = Sound("mp2")
DAMAGE_WORDS = re.compile(r"damag|could not be decoded|unreadable|lost|skipp|ends early")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the output goes, and where nothing else may stay."""
    made = tmp_path / "out"
    made.mkdir()
    return made


def _refused(done: Done, *mentions: str) -> str:
    words = done.stderr
    assert done.exit_code == 2, words
    assert is_one_sentence(words), words
    for mention in mentions:
        assert mention in words, words
    return words


def _garbage(path: Path, *, at: float, length: int) -> None:
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    data[start : start + length] = random.Random(7).randbytes(length)
    path.write_bytes(bytes(data))


# ---------------------------------------------------------------- inputs that are nothing


def _zero_bytes(path: Path) -> None:
    path.write_bytes(b"")


def _text(path: Path) -> None:
    path.write_text("Dear diary, this is not a film.\n" * 40)


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(50_000))


def _head_only(path: Path) -> None:
    write_clip(path)
    path.write_bytes(path.read_bytes()[:200])


def _without_index(path: Path) -> None:
    """An MP4 whose recorder died: the index at the end was never written."""
    write_clip(path)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])


def _only_sound(path: Path) -> None:
    base = write_clip(path.with_name("base.mkv"))
    ffmpeg("-i", base, "-vn", "-c", "copy", path)
    base.unlink()


def _every_frame_broken(path: Path) -> None:
    write_clip(path, codec="mjpeg", pix_fmt="yuvj420p", sounds=[])
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    path.write_bytes(data[:start] + random.Random(3).randbytes(end - start) + data[end:])


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (_zero_bytes, "empty.mp4"),
        (_text, "letter.mp4"),
        (_text, "letter.mkv"),
        (_zeros, "zeros.mkv"),
        (_zeros, "zeros.ts"),
        (_head_only, "head.mp4"),
        (_head_only, "head.mkv"),
        (_without_index, "noindex.mp4"),
        (_only_sound, "sound.mp4"),
        (_every_frame_broken, "noise.mov"),
    ],
    ids=lambda value: value.strip("_").replace("_", "-") if isinstance(value, str) else None,
)
def test_what_is_not_a_clip_is_refused_in_one_sentence(
    make: Callable[[Path], None], name: str, tmp_path: Path, folder: Path
) -> None:
    source = tmp_path / name
    make(source)
    before = judge.sha256(source)
    done = vidref(*PASS, source, "-o", folder / "out.mkv")
    _refused(done, name)
    assert leftovers(folder) == [] and judge.sha256(source) == before


@pytest.mark.parametrize("suffix", [".heic", ".HEIF", ".avif"])
def test_a_photo_of_a_kind_that_is_not_read_is_not_called_damaged(
    suffix: str, tmp_path: Path, folder: Path
) -> None:
    photo = tmp_path / f"photo{suffix}"
    photo.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    _refused(vidref(*PASS, photo, "-o", folder / "out.jpg"), "does not read", suffix, ".jpg")


def test_a_missing_file_is_named(tmp_path: Path, folder: Path) -> None:
    _refused(vidref(*PASS, tmp_path / "gone.mp4", "-o", folder / "out.mp4"), "gone.mp4")
    assert leftovers(folder) == []


def test_an_empty_folder_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "nothing").mkdir()
    _refused(vidref(*PASS, tmp_path / "nothing", "-o", folder / "out.mp4"), "nothing")
    assert leftovers(folder) == []


def test_a_folder_of_something_else_is_refused(tmp_path: Path, folder: Path) -> None:
    things = tmp_path / "things"
    things.mkdir()
    (things / "notes.txt").write_text("no pictures here")
    _refused(vidref(*PASS, things, "-o", folder / "out"), "things")
    assert leftovers(folder) == []


def test_an_empty_pipe_is_refused(folder: Path) -> None:
    _refused(process(*PASS, "-", "-o", folder / "out.mkv"))
    assert leftovers(folder) == []


# ---------------------------------------------------------------- inputs that are partly there


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * 0.6)])


def _hole(path: Path) -> None:
    _garbage(path, at=0.5, length=900)


def _zero_hole(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = bytes(2000)
    path.write_bytes(bytes(data))


PARTLY: list[tuple[str, dict[str, object]]] = [
    ("clip.mp4", {"container_options": {"movflags": "faststart"}}),
    ("clip.mkv", {}),
    ("clip.ts", {"sounds": [MP2]}),
    ("clip.mpg", {"codec": "mpeg2video", "sounds": [MP2]}),
    ("clip.avi", {"codec": "mpeg4", "sounds": [MP2]}),
    ("clip.webm", {"codec": "libvpx-vp9", "sounds": [Sound("libopus")]}),
    ("clip.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le", "sounds": []}),
    ("raw.avi", {"codec": "rawvideo", "sounds": []}),
]


@pytest.mark.parametrize("damage", [_cut, _hole, _zero_hole], ids=["cut", "garbage", "zeros"])
@pytest.mark.parametrize(("name", "how"), PARTLY, ids=[n for n, _ in PARTLY])
def test_the_readable_rest_is_kept_and_the_loss_is_counted(
    name: str, how: dict[str, object], damage: Callable[[Path], None], tmp_path: Path, folder: Path
) -> None:
    source = tmp_path / name
    write_clip(source, frames=40, gop=8, **how)  # type: ignore[arg-type]
    whole = judge.probe(source)
    damage(source)
    before = judge.sha256(source)
    output = folder / f"out{source.suffix}"
    done = vidref(*PASS, source, "-o", output)
    words = done.stderr
    assert judge.sha256(source) == before
    assert "Traceback" not in words
    if done.exit_code != 0:
        _refused(done, name)
        assert leftovers(folder) == []
        return
    assert leftovers(folder, output) == []
    report = judge.probe(output)
    known = {t for t in whole.times if t is not None}
    assert len(report.times) >= 10
    assert len(report.times) <= len(whole.times)
    strangers = [t for t in report.times if t is not None and t not in known]
    assert strangers == [], "a frame that was never there, or one that moved"
    _says_what_is_missing(source, output, words)


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_dv_capture_that_was_cut_off_is_kept_up_to_there(
    threads: str, tmp_path: Path, folder: Path
) -> None:
    source = tmp_path / "tape.avi"
    write_clip(source, codec="dvvideo", size=(720, 576), frames=8, sounds=[])
    whole = judge.pixels(source)
    _cut(source)
    output = folder / "out.mkv"
    done = vidref(*PASS, source, "-o", output, "--lossless", "--threads", threads)
    assert done.exit_code == 0 and "1 packet could not be decoded" in done.stderr, done.stderr
    kept = judge.pixels(folder / "out.mkv")
    assert len(kept) == len(whole) // 2 and whole.startswith(kept)


def _says_what_is_missing(source: Path, output: Path, words: str) -> None:
    """A warning with a figure in it, unless ffmpeg finds nothing wrong with the input either."""
    found = subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-i", source, "-map", "0:v:0", "-f", "null", "-"],
        capture_output=True,
    ).stderr
    if found:
        lines = [x for x in words.splitlines() if DAMAGE_WORDS.search(x.lower())]
        assert any(re.search(r"\d", line) for line in lines), f"{words!r} but ffmpeg: {found!r}"


def test_a_change_of_size_in_the_middle_is_handled_or_refused(tmp_path: Path, folder: Path) -> None:
    parts = [
        write_clip(tmp_path / f"{w}.ts", size=(w, 64), sounds=[]).read_bytes() for w in (96, 128)
    ]
    source = tmp_path / "grows.ts"
    source.write_bytes(b"".join(parts))
    done = vidref(*PASS, source, "-o", folder / "out.ts")
    if done.exit_code != 0:
        _refused(done, "grows.ts")
        assert leftovers(folder) == []


def test_a_damaged_packet_of_sound_does_not_end_the_run(tmp_path: Path, folder: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", codec="ffv1", frames=20)
    data = bytearray(source.read_bytes())
    sound = judge.probe(source).packets[1]
    place = _place_of_packet(source, 1, len(sound) // 2)
    data[place : place + 12] = b"\xff" * 12
    source.write_bytes(bytes(data))
    done = vidref(*PASS, source, "-o", folder / "out.mkv")
    assert done.exit_code == 0, done.stderr
    # Packets are copied, whatever they hold: what a player conceals stays the player's business.
    assert judge.differences(judge.probe(source), judge.probe(folder / "out.mkv")) == []


def _place_of_packet(path: Path, stream: int, number: int) -> int:
    listed = judge._run(
        "ffprobe", "-v", "error", "-select_streams", str(stream), "-show_entries", "packet=pos",
        "-of", "csv=p=0", path,
    )  # fmt: skip
    return int(listed.split()[number].strip(b",")) + 16


# ---------------------------------------------------------------- damage of every kind

ANY_CONTAINER: dict[str, dict[str, object]] = {
    **dict(PARTLY),
    "clip.flv": {},
    "clip.nut": {},
    "hevc.mkv": {"codec": "libx265", "options": {"x265-params": "log-level=none:pools=1"}},
    "ffv1.mkv": {"codec": "ffv1"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "sounds": [Sound("pcm_s16le")]},
    "aac.ts": {"b_frames": 2},
}


def _damaged(data: bytes, dice: random.Random) -> bytes:
    """Bits flipped, bytes zeroed, overwritten, doubled, cut out or cut off."""
    torn = bytearray(data)
    at, length = dice.randrange(len(torn)), dice.choice((1, 4, 40, 188, 400, 3000))
    length = min(length, len(torn) - at)
    way = dice.choice(("flip", "zero", "noise", "double", "remove", "end", "many"))
    if way == "flip":
        torn[at] ^= 1 << dice.randrange(8)
    elif way == "zero":
        torn[at : at + length] = bytes(length)
    elif way == "noise":
        torn[at : at + length] = dice.randbytes(length)
    elif way == "double":
        torn[at:at] = torn[at : at + length]
    elif way == "remove":
        del torn[at : at + length]
    elif way == "end":
        del torn[at:]
    else:
        for _ in range(20):
            torn[dice.randrange(len(torn))] = dice.randrange(256)
    return bytes(torn)


def _survives(rounds: int, seed: int, tmp_path: Path, folder: Path) -> None:
    dice = random.Random(seed)
    whole = {
        name: write_clip(tmp_path / name, frames=24, gop=8, **how).read_bytes()  # type: ignore[arg-type]
        for name, how in ANY_CONTAINER.items()
    }
    for number in range(rounds):
        name = dice.choice(list(whole))
        source = tmp_path / f"torn-{name}"
        torn = _damaged(whole[name], dice)
        source.write_bytes(torn)
        output = folder / f"out{dice.choice((source.suffix, '.mkv'))}"
        span = dice.choice(([], [], ["--start", "0.3"], ["--start", "0.2", "--end", "0.6"]))
        done = vidref(*PASS, source, "-o", output, "--quiet", *span)
        assert done.exit_code in (0, 2), f"{number}: {name}"
        if done.exit_code == 2:
            assert is_one_sentence(done.stderr), f"{number}: {name}: {done.stderr}"
        assert source.read_bytes() == torn
        assert leftovers(folder) == ([] if done.exit_code else [output.name])
        output.unlink(missing_ok=True)


def test_no_damage_ends_in_a_traceback(tmp_path: Path, folder: Path) -> None:
    _survives(60, 11, tmp_path, folder)


@pytest.mark.slow
def test_no_damage_ends_in_a_traceback_however_long_one_tries(tmp_path: Path, folder: Path) -> None:
    _survives(600, 12, tmp_path, folder)


# ---------------------------------------------------------------- outputs that cannot be


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "in.mp4", metadata={"title": "Original"})


@pytest.mark.parametrize("way", ["same", "relative", "symlink", "hard link", "symlinked folder"])
@pytest.mark.parametrize("overwrite", [False, True], ids=["", "overwrite"])
def test_the_original_is_never_the_output(
    way: str, overwrite: bool, source: Path, tmp_path: Path
) -> None:
    output = source
    if way == "relative":
        output = Path(os.path.relpath(source))
    elif way == "symlink":
        output = tmp_path / "link.mp4"
        output.symlink_to(source)
    elif way == "hard link":
        output = tmp_path / "twin.mp4"
        os.link(source, output)
    elif way == "symlinked folder":
        (tmp_path / "door").symlink_to(tmp_path)
        output = tmp_path / "door" / source.name
    before, listed = judge.sha256(source), sorted(p.name for p in tmp_path.iterdir())
    more = ["--overwrite"] if overwrite else []
    _refused(vidref(*PASS, source, "-o", output, *more))
    assert judge.sha256(source) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == listed


def test_an_existing_file_is_kept_unless_asked(source: Path, folder: Path) -> None:
    output = folder / "out.mp4"
    output.write_bytes(b"somebody's work")
    _refused(vidref(*PASS, source, "-o", output), "out.mp4", "--overwrite")
    assert output.read_bytes() == b"somebody's work"
    done = vidref(*PASS, source, "-o", output, "--overwrite")
    assert done.exit_code == 0, done.stderr
    assert len(judge.probe(output).times) == 12
    assert leftovers(folder, output) == []


def test_a_failed_run_keeps_the_file_it_was_to_overwrite(tmp_path: Path, folder: Path) -> None:
    bad = tmp_path / "bad.mp4"
    _every_frame_broken(bad.with_suffix(".mov"))
    output = folder / "out.mov"
    output.write_bytes(b"somebody's work")
    _refused(vidref(*PASS, bad.with_suffix(".mov"), "-o", output, "--overwrite"))
    assert output.read_bytes() == b"somebody's work"
    assert leftovers(folder, output) == []


def test_a_missing_output_folder_is_named(source: Path, folder: Path) -> None:
    _refused(vidref(*PASS, source, "-o", folder / "absent" / "out.mp4"), "absent")
    assert leftovers(folder) == []


def test_a_folder_is_not_an_output_file(source: Path, folder: Path) -> None:
    (folder / "taken.mp4").mkdir()
    _refused(vidref(*PASS, source, "-o", folder / "taken.mp4"), "taken.mp4")
    _refused(vidref(*PASS, source, "-o", folder / "taken.mp4", "--overwrite"), "taken.mp4")
    assert (folder / "taken.mp4").is_dir() and leftovers(folder, "taken.mp4") == []


def test_a_file_is_not_an_output_folder(source: Path, folder: Path) -> None:
    (folder / "file").write_bytes(b"x")
    _refused(vidref(*PASS, source, "-o", folder / "file" / "out.mp4"))
    assert (folder / "file").read_bytes() == b"x" and leftovers(folder, "file") == []


def test_an_unknown_container_is_refused(source: Path, folder: Path) -> None:
    _refused(vidref(*PASS, source, "-o", folder / "out.docx"), ".docx files are not written")
    _refused(vidref(*PASS, source, "-o", folder / "out"), "no container is named")
    assert leftovers(folder) == []


def test_a_name_too_long_for_what_lies_beside_it_is_refused_before_any_work(
    source: Path, folder: Path
) -> None:
    faces = ("restore", source, "--dry-run")
    _refused(vidref(*faces, "-o", folder / f"{'ö' * 117}.mp4"), "238 bytes")
    assert vidref(*faces, "-o", folder / f"{'ö' * 116}n.mp4").exit_code == 0


def test_a_device_is_not_replaced_by_a_file(source: Path, tmp_path: Path) -> None:
    """`-o /dev/null` must never rename a film over the device; here a pipe stands for it."""
    pipe = tmp_path / "pipe.mkv"
    os.mkfifo(pipe)
    done = process(*PASS, source, "-o", pipe, "--overwrite", timeout_s=20)
    assert pipe.is_fifo()
    _refused(done, "pipe.mkv")


# ---------------------------------------------------------------- permission


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that another user can reach (pytest's own cannot be)."""
    made = Path(tempfile.mkdtemp(prefix="vidref-test-"))
    made.chmod(0o755)
    yield made
    for path in made.rglob("*"):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(made)


def _as_nobody(*arguments: str | Path) -> Done:
    """Root may read and write everything, so become somebody who may not."""
    if os.geteuid() != 0:
        return process(*arguments)
    judge.require_tools("setpriv")
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = process(*arguments, before=drop)
    if "setpriv:" in done.stderr:
        pytest.skip(done.stderr)
    return done


def test_a_file_that_may_not_be_read_is_named(public: Path) -> None:
    secret = write_clip(public / "secret.mp4")
    secret.chmod(0)
    folder = public / "out"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    _refused(_as_nobody(*PASS, secret, "-o", folder / "out.mp4"), "secret.mp4")
    assert leftovers(folder) == []


def test_a_folder_that_may_not_be_written_is_named(public: Path) -> None:
    source = write_clip(public / "in.mp4")
    source.chmod(0o644)
    folder = public / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    words = _refused(_as_nobody(*PASS, source, "-o", folder / "out.mp4"))
    assert "locked" in words or "out.mp4" in words
    assert leftovers(folder) == []


# ---------------------------------------------------------------- full disk


def _size_of_the_result(source: Path, folder: Path, suffix: str) -> int:
    output = folder / f"whole{suffix}"
    assert vidref(*PASS, source, "-o", output).exit_code == 0
    size = output.stat().st_size
    output.unlink()
    return size


@pytest.mark.parametrize(
    ("suffix", "share"),
    [(".mp4", 0.0), (".mkv", 0.4), (".ts", 0.4), (".mp4", 0.99), (".mkv", 0.99)],
)
def test_a_file_size_limit_ends_in_one_sentence(
    suffix: str, share: float, tmp_path: Path, folder: Path
) -> None:
    """As on a full disk, writing fails: at the first byte, in the middle, or at the very end."""
    source = write_clip(tmp_path / "in.mkv", frames=40, size=(160, 120), sounds=[MP2])
    limit = int(_size_of_the_result(source, folder, suffix) * share)
    before = judge.sha256(source)
    done = process(*PASS, source, "-o", folder / f"out{suffix}", "--quiet", limit_bytes=limit)
    _refused(done)
    assert leftovers(folder) == [] and judge.sha256(source) == before


@pytest.mark.parametrize("kilobytes", [4, 48])
def test_a_full_disk_ends_in_one_sentence(kilobytes: int, tmp_path: Path) -> None:
    """On a disk of a few kilobytes, mounted for the run alone in a namespace of its own."""
    judge.require_tools("unshare", "mount")
    source = write_clip(tmp_path / "in.mkv", frames=60, size=(320, 180), sounds=[MP2])
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        f"mount -t tmpfs -o size={kilobytes}k tmpfs {disk} || exit 77\n"
        '"$@"; code=$?; ls -A ' + str(disk) + "; exit $code"
    )
    done = process(
        *PASS, source, "-o", disk / "out.mkv", "--lossless", "--quiet",
        before=["unshare", "--mount", "sh", "-c", script, "sh"],
    )  # fmt: skip
    if done.exit_code == 77 or "unshare:" in done.stderr:
        pytest.skip("may not mount a small disk here; the limit on file size is tested instead")
    _refused(done)
    assert done.piped == b"", "something was left on the disk"


def test_a_full_disk_behind_a_pipe_ends_in_one_sentence(source: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("wb") as full:
        _refused(process(*PASS, source, "-o", "-", "--quiet", stdout=full))


def test_a_reader_that_goes_away_ends_in_one_sentence(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mkv", frames=60, size=(320, 180))
    with subprocess.Popen(
        command(*PASS, source, "-o", "-", "--lossless", "--quiet"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    ) as running:  # fmt: skip
        assert running.stdout is not None and running.stderr is not None
        running.stdout.read(100)
        running.stdout.close()
        words = running.stderr.read().decode()
        code = running.wait(60)
    assert code != 0
    assert is_one_sentence(words) or words == ""


# ---------------------------------------------------------------- odd names


@pytest.mark.parametrize(
    "name", ["ein Tag, ünd noch einer.mp4", "a'b\"c;d&e.mp4", "%03d.mp4", "-x.mp4"]
)
def test_a_strange_name_is_only_a_name(name: str, tmp_path: Path, folder: Path) -> None:
    source = write_clip(tmp_path / "plain.mp4").rename(tmp_path / name)
    done = vidref(*PASS, source, "-o", folder / name)
    assert done.exit_code == 0, done.stderr
    assert len(judge.probe(f"file:{folder / name}").times) == 12
    assert leftovers(folder, name) == []


def test_a_name_that_looks_like_a_protocol_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`concat:a.mp4` is a file of that name, never an instruction to libav."""
    remux(write_clip(tmp_path / "plain.mp4"), tmp_path / "copy.mp4")
    (tmp_path / "copy.mp4").rename(tmp_path / "concat:a.mp4")
    monkeypatch.chdir(tmp_path)
    done = vidref(*PASS, "concat:a.mp4", "-o", "out:b.mp4")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / "out:b.mp4").is_file()
