"""`vidref models` as a user meets it."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import pytest
from click.testing import CliRunner

from vidref import weights
from vidref.cli.models import models
from vidref.errors import ModelError


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def run(*arguments: str, answer: str = "") -> str:
    done = CliRunner().invoke(models, arguments, input=answer, catch_exceptions=False)
    return done.output


def test_list_shows_the_bundled_pack_and_where_it_is():
    assert str(weights.FACE_PACK) in run("list")


def test_path_prints_the_folder_alone_so_that_scripts_can_use_it():
    assert run("path", "face-pack").strip() == str(weights.FACE_PACK)
    assert run("path", "bundled").strip() == str(weights.FACE_PACK)


def test_verify_names_every_file_that_it_checked():
    assert run("verify", "face-pack").count("ok  ") == 3


def test_verify_refuses_a_changed_file(tmp_path):
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "detector.onnx").write_bytes(b"before")
    weights.record(folder)
    (folder / "detector.onnx").write_bytes(b"after")
    with pytest.raises(ModelError, match="not what was shipped"):
        run("verify", str(folder))


def test_fetch_shows_the_licence_and_stops_when_it_is_declined(tmp_path):
    said = run("fetch", "buffalo_l", answer="n\n")
    assert "non-commercial" in said
    assert not (tmp_path / ".insightface").exists()


def test_fetch_through_a_mirror_gives_a_pack_that_is_listed_and_verified(tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    with ZipFile(served / "mirrored.zip", "w") as archive:
        for file in weights.FACE_PACK.glob("*.onnx"):
            archive.write(file, file.name)
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        run("fetch", "mirrored", "--from", f"http://127.0.0.1:{server.server_port}", "--yes")
        server.shutdown()
    assert run("verify", "mirrored").count("ok  ") == 3
    assert "mirrored" in run("list")


def test_fetch_offline_is_one_sentence(tmp_path):
    with pytest.raises(ModelError, match="cannot be fetched") as refusal:
        run("fetch", "buffalo_l", "--from", "http://127.0.0.1:9", "--yes")
    assert "\n" not in str(refusal.value)
