"""`vidref analyse` as a user runs it: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.people_clips import PHOTOS, Portrait, frames_of, write_pictures
from tests.tool import command, environment, is_one_sentence, leftovers, vidref
from vidref.pipeline.plan_file import load_plan
from vidref.report.people_sheet import draw_sheets


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    return write_pictures(folder / "talk.mp4", frames_of([Portrait()], 15))


@pytest.fixture
def mine(clip: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(clip, tmp_path / "talk.mp4"))


def test_the_plan_lies_beside_the_clip_and_the_summary_says_who_is_in_it(mine):
    done = vidref("analyse", mine)
    assert done.exit_code == 0, done.stderr
    plan = load_plan(mine.with_name("talk.plan.json"))
    assert [person.name for person in plan.people] == ["person 1"]
    assert "talk.mp4: 15 frames, 0.6 s, 1 shot, 1 person" in done.stdout
    assert "person 1  0.6 s on screen, restored, from 1 view of the clip" in done.stdout
    assert "talk.plan.json" in done.stdout
    assert leftovers(mine.parent, mine, "talk.plan.json") == []


def test_named_people_and_set_aside_photos_are_told(mine, tmp_path):
    shutil.copytree(PHOTOS, tmp_path / "people" / "eileen")
    (tmp_path / "people" / "eileen" / "torn.jpg").write_bytes(b"no photo at all")
    plan = tmp_path / "p.json"
    done = vidref(
        "analyse", mine, "--refs", tmp_path / "people", "--people", "eileen", "-o", plan
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    assert "eileen  0.6 s on screen, restored, from" in done.stdout
    assert "photo" in done.stdout
    assert "Set aside of eileen: 1 photo (see the plan)." in done.stderr.replace("\n", " ")
    reasons = [item.reason for item in load_plan(plan).people[0].set_aside]
    assert any("torn.jpg" in reason for reason in reasons)


def test_faces_left_alone_are_counted_with_the_reason(mine):
    done = vidref("analyse", mine, "--min-face", "200")
    assert "person 1  0.6 s on screen, left alone" in done.stdout
    assert "left alone: 1 face. The face is too small." in done.stdout


def test_json_is_one_line_for_programs(mine):
    done = vidref("analyse", mine, "--json")
    facts = json.loads(done.stdout)
    assert facts["plan"] == str(mine.with_name("talk.plan.json"))
    assert facts["frames"] == 15
    (person,) = facts["people"]
    assert person["seconds"] == pytest.approx(0.6)
    assert person["tracks"] == person["restored_tracks"] == 1


def test_quiet_prints_nothing(mine):
    done = vidref("analyse", mine, "--quiet")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")


def test_a_sheet_shows_each_person(mine, tmp_path):
    import numpy as np
    from PIL import Image

    shutil.copytree(PHOTOS, tmp_path / "people" / "eileen")
    done = vidref("analyse", mine, "--refs", tmp_path / "people", "--sheet", tmp_path / "sheets")
    assert done.exit_code == 0, done.stderr
    (sheet,) = (tmp_path / "sheets").iterdir()
    assert sheet.name == "eileen.p1.png"
    with Image.open(sheet) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[1] == 1200
    green = (pixels == (47, 125, 79)).all(-1)
    assert green.any(1).sum() >= 18, "the track's bar"
    assert green.any(0).mean() > 0.9, "it runs through the whole clip"


def test_the_sheet_of_somebody_who_has_no_reference_shows_them_all_the_same(mine, tmp_path):
    import numpy as np
    from PIL import Image

    assert vidref("analyse", mine, "--quiet").exit_code == 0
    plan = load_plan(mine.with_name("talk.plan.json"))
    nobody_chosen = [replace(person, references=(), set_aside=()) for person in plan.people]
    (sheet,) = draw_sheets(replace(plan, people=tuple(nobody_chosen)), mine, tmp_path / "sheets")
    (frame, *_) = frames_of([Portrait()], 15)
    with Image.open(sheet) as picture:
        crop = np.asarray(picture.convert("RGB"), float)[-300:, 24:224]
    levels = crop[crop.std(-1) > 4]
    assert len(levels) > 10_000, "a face, not an empty frame"
    assert np.abs(levels.mean(0) - frame.reshape(-1, 3).mean(0)).max() < 60


def test_a_plan_that_may_have_been_edited_is_not_overwritten(mine):
    plan = mine.with_name("talk.plan.json")
    plan.write_text("mine")
    done = vidref("analyse", mine)
    assert done.exit_code == 2
    assert is_one_sentence(done.stderr)
    assert "--overwrite" in done.stderr
    assert plan.read_text() == "mine"
    assert vidref("analyse", mine, "--overwrite").exit_code == 0
    assert load_plan(plan).people


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.mp4"], "does not exist"),
        (["-"], "Standard input"),
        (["talk.mp4", "--refs", "nowhere"], "nowhere"),
        (["talk.mp4", "--people", "bob"], "--refs"),
        (["talk.mp4", "-o", "no/such/folder/plan.json"], "does not exist"),
        (["talk.mp4", "-o", "talk.mp4"], "the clip itself"),
        (["talk.mp4", "-o", "/proc/plan.json"], "Nothing can be written in /proc"),
        (["talk.mp4", "--faces", "./nowhere"], "check the path"),
        (["talk.mp4", "--start", "9"], "ends before --start"),
        (["talk.mp4", "--detect-every", "0"], "detect_every"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(mine, monkeypatch, arguments, says):
    monkeypatch.chdir(mine.parent)
    done = vidref("analyse", *arguments)
    assert done.exit_code == 2
    assert is_one_sentence(done.stderr), done.stderr
    assert says in done.stderr
    assert leftovers(mine.parent, mine) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused_before_the_clip_is_read(mine):
    mine.parent.chmod(0o555)
    try:
        done = vidref("analyse", mine)
    finally:
        mine.parent.chmod(0o755)
    assert done.exit_code == 2
    assert "Nothing can be written" in done.stderr


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seconds of work."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return write_pictures(path, frames_of([Portrait(step=(0.4, 0.1))], 200))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_leaves_no_plan_and_no_obstacle(long, tmp_path, how):
    source = Path(shutil.copy(long, tmp_path / "long.mp4"))
    running = subprocess.Popen(
        command("analyse", source, "--json"), stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        env=environment(OMP_NUM_THREADS="1"), start_new_session=True,
    )  # fmt: skip
    assert running.stderr is not None
    running.stderr.readline()  # the first word of progress
    time.sleep(0.1)
    assert running.poll() is None
    running.send_signal(how)
    running.communicate(timeout=60)
    assert running.returncode != 0
    assert leftovers(tmp_path, source) == []
    assert vidref("analyse", source, "--preview", "0.2").exit_code == 0


def test_help_names_every_option():
    done = vidref("analyse", "--help")
    for option in (
        *("--refs", "--output", "--sheet", "--people", "--min-face", "--max-faces"),
        *("--detect-every", "--faces", "--start", "--end", "--preview", "--json", "--quiet"),
    ):
        assert option in done.stdout
