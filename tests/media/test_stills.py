"""A photo, or a folder of frames, goes through like a clip: whole, exact, and in place."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from tests import clips, judge
from tests.tool import PASS, is_one_sentence, leftovers, vidref
from vidref.media.colour import Colour, check_convertible
from vidref.media.stills import read_stills, write_still
from vidref.media.tiff_tags import with_tags_of

pytestmark = pytest.mark.usefixtures("judges")

ORIENTATION, ARTIST = 0x0112, 0x013B


def _photo(path: Path, *, index: int = 0, size: tuple[int, int] = (48, 36)) -> Path:
    """A photo with EXIF and a colour profile."""
    exif = Image.Exif()
    exif[ORIENTATION], exif[ARTIST] = 6, "Somebody"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = (clips.picture(index, *size) >> 8).astype(np.uint8)
    Image.fromarray(pixels).save(path, exif=exif, icc_profile=profile)
    return path


def _sixteen_bit(path: Path) -> Path:
    """A 16-bit picture: PNG by hand (Pillow writes 8), anything else by ffmpeg from that PNG."""
    pixels = clips.picture(0, 48, 36)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    png = path.with_suffix(".png")
    png.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 48, 36, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    if path.suffix != ".png":
        clips.ffmpeg("-i", png, path)
    return path


def _frames(folder: Path, count: int = 12, suffix: str = ".png") -> Path:
    folder.mkdir()
    for index in range(1, count + 1):
        clips.write_photo(folder / f"frame {index}{suffix}", index=index)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    return made


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".bmp"])
def test_a_photo_that_nothing_changed_is_the_same_file(
    suffix: str, tmp_path: Path, folder: Path
) -> None:
    source = clips.write_photo(tmp_path / f"in{suffix}")
    done = vidref(*PASS, source, "-o", folder / f"out{suffix}")
    assert done.exit_code == 0, done.stderr
    assert judge.sha256(folder / f"out{suffix}") == judge.sha256(source)
    assert leftovers(folder, f"out{suffix}") == []


@pytest.mark.parametrize("name", ["deep.png", "deep.tiff"])
def test_sixteen_bits_stay_sixteen(name: str, tmp_path: Path, folder: Path) -> None:
    source = _sixteen_bit(tmp_path / name)
    for target in (name, "other.png", "other.tif"):
        done = vidref(*PASS, source, "-o", folder / target)
        assert done.exit_code == 0, done.stderr
        exact = clips.picture(0, 48, 36).astype("<u2").tobytes()
        assert judge.pixels(folder / target, "rgb48le") == exact


def test_another_format_keeps_pixels_exif_and_colour_profile(tmp_path: Path, folder: Path) -> None:
    source = _photo(tmp_path / "in.png")
    for name in ("out.tif", "out.webp"):
        done = vidref(*PASS, source, "-o", folder / name)
        assert done.exit_code == 0, done.stderr
        with Image.open(source) as before, Image.open(folder / name) as after:
            assert after.info.get("icc_profile") == before.info["icc_profile"]
            assert after.getexif().get(ARTIST) == "Somebody"
            assert after.getexif().get(ORIENTATION) == 6
        assert judge.pixels(folder / name, "rgb24") == judge.pixels(source, "rgb24")


def test_a_jpeg_made_from_a_photo_keeps_exif_and_colour_profile(
    tmp_path: Path, folder: Path
) -> None:
    source = _photo(tmp_path / "in.png")
    done = vidref(*PASS, source, "-o", folder / "out.jpg")
    assert done.exit_code == 0, done.stderr
    with Image.open(source) as before, Image.open(folder / "out.jpg") as after:
        assert after.size == before.size
        difference = np.asarray(before).astype(float) - np.asarray(after.convert("RGB"))
        assert np.sqrt((difference**2).mean()) < 8
        assert after.info.get("icc_profile") == before.info["icc_profile"]
        assert after.getexif().get(ARTIST) == "Somebody"


XMP = b"<x:xmpmeta>somebody's caption</x:xmpmeta>"
IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x08\x1c\x02\x78\0\x03abc"


def _segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_coded_anew_says_all_that_it_said(mode: str, tmp_path: Path, folder: Path) -> None:
    source, output = _photo(tmp_path / "in.jpg"), folder / "out.jpeg"
    with Image.open(source) as photo:
        photo.convert(mode).save(source, **photo.info | {"dpi": (300, 300)})
    data = source.read_bytes()
    said = _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP) + _segment(0xED, IPTC)
    source.write_bytes(data[:20] + said + _segment(0xFE, b"a word") + data[20:])
    done = vidref(*PASS, source, "-o", output)
    assert done.exit_code == 0, done.stderr
    with Image.open(source) as before, Image.open(output) as after:
        assert after.mode == ("RGB" if mode == "CMYK" else mode)
        told = ("dpi", "xmp", "photoshop", "comment", "exif")
        assert [after.info.get(k) for k in told] == [before.info[k] for k in told]
        assert ("icc_profile" in after.info) == (mode != "CMYK")
        difference = np.asarray(before.convert("RGB")).astype(float) - np.asarray(
            after.convert("RGB")
        )
        assert np.sqrt((difference**2).mean()) < 8
    assert ("CMYK" in done.stderr) == (mode == "CMYK")


@pytest.mark.parametrize("is_deep", [False, True], ids=["8 bits", "16 bits"])
def test_a_tiff_coded_anew_keeps_density_profile_and_captions(
    is_deep: bool, tmp_path: Path, folder: Path
) -> None:
    source, output = tmp_path / "in.tif", folder / "out.tiff"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[ORIENTATION], tags[ARTIST], tags[700] = 6, "Somebody", XMP
    picture = Image.fromarray((clips.picture(0, 48, 36) >> 8).astype(np.uint8))
    picture.save(source, tiffinfo=tags, dpi=(600, 600), icc_profile=profile)
    if is_deep:
        deep = _sixteen_bit(tmp_path / "deep.tif").read_bytes()
        source.write_bytes(with_tags_of(source.read_bytes(), deep))
    done = vidref(*PASS, source, "-o", output)
    assert done.exit_code == 0 and "Note" not in done.stderr, done.stderr
    assert judge.pixels(output, "rgb48le") == judge.pixels(source, "rgb48le")
    with Image.open(output) as after:
        assert after.info["dpi"] == (600, 600)
        assert after.info["icc_profile"] == profile
        assert after.tag_v2[700] == XMP
        assert after.tag_v2[ARTIST] == "Somebody" and after.tag_v2[ORIENTATION] == 6


@pytest.mark.parametrize("mode", ["P", "1"])
def test_few_colours_are_read_as_any_others(mode: str, tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    Image.fromarray((clips.picture(0, 48, 36) >> 8).astype(np.uint8)).convert(mode).save(source)
    (still,) = read_stills([source])
    kind = "gray" if mode == "1" else "rgb24"
    assert still.image.format.name == kind
    check_convertible(kind, Colour.of_frame(still.image))
    write_still(still, tmp_path / "out.tif", ".tif")
    with Image.open(source) as before, Image.open(tmp_path / "out.tif") as after:
        assert np.array_equal(before.convert("RGB"), after.convert("RGB"))


def test_pages_that_are_left_out_are_told(tmp_path: Path, folder: Path) -> None:
    source = tmp_path / "scan.tif"
    page = Image.fromarray((clips.picture(0, 48, 36) >> 8).astype(np.uint8))
    page.save(source, save_all=True, append_images=[page])
    done = vidref(*PASS, source, "-o", folder / "scan.png")
    assert done.exit_code == 0
    assert "only the first of its 2 pages" in done.stderr


def test_transparency_and_grey_survive_another_format(tmp_path: Path, folder: Path) -> None:
    pixels = (clips.picture(0, 48, 36) >> 8).astype(np.uint8)
    alpha = np.linspace(0, 255, 48 * 36).reshape(36, 48, 1).astype(np.uint8)
    for mode, array in (("RGBA", np.concatenate([pixels, alpha], -1)), ("L", pixels[..., 0])):
        source = tmp_path / f"{mode}.png"
        Image.fromarray(array, mode).save(source)
        done = vidref(*PASS, source, "-o", folder / f"{mode}.tif")
        assert done.exit_code == 0, done.stderr
        with Image.open(folder / f"{mode}.tif") as after:
            assert after.mode == mode
            assert np.array_equal(np.asarray(after), array)


def test_a_folder_of_frames_becomes_a_folder_of_the_same_files(tmp_path: Path) -> None:
    source = _frames(tmp_path / "frames")
    done = vidref(*PASS, source, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    before = {p.name: judge.sha256(p) for p in source.iterdir()}
    assert {p.name: judge.sha256(p) for p in (tmp_path / "out").iterdir()} == before
    assert leftovers(tmp_path, "frames", "out") == []


def test_frames_of_several_formats_and_sizes_go_through(tmp_path: Path) -> None:
    source = tmp_path / "frames"
    source.mkdir()
    for index, suffix in enumerate((".png", ".jpg", ".tif")):
        clips.write_photo(source / f"{index}{suffix}", index=index, size=(40 + 8 * index, 32))
    done = vidref(*PASS, source, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("damage", ["text", "cut", "empty"])
def test_a_broken_photo_in_a_folder_is_named(damage: str, tmp_path: Path) -> None:
    source = _frames(tmp_path / "frames", suffix=".jpg")
    broken = source / "frame 7.jpg"
    data = broken.read_bytes()
    broken.write_bytes(
        {"text": b"hello, I am not a photo", "cut": data[:100], "empty": b""}[damage]
    )
    done = vidref(*PASS, source, "-o", tmp_path / "out", "--quiet")
    assert "frame 7.jpg" in done.stderr
    if done.exit_code == 0:  # the others went through, and the loss was said
        assert len(list((tmp_path / "out").iterdir())) >= 11
    else:
        assert done.exit_code == 2 and is_one_sentence(done.stderr)
        assert leftovers(tmp_path, "frames") == []


def test_a_broken_photo_is_refused_in_one_sentence(tmp_path: Path, folder: Path) -> None:
    source = tmp_path / "in.jpg"
    source.write_bytes(b"not a photo")
    done = vidref(*PASS, source, "-o", folder / "out.jpg")
    assert done.exit_code == 2 and is_one_sentence(done.stderr) and "in.jpg" in done.stderr
    assert leftovers(folder) == []


def test_a_photo_cannot_become_what_it_is_not(tmp_path: Path, folder: Path) -> None:
    source = clips.write_photo(tmp_path / "in.png")
    done = vidref(*PASS, source, "-o", folder / "out.docx")
    assert done.exit_code == 2 and is_one_sentence(done.stderr)
    assert leftovers(folder) == []


# ---------------------------------------------------------------- nothing of the user's is lost


def test_an_existing_folder_is_kept_unless_asked(tmp_path: Path) -> None:
    source = _frames(tmp_path / "frames", 2)
    output = tmp_path / "out"
    output.mkdir()
    (output / "mine.txt").write_text("mine")
    done = vidref(*PASS, source, "-o", output)
    assert done.exit_code == 2 and "--overwrite" in done.stderr
    assert leftovers(output) == ["mine.txt"]


def test_overwriting_a_folder_loses_nothing_but_the_frames_it_replaces(tmp_path: Path) -> None:
    source = _frames(tmp_path / "frames", 2)
    output = tmp_path / "out"
    output.mkdir()
    (output / "mine.txt").write_text("mine")
    (output / "frame 1.png").write_bytes(b"old")
    done = vidref(*PASS, source, "-o", output, "--overwrite")
    if done.exit_code == 2:  # to refuse a folder with strangers in it is as good
        assert (output / "frame 1.png").read_bytes() == b"old"
    else:
        assert judge.sha256(output / "frame 1.png") == judge.sha256(source / "frame 1.png")
    assert (output / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("where", ["the folder itself", "around", "inside"])
def test_the_frames_are_never_overwritten_by_their_result(where: str, tmp_path: Path) -> None:
    (tmp_path / "shoot").mkdir()
    source = _frames(tmp_path / "shoot" / "frames", 2)
    output = {"the folder itself": source, "around": source.parent, "inside": source / "out"}[where]
    before = {p.name: judge.sha256(p) for p in source.iterdir()}
    done = vidref(*PASS, source, "-o", output, "--overwrite")
    after = {p.name: judge.sha256(p) for p in source.iterdir() if p.is_file()}
    assert after == before
    assert done.exit_code == 2 or where == "inside"


def test_a_photo_is_never_its_own_result(tmp_path: Path) -> None:
    source = clips.write_photo(tmp_path / "in.png")
    before = judge.sha256(source)
    done = vidref(*PASS, source, "-o", source, "--overwrite")
    assert done.exit_code == 2 and is_one_sentence(done.stderr)
    assert judge.sha256(source) == before
