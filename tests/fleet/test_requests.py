"""Which clips a batch takes, and what it calls the results."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidref.errors import InputError, SettingsError
from vidref.fleet.requests import Wanted, requests_of
from vidref.settings import Settings


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    for name in ("b.mp4", "a.MOV", "deep/er/c.mkv", "notes.txt", ".hidden.mp4", ".d/e.mp4"):
        path = tmp_path / "shelf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "shelf"


def names(source: Path | str, wanted: Wanted) -> dict[str, str]:
    """Where each clip's result goes, below the output folder."""
    return {
        Path(r.source).name: Path(r.output).relative_to(Path(wanted.output).resolve()).as_posix()
        for r in requests_of(str(source), wanted)
    }


def test_a_folder_keeps_its_shape_and_the_results_are_never_taken_for_clips(shelf: Path) -> None:
    out = shelf / "restored"
    out.mkdir()
    (out / "b.mp4").touch()
    wanted = Wanted(str(out), {})
    assert names(shelf, wanted) == {"a.MOV": "a.MOV", "b.mp4": "b.mp4", "c.mkv": "deep/er/c.mkv"}
    assert names(shelf, Wanted(str(out), {}, recursive=False)).keys() == {"a.MOV", "b.mp4"}
    assert names(shelf, Wanted(str(out), {}, patterns=("deep/*",))).keys() == {"c.mkv"}
    assert names(shelf, Wanted(str(out), {}, patterns=("*.txt",))).keys() == {"notes.txt"}


def test_two_clips_never_share_an_output(shelf: Path, tmp_path: Path) -> None:
    (shelf / "a.mp4").touch()
    wanted = Wanted(str(tmp_path / "out"), {"lossless": True})
    found = names(shelf, wanted)
    assert found["b.mp4"] == "b.mkv" and found["c.mkv"] == "deep/er/c.mkv"
    assert {found["a.MOV"], found["a.mp4"]} == {"a.mkv", "a.mp4.mkv"}


def test_results_over_the_clips_themselves_are_refused(shelf: Path) -> None:
    (shelf / "z.mp4").touch()
    with pytest.raises(InputError, match="would replace"):
        requests_of(str(shelf), Wanted(str(shelf / "."), {}, patterns=("*.mp4",)))


MANIFEST = """source,output,refs,people,start,seed
b.mp4,first.mkv,people,anna; ben,1:30,7
deep/er/c.mkv,,,,,
"""


def test_a_manifest_says_of_each_clip_what_is_its_own(shelf: Path, tmp_path: Path) -> None:
    listed = shelf / "list.csv"
    listed.write_text(MANIFEST)
    wanted = Wanted(str(tmp_path / "out"), {"seed": 3, "crf": 20.0}, references="/all")
    first, second = requests_of(str(listed), wanted)
    assert first.source == str(shelf / "b.mp4")
    assert first.output == str(tmp_path / "out" / "first.mkv")
    assert first.references == str(shelf / "people")
    settings = Settings.model_validate_json(first.settings)
    assert settings.faces.people == ("anna", "ben") and settings.span.start == 90
    assert settings.model.seed == 7 and settings.output.crf == 20
    assert Path(second.output).name == "c.mkv" and second.references == "/all"
    assert Settings.model_validate_json(second.settings).model.seed == 3
    lines = shelf / "list.jsonl"
    lines.write_text('{"source": "b.mp4", "people": ["anna"], "faces.min_face": 60}\n\n')
    (only,) = requests_of(str(lines), wanted)
    assert Settings.model_validate_json(only.settings).faces.min_face == 60


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("m.csv", "source,colour\na.mp4,red\n", "line 2: 'colour' is unknown"),
        ("m.csv", "source,seed\na.mp4,many\n", "line 2: The setting model.seed"),
        ("m.csv", "output\na.mp4\n", "line 2: there is no source"),
        ("m.jsonl", '{"source": "a.mp4"}\n{"source"\n', "line 2: this is not JSON"),
        ("m.jsonl", '["a.mp4"]\n', "line 1: write an object"),
        ("m.csv", "source,output\na.mp4,o.mp4\nb.mp4,o.mp4\n", "line 3: .* is the output of"),
    ],
)
def test_a_wrong_manifest_is_told_with_its_line(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises((InputError, SettingsError), match=said):
        requests_of(str(tmp_path / name), Wanted(str(tmp_path / "out"), {}))
