"""The image protocol: metrics that agree with the fixed measure, layouts, and the command."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.model.small import recogniser_file, small_config, small_network
from vidref.cli.evaluate_faces import faces
from vidref.errors import InputError
from vidref.evaluation.face_cases import read_cases, read_picture
from vidref.evaluation.faces import Measure, centre_112, published_ids, stranger_of, whole_112
from vidref.evaluation.judges import Judges
from vidref.evaluation.metrics import skin_angle, skin_group
from vidref.evaluation.tables import markdown, means
from vidref.model.bundle import save_bundle
from vidref.model.recogniser import Recogniser

SHARED = Path(__file__).resolve().parents[3] / "shared"
DEV = SHARED / "data" / "faces-dev"
needs_data = pytest.mark.skipif(not DEV.exists(), reason="the measuring data are not here")


def fixed_measure() -> ModuleType:
    path = SHARED / "tools" / "measure_faces.py"
    spec = importlib.util.spec_from_file_location("measure_faces", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_data
@pytest.mark.parametrize("person", [0, 7, 19])
@pytest.mark.parametrize("kind", ["moderate", "severe", "reference"])
def test_every_number_agrees_with_the_fixed_measure(person: int, kind: str) -> None:
    case = read_cases(DEV)[person]
    source = case.references[0] if kind == "reference" else case.degraded[kind]
    paths = (source, case.truth, case.references[0])
    wanted = fixed_measure().score(*(cv2.imread(str(path)) for path in paths))
    measure = Measure(Judges.find(SHARED / "data" / "teachers"))
    found = measure.row(*(read_picture(path) for path in paths))
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, abs=5e-4), name


def write(path: Path, seed: int, size: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).uniform(0, 255, (size, size, 3)).astype(np.float32)
    assert cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 2).astype(np.uint8))


def own_layout(folder: Path) -> Path:
    lines = ["gt,person,references,moderate,severe,gt_native_px"]
    for i in range(3):
        names = [f"P{i}_gt.png", f"P{i}_ref0.png", f"P{i}_ref1.png", f"P{i}_m.png", f"P{i}_s.png"]
        for j, name in enumerate(names):
            write(folder / name, 10 * i + j)
        gt, first, second, moderate, severe = names
        lines.append(f"{gt},P{i},{first} {second},{moderate},{severe},480")
    (folder / "protocol.csv").write_text("\n".join(lines) + "\n")
    return folder


def ffhq_layout(folder: Path) -> Path:
    for name in ("00001", "00002", "00003"):
        write(folder / "images512x512" / f"{name}.png", int(name))
    for kind in ("severe", "moderate"):
        write(folder / "test_images" / f"{kind}_degrad" / "00001.png", 9)
    table = folder / "reference_mapping" / "test_references.csv"
    table.parent.mkdir()
    refs = "\"['00002.png', '00003.png']\""
    table.write_text(f"gt_image,lq_image,ref_image\n00001.png,00001.png,{refs}\n")
    return folder


def celeba_layout(folder: Path) -> Path:
    for name in ("00000001", "00000002"):
        write(folder / "celeba_test_images" / "hq" / f"{name}.png", 1)
        write(folder / "celeba_test_images" / "lq" / f"{name}.png", 2)
    write(folder / "CelebA-HQ-img" / "7.jpg", 3)
    rows = [
        "gt_image,lq_image,ref_image",
        "00000001.png,00000001.png,\"['6.jpg', '7.jpg']\"",
        "00000002.png,00000002.png,\"['5.jpg']\"",
    ]
    (folder / "test_references.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_the_three_published_layouts_are_read(tmp_path: Path) -> None:
    own = read_cases(own_layout(tmp_path / "own"))
    assert [case.person for case in own] == ["P0", "P1", "P2"]
    assert set(own[0].degraded) == {"moderate", "severe"} and len(own[0].references) == 2
    (ffhq,) = read_cases(ffhq_layout(tmp_path / "ffhq"))
    assert [path.name for path in ffhq.references] == ["00002.png", "00003.png"]
    assert ffhq.degraded["severe"].exists() and ffhq.truth.exists()
    (celeba,) = read_cases(celeba_layout(tmp_path / "celeba"))
    # the first listed reference does not exist; the second face has none and is skipped
    assert [path.name for path in celeba.references] == ["7.jpg"]
    assert celeba.degraded["given"].exists()
    with pytest.raises(InputError, match="not a protocol"):
        read_cases(tmp_path)


def test_both_definitions_of_ids_are_the_published_ones(tmp_path: Path) -> None:
    image = np.random.default_rng(1).uniform(0, 255, (512, 512, 3)).astype(np.uint8)
    inner = cv2.resize(image[32:480, 32:480], (112, 112), interpolation=cv2.INTER_AREA)
    assert np.array_equal(centre_112(image), inner)
    assert np.array_equal(whole_112(image), cv2.resize(image, (112, 112)))
    arcface = Recogniser(recogniser_file(tmp_path))
    other = image[:, ::-1].copy()
    found = published_ids(arcface, image, other, image)
    for name, window in (("ids_centre", centre_112), ("ids_whole", whole_112)):
        vectors = []
        for picture in (image, other):
            batch = (window(picture).astype(np.float32) - 127.5) / 127.5
            with torch.no_grad():
                vector = arcface.graph(torch.from_numpy(batch).permute(2, 0, 1)[None])[0].numpy()
            vectors.append(vector / np.linalg.norm(vector))
        assert found[name] == pytest.approx(float(vectors[0] @ vectors[1]), abs=1e-5)
        assert found[f"{name}_ref"] == pytest.approx(1, abs=1e-5)


def test_a_stranger_is_never_the_person(tmp_path: Path) -> None:
    cases = read_cases(own_layout(tmp_path))
    stranger = stranger_of(cases)
    for case in cases:
        assert not set(stranger(case)) & set(case.references)


@pytest.mark.parametrize(
    ("colour", "group"),
    [((250, 225, 205), "light"), ((198, 150, 120), "middle"), ((80, 50, 35), "dark")],
)
def test_skin_is_grouped_by_its_angle(colour: tuple[int, int, int], group: str) -> None:
    face = np.full((512, 512, 3), colour, np.uint8)
    face[:200] = 255
    assert skin_group(skin_angle(face)) == group
    assert skin_group(skin_angle(cv2.resize(face, (256, 256)))) == group


def test_tables_leave_empty_what_was_not_measured() -> None:
    rows: list[dict[str, str | float]] = [{"name": "a", "x": 1.0}, {"name": "b", "y": 0.12345}]
    assert markdown(rows).splitlines()[2:] == ["| a | 1.000 |  |", "| b |  | 0.123 |"]
    assert means(rows) == {"x": 1.0, "y": 0.12345}


def test_the_command_makes_tables_pictures_and_a_sheet(tmp_path: Path) -> None:
    folder, out = own_layout(tmp_path / "protocol"), tmp_path / "out"
    save_bundle(tmp_path / "bundle", small_config(), small_network().own_weights(), "# card")
    arguments = [str(folder), "--out", str(out), "--model", str(tmp_path / "bundle")]
    arguments += ["--recogniser", str(recogniser_file(tmp_path)), "--steps", "1", "--wrong"]
    arguments += ["--judges", str(tmp_path / "none"), "--references", "0", "--references", "2"]
    result = CliRunner().invoke(faces, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "identity and landmarks are not measured" in result.output
    with (out / "faces.csv").open() as file:
        rows = list(csv.DictReader(file))
    # 2 kinds x (input, sharpened, copied, 2 restorations, a stranger's) x 3 people
    assert len(rows) == 2 * 6 * 3 and "identity" not in rows[0]
    assert len({row["version"] for row in rows}) == 6
    assert cv2.imread(str(out / "severe.png")).shape[1] == 7 * 256
    kept = out / "moderate" / "degraded-input" / "P1.png"
    assert np.array_equal(read_picture(kept), read_picture(folder / "P1_m.png"))
    again = [str(folder), "--results", str(kept.parent), "--kind", "moderate"]
    again += ["--judges", str(tmp_path / "none")]
    table = CliRunner().invoke(faces, again, catch_exceptions=False).output
    line = next(line for line in result.output.splitlines() if "moderate | degraded" in line)
    measured = next(row for row in table.splitlines() if "moderate | degraded" in row)
    assert line.split("|")[3:] == measured.split("|")[3:]


def test_a_restorer_refuses_a_recogniser_that_it_was_not_trained_with(tmp_path: Path) -> None:
    folder = own_layout(tmp_path / "protocol")
    context = {
        "width": 32,
        "identity": {"dimension": 24, "recogniser_sha256": "0" * 64},
        "patches": {"grid": 2, "widths": [32, 32]},
    }
    config = small_config(context=context)
    save_bundle(tmp_path / "bundle", config, small_network(config).own_weights(), "# card")
    arguments = [str(folder), "--model", str(tmp_path / "bundle")]
    arguments += ["--recogniser", str(recogniser_file(tmp_path))]
    with pytest.raises(InputError, match="not the one that this restorer"):
        CliRunner().invoke(faces, arguments, catch_exceptions=False)
