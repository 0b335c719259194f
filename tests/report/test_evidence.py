"""`vidref restore --report --uncertainty --c2pa`: what is written for whoever must defend it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.clips import write_clip, write_photo
from tests.report.browser import Visit, chromium
from tests.report.pages import addresses, facts
from tests.report.signer import make_signer
from tests.stand_in import save_stand_in
from tests.tool import ROOT, is_one_sentence, leftovers, vidref
from vidref import weights
from vidref.model.bundle import WEIGHTS, find_bundle
from vidref.pipeline import support
from vidref.pipeline.account import SCHEMA, read_account, schema_text

SAMPLE = ROOT / "samples" / "clip.mp4"
PERSON = ROOT / "samples" / "person"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short clip restored with everything that can be asked for."""
    folder = tmp_path_factory.mktemp("evidence")
    cut = ["-t", "0.28", "-s", "320x240", "-c:a", "copy"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", SAMPLE, *cut, folder / "clip.mp4"], check=True)
    model = save_stand_in(folder / "stand-in")
    chain, key = make_signer(folder)
    done = vidref(
        *("restore", folder / "clip.mp4", "-o", folder / "out.mp4", "--model", model),
        *("--refs", PERSON, "--report", "--uncertainty", "--threads", "1", "--json"),
        *("--c2pa", "--cert", chain, "--key", key),
    )
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert Path(told["report"]) == folder / "out.mp4.report.html" and told["faces"] == 7
    return folder


def test_the_report_tells_who_from_what_how_well_and_how_it_was_made(folder: Path) -> None:
    page = folder / "out.mp4.report.html"
    text = page.read_text()
    assert addresses(page) == [] and "<script" not in text
    for words in (
        "7 faces in 7 frames rebuilt, those of person.",
        "References used",
        "studio.jpg",
        "likeness",
        "Supported by evidence",
        "The scale was measured with another restorer",
        "stand-in (SHA-256",
        "seed 2024",
        "analyse ",
        "torch ",
    ):
        assert words in text, words
    assert text.count('class="pair"') >= 1 + 2  # the moment, and looks for the map
    assert text.count("data:image/jpeg") >= 8 and len(text) < 1_500_000


def test_the_report_is_readable_on_a_phone_and_a_desk(folder: Path) -> None:
    with chromium() as browser:
        for size in ((375, 812, True), (1920, 1080, False)):
            visit = Visit(browser, folder / "out.mp4.report.html", *size)
            assert visit.complaints == [] and visit.sent_out() == []
            assert visit.overflow_px() == 0 and visit.faint_words() == []
            assert visit.violations() == []


def test_the_sidecar_is_what_its_schema_says(folder: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    beside = folder / "out.mp4.json"
    tree = json.loads(beside.read_text())
    jsonschema.validate(tree, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**tree, "people": "nobody"}, schema)
    assert schema_text() == SCHEMA.read_text()
    account = read_account(beside)
    (person,) = account.people
    assert person.supported is not None and 0 <= person.supported <= 1
    assert account.tracks[0].restored and len(account.tracks[0].path) >= 1


def test_a_compare_page_knows_the_people_of_the_sidecar(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = vidref("compare", folder / "clip.mp4", folder / "out.mp4", "-o", page, "--quiet")
    assert done.exit_code == 0, done.stderr
    (person,) = facts(page)["people"]
    assert person["name"] == "person" and person["restored"]
    assert any("Supported by evidence" in line for line in person["facts"])
    first = person["tracks"][0]["path"][0]
    assert abs(first[0]) < 0.05 and 60 < first[1] < 200 and 80 < first[3] < 240


def test_the_manifest_verifies_and_tells_regions_and_references(folder: Path) -> None:
    c2pa = pytest.importorskip("c2pa")
    with c2pa.Reader(str(folder / "out.mp4")) as reader:
        assert reader.get_validation_state() == "Valid"
        store = json.loads(reader.json())
    active = store["manifests"][store["active_manifest"]]
    assert [i["title"] for i in active["ingredients"]] == ["clip.mp4"]
    said = {one["label"]: one["data"] for one in active["assertions"]}
    opened, edited = said["c2pa.actions.v2"]["actions"]
    assert opened["action"] == "c2pa.opened" and edited["action"] == "c2pa.edited"
    assert edited["digitalSourceType"].endswith("compositeWithTrainedAlgorithmicMedia")
    (change,) = edited["changes"]
    shape = next(part["shape"] for part in change["region"] if part["type"] == "spatial")
    assert 80 < shape["width"] <= 320 and shape["height"] <= 240
    (person,) = said["org.vidref.restoration"]["people"]
    photos = {one["sha256"] for one in person["references"] if "sha256" in one}
    beside = json.loads((folder / "out.mp4.json").read_text())["people"][0]["references"]
    assert photos == {one["sha256"] for one in beside if "sha256" in one} != set()


def test_a_change_of_the_signed_picture_is_detected(folder: Path, tmp_path: Path) -> None:
    c2pa = pytest.importorskip("c2pa")
    data = bytearray((folder / "out.mp4").read_bytes())
    media = data.rindex(b"mdat")
    data[media + 2000] ^= 1
    changed = tmp_path / "changed.mp4"
    changed.write_bytes(data)
    with c2pa.Reader(str(changed)) as reader:
        assert reader.get_validation_state() == "Invalid"
        codes = [one["code"] for one in json.loads(reader.json())["validation_status"]]
    assert "assertion.bmffHash.mismatch" in codes


def test_a_restored_photo_is_signed_too(folder: Path, tmp_path: Path) -> None:
    c2pa = pytest.importorskip("c2pa")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", SAMPLE, "-frames:v", "1", "-s", "320x240", "photo.png"],
        check=True,
        cwd=tmp_path,
    )
    done = vidref(
        *("restore", tmp_path / "photo.png", "-o", tmp_path / "out.png", "--report"),
        *("--model", folder / "stand-in", "--threads", "1", "--quiet"),
        *("--c2pa", "--cert", folder / "chain.pem", "--key", folder / "key.pem"),
    )
    assert done.exit_code == 0, done.stderr
    with c2pa.Reader(str(tmp_path / "out.png")) as reader:
        assert reader.get_validation_state() == "Valid"
    names = ["photo.png", "out.png", "out.png.json", "out.png.report.html"]
    assert leftovers(tmp_path, *names) == []


def test_a_clip_without_faces_is_reported_as_untouched(folder: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=3)
    done = vidref(
        *("restore", clip, "-o", tmp_path / "out.mp4", "--report", "--uncertainty", "--quiet"),
        *("--model", folder / "stand-in", "--threads", "1"),
    )
    assert done.exit_code == 0, done.stderr
    text = (tmp_path / "out.mp4.report.html").read_text()
    assert "No face was rebuilt: the picture is as it was." in text
    assert "No face was found" in text and "<h2>People</h2>" not in text


REFUSED = {
    "a container without room": (["-o", "out.mkv", "--c2pa", "--cert", "C", "--key", "K"], ".mkv"),
    "no certificate": (["-o", "out.mp4", "--c2pa"], "--cert"),
    "a key for a certificate": (["-o", "out.mp4", "--c2pa", "--cert", "K", "--key", "K"], "--cert"),
    "a file that is no key": (["-o", "out.mp4", "--c2pa", "--cert", "C", "--key", "C"], "--key"),
    "a report of a pipe": (["-o", "-", "--report"], "--report"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_written_is_refused_before_the_long_work(
    case: str, folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("c2pa")
    arguments, words = REFUSED[case]
    files = {"C": folder / "chain.pem", "K": folder / "key.pem"}
    places = [
        files.get(word, tmp_path / word if word.startswith("out.") else word) for word in arguments
    ]
    done = vidref("restore", folder / "clip.mp4", *places)
    assert done.exit_code == 2 and is_one_sentence(done.stderr), done.stderr
    assert words in done.stderr and leftovers(tmp_path) == []


def test_a_file_that_is_not_signed_in_the_end_stays_as_it_was(folder: Path, tmp_path: Path) -> None:
    """A certificate of somebody else's key: found out only when it signs."""
    from vidref.errors import OutputError
    from vidref.report.credentials import read_credentials, sign

    (tmp_path / "other").mkdir()
    _, other_key = make_signer(tmp_path / "other")
    output = tmp_path / "out.mp4"
    shutil.copy(folder / "clip.mp4", output)
    before = output.read_bytes()
    signer = read_credentials(folder / "chain.pem", other_key)
    with pytest.raises(OutputError, match=r"could not be signed|does not verify"):
        sign(output, folder / "clip.mp4", read_account(folder / "out.mp4.json"), signer)
    assert output.read_bytes() == before and leftovers(tmp_path, output, "other") == []


def test_answers_that_differ_and_fine_detail_mean_a_larger_expected_error() -> None:
    rng = np.random.default_rng(0)
    flat = np.full((512, 512, 3), 120, np.float32)
    busy = flat.copy()
    busy[:256] += rng.normal(0, 40, (256, 512, 1)).astype(np.float32)
    detail = support.detail(busy)
    assert detail[:15].min() > detail[17:].max()
    sure, unsure = (support.expected_error(detail, difference) for difference in (0.5, 6.0))
    assert (unsure > sure).all() and (unsure[:15].min() > unsure[17:].max())
    assert support.supported_share(sure) > support.supported_share(unsure)
    undone = support.undone([flat, busy[:, ::-1], np.roll(busy, (4, 4), (0, 1)), busy])
    assert all(np.array_equal(one, busy) for one in undone[1:])


def test_the_scale_of_the_expected_error_was_measured_with_the_bundled_restorer() -> None:
    folder = find_bundle("bundled")
    bundled = weights.recorded_hashes(folder)[folder / WEIGHTS]
    assert bundled == support.CALIBRATED, (
        "the restorer is a new one: python -m tests.benchmarks.support ../shared/data --fit, then "
        "put its numbers and this hash into vidref/pipeline/support.py"
    )


def test_a_photo_beside_nothing_is_compared_by_analysing_it(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photo.png", size=(96, 96))
    page = tmp_path / "page.html"
    done = vidref("compare", photo, photo, "-o", page, "--threads", "1", "--quiet")
    assert done.exit_code == 0, done.stderr
    assert facts(page)["people"] == []
