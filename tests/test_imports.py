"""Modules that are promised, and run when somebody asks them for something."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vidref.imports import only_promised


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A library whose front imports two heavy packages, of which it uses one class."""
    home = tmp_path / "front"
    for folder in ("", "heavy", "heavy/part"):
        (home / folder).mkdir(parents=True)
    (home / "__init__.py").write_text(
        "from . import heavy\nfrom .heavy.part.small import Small\n"
        "def made():\n    return heavy.Large()\n"
    )
    (home / "heavy" / "__init__.py").write_text(
        "import time, front.counted\nfront.counted.runs.append(1)\ntime.sleep(0.05)\n"
        "from .part.small import Small\nclass Large(Small): pass\n"
    )
    (home / "heavy" / "part" / "__init__.py").write_text("raise RuntimeError('broken')\n")
    (home / "heavy" / "part" / "small.py").write_text("class Small: pass\n")
    (home / "counted.py").write_text("runs = []\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield home
    for name in [name for name in sys.modules if name.split(".")[0] == "front"]:
        del sys.modules[name]


def runs() -> int:
    return len(sys.modules["front.counted"].runs)


def test_a_promised_module_runs_once_when_it_is_first_asked(library: Path) -> None:
    with only_promised("front.heavy", "front.heavy.part"):
        import front  # type: ignore[import-not-found]
    assert front.Small.__module__ == "front.heavy.part.small"
    assert "front.counted" not in sys.modules
    heavy = sys.modules["front.heavy"]
    assert getattr(heavy, "__warningregistry__", None) is None and heavy.__path__
    assert "front.counted" not in sys.modules, "looking through all modules runs none"
    assert isinstance(front.made(), front.Small) and runs() == 1
    from front.heavy import Large  # type: ignore[import-not-found]

    assert type(front.made()) is Large and runs() == 1
    with pytest.raises(AttributeError, match="no attribute 'Larger'"):
        _ = heavy.Larger


def test_many_threads_find_a_promised_module_whole(library: Path) -> None:
    with only_promised("front.heavy", "front.heavy.part"):
        import front
    together, found = threading.Barrier(6), []

    def ask() -> None:
        together.wait()
        found.append(type(front.made()))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and len(set(found)) == 1 and runs() == 1


def test_what_is_wrong_with_a_promised_module_is_said_to_who_asks(library: Path) -> None:
    with only_promised("front.heavy", "front.heavy.part"):
        import front
    part = sys.modules["front.heavy.part"]
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            _ = part.anything
    assert isinstance(front.made(), front.Small)


def test_without_a_promise_modules_run_as_ever(library: Path) -> None:
    (library / "heavy" / "part" / "__init__.py").write_text("")
    with only_promised("front.other"):
        import front
    assert runs() == 1 and isinstance(front.made(), front.Small)


def test_the_face_pack_loads_without_scipy_and_insightface_stays_whole() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, numpy as np\n"
            "from vidref.faces.pack import load_pack\n"
            "load_pack(threads=1)\n"
            "assert not {'scipy.sparse', 'urllib3', 'torch'} & set(sys.modules)\n"
            "from insightface.utils.face_align import arcface_dst, norm_crop\n"
            "picture = np.random.default_rng(0).integers(0, 255, (112, 112, 3), np.uint8)\n"
            "assert np.abs(norm_crop(picture, arcface_dst).astype(int) - picture).max() <= 1\n"
            "import scipy.spatial\n"
            "assert len(scipy.spatial.ConvexHull(np.eye(3)[:, :2]).vertices) == 3\n",
        ],
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr


@pytest.mark.slow
def test_the_restorer_loads_without_diffusers_transformers_and_diffusers_stays_whole() -> None:
    said = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from vidref.model.loading import load_restorer\n"
            "load_restorer('bundled', 'cpu')\n"
            "assert 'diffusers.models.transformers.transformer_flux' not in sys.modules\n"
            "from diffusers import FluxTransformer2DModel\n"
            "assert FluxTransformer2DModel.__module__.endswith('transformer_flux')\n",
        ],
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
