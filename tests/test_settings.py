"""Defaults in one file, the user's file over them, flags over both, and one clear sentence."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from vidref.errors import SettingsError
from vidref.settings import Settings, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", Fraction(90)),
        ("1:30", Fraction(90)),
        ("0:01:30.5", Fraction(181, 2)),
        (0.1, Fraction(1, 10)),
    ],
)
def test_times_are_exact(text: object, seconds: Fraction) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["soon", "1:2:3:4", "-5", "1:x"])
def test_what_is_not_a_time_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(SettingsError, match=r"write (seconds|0 or more)"):
        Settings.load(flags={"span.start": text})


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("output:\n  crf: 20\n  codec: hevc\nthreads: 3\n")
    settings = Settings.load(config, {"output.crf": 12.0, "output.preset": None})
    assert settings.output.crf == 12
    assert settings.output.codec == "hevc"
    assert settings.threads == 3
    assert settings.queue_frames == Settings.load().queue_frames


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("outptu:\n  crf: 3\n", "outptu.*unknown.*output"),
        ("output: 3\n", "holds settings"),
        ("output:\n  crf: high\n", "output.crf.*'high'"),
        ("output:\n  crf: 900\n", "output.crf.*900"),
        ("a: [1\n", "not valid YAML"),
        ("- 1\n", "names and values"),
    ],
)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, text: str, expected: str) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(text)
    with pytest.raises(SettingsError, match=expected) as caught:
        Settings.load(config)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.yaml cannot be read"):
        Settings.load(tmp_path / "none.yaml")


def test_an_end_before_the_start_and_a_preview_with_an_end_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"^--end must lie after --start\.$"):
        Settings.load(flags={"span.start": "10", "span.end": "5"})
    with pytest.raises(SettingsError, match="not both"):
        Settings.load(flags={"span.preview": "10", "span.end": "5"})
