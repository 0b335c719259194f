"""The command line: instant help, plain words in a log, JSON for programs, silence when asked."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clips import write_clip
from tests.tool import PASS, command, environment, is_one_sentence, leftovers, process, vidref

HEAVY = {
    "torch", "diffusers", "insightface", "onnxruntime", "cv2", "av", "numpy", "scipy", "rich",
    "pydantic", "yaml", "transformers", "PIL", "skimage", "matplotlib", "ray",
}  # fmt: skip
COMMANDS = ["restore", "doctor", "completion"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "in.mkv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    return made


# ---------------------------------------------------------------- help


def test_help_lists_every_command() -> None:
    done = vidref("--help")
    assert done.exit_code == 0
    listed = done.stdout.split("Commands")[1]
    for name in COMMANDS:
        line = next(x for x in listed.splitlines() if x.split() and x.split()[0] == name)
        assert len(line.split()) > 3, "a command without a summary"


@pytest.mark.parametrize("arguments", [["--help"], ["restore", "--help"], ["completion", "bash"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys, atexit\n"
        "atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))\n"
        f"sys.argv = ['vidref', *{arguments!r}]\n"
        "from vidref.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment()
    )
    loaded = {name.split(".")[0] for name in done.stderr.split("LOADED")[1].split()}
    assert loaded & HEAVY == set()


def test_every_command_explains_itself() -> None:
    for name in COMMANDS:
        done = vidref(name, "--help")
        assert done.exit_code == 0
        assert done.stdout.startswith("Usage:")


def test_the_version_is_printed() -> None:
    done = vidref("--version")
    assert done.exit_code == 0
    assert done.stdout.strip()


@pytest.mark.parametrize(
    "arguments",
    [["restore", "in.mkv", "--sharpen"], ["enhance"], ["restore"], ["restore", "a", "b"]],
    ids=" ".join,
)
def test_what_the_command_line_does_not_know_is_refused(arguments: list[str]) -> None:
    done = vidref(*arguments)
    assert done.exit_code == 2
    assert "Error" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--crf", "900"],
        ["--crf", "nan"],
        ["--codec", "betamax"],
        ["--drop", "77"],
        ["--drop", "0"],
        ["--drop", "x"],
        ["--lossless", "--prores"],
        ["--lossless", "--crf", "12"],
        ["--format", "betamax"],
        ["--preset", "warp"],
        ["--threads", "-1"],
    ],
    ids=" ".join,
)
def test_an_impossible_wish_is_refused_before_anything_is_written(
    arguments: list[str], source: Path, folder: Path
) -> None:
    done = vidref(*PASS, source, "-o", folder / "out.mkv", *arguments)
    assert done.exit_code == 2
    assert done.stderr.strip() and "Traceback" not in done.stderr
    assert leftovers(folder) == []


# ---------------------------------------------------------------- what a run prints


def test_json_lines_can_be_read_by_a_program(source: Path, folder: Path) -> None:
    done = vidref(*PASS, source, "-o", folder / "out.mkv", "--json")
    assert done.exit_code == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, "nothing was said"
    assert lines[-1]["frames"] == 12
    assert Path(lines[-1]["output"]) == folder / "out.mkv"
    for line in done.stderr.splitlines():
        json.loads(line)


def test_quiet_prints_nothing(source: Path, folder: Path) -> None:
    done = process(*PASS, source, "-o", folder / "out.mkv", "--quiet")
    assert (done.exit_code, done.piped, done.stderr) == (0, b"", "")


def test_quiet_still_says_why_it_failed(tmp_path: Path, folder: Path) -> None:
    done = process(*PASS, tmp_path / "gone.mkv", "-o", folder / "out.mkv", "--quiet")
    assert done.exit_code == 2 and is_one_sentence(done.stderr)


def test_a_log_gets_plain_lines(source: Path, folder: Path) -> None:
    done = process(*PASS, source, "-o", folder / "out.mkv")
    assert done.exit_code == 0
    assert "12" in done.stderr
    for strange in ("\x1b", "\r", "\x07"):
        assert strange not in done.stderr + done.piped.decode()


def test_a_terminal_gets_a_progress_bar(tmp_path: Path, folder: Path) -> None:
    source = write_clip(tmp_path / "long.mkv", frames=100)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*PASS, source, "-o", folder / "out.mkv"),
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment(TERM="xterm-256color"),
    ) as running:  # fmt: skip
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # Linux ends a closed terminal this way
                break
            if not piece:
                break
            said += piece
    os.close(ours)
    assert running.returncode == 0
    assert b"\x1b" in said and b"fps" in said and b"100/100" in said


def test_the_result_alone_goes_to_standard_output(source: Path) -> None:
    done = process(*PASS, source, "-o", "-")
    assert done.exit_code == 0
    assert done.piped.startswith(b"\x1a\x45\xdf\xa3"), "Matroska, from its first byte on"
    done = process(*PASS, source, "-o", "-", "--json")
    assert done.piped.startswith(b"\x1a\x45\xdf\xa3") and b'"frames"' not in done.piped


def test_without_an_output_the_result_lies_beside_the_source(source: Path) -> None:
    done = vidref(*PASS, source)
    assert done.exit_code == 0, done.stderr
    made = leftovers(source.parent, source)
    assert len(made) == 1 and made[0].startswith("in.") and made[0].endswith(".mkv")


# ---------------------------------------------------------------- settings


def test_a_config_file_is_obeyed_and_flags_override_it(
    source: Path, folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "my.yaml"
    config.write_text("output:\n  lossless: true\nspan:\n  end: 0.2\n")
    first = vidref(*PASS, source, "-o", folder / "a.mkv", "--config", config, "--json")
    assert first.exit_code == 0, first.stderr
    said = json.loads(first.stdout.splitlines()[-1])
    assert (said["frames"], said["encoder"]) == (5, "ffv1")
    second = vidref(
        *PASS, source, "-o", folder / "b.mkv", "--config", config, "--end", "0.4", "--json"
    )
    said = json.loads(second.stdout.splitlines()[-1])
    assert (said["frames"], said["encoder"]) == (10, "ffv1")


@pytest.mark.parametrize(
    "text",
    [
        "output:\n  sharpness: 3\n",
        "outputs: {}\n",
        "output: 7\n",
        "span:\n  start: soon\n",
        "threads: many\n",
        "output: [\n",
        "- just a list\n",
        "\x00\x01",
    ],
)
def test_a_wrong_config_is_refused_in_one_sentence(
    text: str, source: Path, folder: Path, tmp_path: Path
) -> None:
    config = tmp_path / "wrong.yaml"
    config.write_text(text)
    done = vidref(*PASS, source, "-o", folder / "out.mkv", "--config", config)
    assert done.exit_code == 2 and is_one_sentence(done.stderr), done.stderr
    assert leftovers(folder) == []


def test_a_missing_config_is_named(source: Path, folder: Path, tmp_path: Path) -> None:
    done = vidref(*PASS, source, "-o", folder / "out.mkv", "--config", tmp_path / "no.yaml")
    assert done.exit_code == 2 and "no.yaml" in done.stderr
    assert leftovers(folder) == []


# ---------------------------------------------------------------- dry run


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(source: Path, folder: Path) -> None:
    done = vidref(*PASS, source, "-o", folder / "out.mkv", "--dry-run")
    assert done.exit_code == 0, done.stderr
    words = done.stdout + done.stderr
    assert "out.mkv" in words and "264" in words
    assert leftovers(folder) == []
    done = vidref(*PASS, source, "-o", folder / "out.mkv", "--dry-run", "--json")
    assert json.loads(done.stdout)["output"].endswith("out.mkv")


def test_a_dry_run_refuses_what_the_run_would(source: Path, folder: Path) -> None:
    (folder / "out.mkv").write_bytes(b"mine")
    assert vidref(*PASS, source, "-o", folder / "out.mkv", "--dry-run").exit_code == 2
    absent = folder / "absent" / "out.mkv"
    assert vidref(*PASS, source, "-o", absent, "--dry-run").exit_code == 2
    assert vidref(*PASS, source, "-o", folder / "out.docx", "--dry-run").exit_code == 2
    assert vidref(*PASS, source, "-o", source, "--dry-run", "--overwrite").exit_code == 2
    assert leftovers(folder, "out.mkv") == []


# ---------------------------------------------------------------- doctor, completion


def test_doctor_says_what_runs_here_and_how_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    from vidref.pipeline import doctor

    monkeypatch.setattr(doctor, "TRIAL_FRAMES", 8)
    done = vidref("doctor", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert "av" in said["versions"] and "torch" in said["versions"]
    words = json.dumps(said)
    for part in ("cpu", "h264", "ffv1", "frames/s"):
        assert part in words


@pytest.mark.slow
def test_doctor_speaks_to_people_too() -> None:
    done = vidref("doctor")
    assert done.exit_code == 0
    assert "versions:" in done.stdout and "{" not in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_the_shell_can_read(shell: str) -> None:
    done = vidref("completion", shell)
    assert done.exit_code == 0
    assert "vidref" in done.stdout and "_VIDREF_COMPLETE" in done.stdout
    if shutil.which(shell):
        check = subprocess.run([shell, "-n"], input=done.stdout, text=True, capture_output=True)
        assert check.returncode == 0, check.stderr


def test_completion_knows_commands_and_options() -> None:
    def offered(words: str, count: int) -> str:
        return subprocess.run(
            command(), capture_output=True, text=True, stdin=subprocess.DEVNULL,
            env=environment(
                _VIDREF_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(count)
            ),
        ).stdout  # fmt: skip

    assert "restore" in offered("vidref re", 1)
    assert "--lossless" in offered("vidref restore --lo", 2)


def test_an_unknown_shell_is_refused() -> None:
    assert vidref("completion", "cmd").exit_code == 2
