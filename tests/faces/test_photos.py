"""The user's photos: every kind that people have, and a plain reason for each that is not used."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage
from PIL import Image, ImageCms

from tests.faces.portraits import SAMPLES, bundled_pack, portrait
from vidref.errors import InputError
from vidref.faces.photos import LEAST_PX, load_people, read_photo_crop
from vidref.faces.pictures import read_picture

PACK = bundled_pack()


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(SAMPLES, tmp_path / "Eileen")


def someone_else(side=240):
    """A real face of another person, from the small set that scikit-image carries (25 px)."""
    tiny = np.load(Path(skimage.__file__).parent / "data" / "lfw_subset.npy")[47]
    grey = (tiny * 255).astype(np.uint8)
    ground = np.full((side * 2, side * 2), 128, np.uint8)
    ground[side // 2 : side // 2 + side, side // 2 : side // 2 + side] = cv2.resize(
        grey, (side, side), interpolation=cv2.INTER_CUBIC
    )
    return np.repeat(ground[..., None], 3, axis=2)


def only(people):
    (person,) = people
    return person


def reasons(person):
    return {aside.path.name: aside.reason for aside in person.set_aside}


def test_a_folder_of_photos_is_one_person_ranked_with_hashes(folder):
    person = only(load_people(folder, PACK))
    assert person.name == "Eileen"
    assert person.set_aside == ()
    assert {p.path.name for p in person.photos} == {p.name for p in SAMPLES.glob("*.jpg")}
    scores = [p.quality.score for p in person.photos]
    assert scores == sorted(scores, reverse=True)
    first = person.photos[0]
    assert first.sha256 == hashlib.sha256(first.path.read_bytes()).hexdigest()
    assert np.linalg.norm(person.embedding) == pytest.approx(1, abs=1e-5)


def test_a_folder_of_folders_is_several_people_by_name(tmp_path):
    for name in ("Bea", "Al", "empty"):
        (tmp_path / name).mkdir()
    shutil.copy(SAMPLES / "studio.jpg", tmp_path / "Bea")
    shutil.copy(SAMPLES / "window.jpg", tmp_path / "Al")
    people = load_people(tmp_path, PACK)
    assert [(p.name, len(p.photos)) for p in people] == [("Al", 1), ("Bea", 1)]


def test_a_single_file_is_one_person():
    person = only(load_people(SAMPLES / "studio.jpg", PACK))
    assert (person.name, len(person.photos)) == ("studio", 1)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".bmp", ".heic", ".avif"])
def test_every_kind_of_photo_shows_the_same_face(tmp_path, suffix):
    if suffix == ".heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    original = SAMPLES / "studio.jpg"
    copy = tmp_path / f"photo{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    with Image.open(original) as picture:
        picture.convert("RGB").save(copy, quality=95, **options)
    person = only(load_people(copy, PACK))
    assert reasons(person) == {}
    crop = read_photo_crop(copy, person.photos[0].sha256, person.photos[0].placement)
    reference = only(load_people(original, PACK)).photos[0]
    expected = read_photo_crop(original, reference.sha256, reference.placement)
    assert crop.shape == (512, 512, 3)
    assert np.abs(crop.astype(float) - expected).mean() < 6


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_photo_is_turned_as_its_exif_says(tmp_path, orientation):
    rgb, _ = portrait("studio.jpg")
    undone = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](rgb)
    file = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(undone)).save(file, exif=exif)
    assert (read_picture(file).rgb == rgb).all()


def test_grey_sixteen_bit_palette_and_transparent_pictures_are_read(tmp_path):
    rgb, _ = portrait("studio.jpg")
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.tiff")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.abs(read_picture(tmp_path / "deep.tiff").rgb[..., 0].astype(int) - grey).max() <= 1
    assert (read_picture(tmp_path / "grey.png").rgb[..., 1] == grey).all()
    Image.fromarray(rgb).convert("P").save(tmp_path / "palette.png")
    assert read_picture(tmp_path / "palette.png").rgb.shape == rgb.shape
    half = np.dstack([rgb, np.full(grey.shape, 0, np.uint8)])
    Image.fromarray(half).save(tmp_path / "clear.png")
    assert (read_picture(tmp_path / "clear.png").rgb == 128).all()


def test_an_embedded_profile_is_honoured(tmp_path):
    rgb, _ = portrait("studio.jpg")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(rgb).save(tmp_path / "wrong.png", icc_profile=profile)
    # A profile of another kind of colour cannot be meant: the numbers count as they stand.
    assert (read_picture(tmp_path / "wrong.png").rgb == rgb).all()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(rgb).save(tmp_path / "right.png", icc_profile=srgb)
    assert np.abs(read_picture(tmp_path / "right.png").rgb.astype(int) - rgb).max() <= 2


def test_everything_that_cannot_be_used_is_set_aside_with_its_reason(folder):
    (folder / "cut.jpg").write_bytes((SAMPLES / "studio.jpg").read_bytes()[:3000])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture")
    (folder / "notes.txt").write_text("my notes")
    shutil.copy(SAMPLES / "studio.jpg", folder / "zz copy.jpg")
    grass = np.random.default_rng(0).integers(0, 255, (300, 300, 3)).astype(np.uint8)
    Image.fromarray(grass).save(folder / "grass.png")
    person = only(load_people(folder, PACK))
    told = reasons(person)
    assert len(person.photos) == 4
    assert "damaged" in told["cut.jpg"]
    assert "empty" in told["empty.png"]
    assert "not a picture" in told["text.jpg"]
    assert "not a kind of photo" in told["notes.txt"]
    assert "studio.jpg" in told["zz copy.jpg"]
    assert told["grass.png"] == "No face was found in it."
    assert all("\n" not in reason and reason.endswith(".") for reason in told.values())


def test_the_same_picture_saved_again_smaller_counts_once_and_the_better_one_stays(folder):
    with Image.open(folder / "studio.jpg") as picture:
        half = picture.resize((picture.width // 2, picture.height // 2))
    half.save(folder / "again.jpg", quality=70)
    person = only(load_people(folder, PACK))
    assert len(person.photos) == 4
    assert "studio.jpg" in reasons(person)["again.jpg"]


def test_a_face_too_small_to_help_is_set_aside(folder):
    rgb, points = portrait("studio.jpg")
    scale = 0.6 * LEAST_PX / (np.linalg.norm(points[1] - points[0]) * 4)
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    ground = np.full((300, 300, 3), 128, np.uint8)
    ground[80 : 80 + small.shape[0], 80 : 80 + small.shape[1]] = small
    Image.fromarray(ground).save(folder / "far.png")
    person = only(load_people(folder, PACK))
    assert "far.png" in reasons(person)


def test_a_photo_of_someone_else_is_set_aside(folder):
    stranger = someone_else()
    Image.fromarray(stranger).save(folder / "stranger.png")
    assert PACK.detect(stranger), "the stranger must be a face"
    person = only(load_people(folder, PACK))
    assert {p.path.name for p in person.photos} == {p.name for p in SAMPLES.glob("*.jpg")}
    assert "does not look like Eileen's other photos" in reasons(person)["stranger.png"]


def test_of_several_faces_in_a_photo_the_one_that_agrees_is_taken(folder):
    rgb, _ = portrait("evening.jpg")
    stranger = someone_else()
    height = max(rgb.shape[0], stranger.shape[0])
    both = np.full((height, stranger.shape[1] + rgb.shape[1], 3), 120, np.uint8)
    both[: stranger.shape[0], : stranger.shape[1]] = stranger
    both[: rgb.shape[0], stranger.shape[1] :] = rgb
    (folder / "evening.jpg").unlink()
    Image.fromarray(both).save(folder / "both.png")
    person = only(load_people(folder, PACK))
    group = next(p for p in person.photos if p.path.name == "both.png")
    assert group.placement.centre_xy[0] > stranger.shape[1]


def test_several_faces_and_nothing_to_say_who_is_meant_is_refused(tmp_path):
    rgb, _ = portrait("studio.jpg")
    Image.fromarray(np.hstack([rgb, rgb])).save(tmp_path / "two.png")
    person = only(load_people(tmp_path / "two.png", PACK))
    assert person.photos == ()
    assert "2 people" in reasons(person)["two.png"]


def test_a_large_picture_with_a_face_in_its_corner_is_looked_at_closely(tmp_path):
    rgb, points = portrait("studio.jpg")
    small = cv2.resize(rgb, None, fx=0.9, fy=0.9, interpolation=cv2.INTER_AREA)
    ground = np.full((2400, 3200, 3), 120, np.uint8)
    ground[1500 : 1500 + small.shape[0], 2300 : 2300 + small.shape[1]] = small
    Image.fromarray(ground).save(tmp_path / "large.png")
    person = only(load_people(tmp_path / "large.png", PACK))
    eyes = (points[:2].mean(0) + 0.5) * 0.9 - 0.5 + [2300, 1500]
    found = person.photos[0].placement
    placed = np.array(found.centre_xy)
    assert np.abs(placed[0] - eyes[0]) < 0.1 * found.size_px


def test_a_photo_that_changed_after_it_was_chosen_is_refused(folder):
    photo = only(load_people(folder, PACK)).photos[0]
    Image.fromarray(np.zeros((50, 50, 3), np.uint8)).save(photo.path)
    with pytest.raises(InputError, match="has changed"):
        read_photo_crop(photo.path, photo.sha256, photo.placement)


def test_nothing_to_read_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no reference photos at"):
        load_people(tmp_path / "missing", PACK)
    with pytest.raises(InputError, match="holds no photos"):
        load_people(tmp_path, PACK)
    (tmp_path / "Ada").mkdir()
    shutil.copy(SAMPLES / "studio.jpg", tmp_path / "Ada")
    shutil.copy(SAMPLES / "studio.jpg", tmp_path / "loose.jpg")
    with pytest.raises(InputError, match="both folders of people and loose photos"):
        load_people(tmp_path, PACK)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_photo_that_may_not_be_read_is_set_aside(folder):
    (folder / "studio.jpg").chmod(0)
    assert "permission" in reasons(only(load_people(folder, PACK)))["studio.jpg"]
