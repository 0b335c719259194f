"""`vidref restore` on clips with faces, judged by what it writes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.clips import SRT, Colour, remux, write_clip, write_photo, write_text
from tests.stand_in import save_stand_in
from tests.tool import (
    ROOT,
    Done,
    command,
    environment,
    is_one_sentence,
    leftovers,
    process,
    vidref,
)
from vidref.faces.mask import region_of
from vidref.media.segment_encoder import SegmentEncoder
from vidref.pipeline.plan_file import load_plan

SAMPLE = ROOT / "samples" / "clip.mp4"
PERSON = ROOT / "samples" / "person"
SECONDS = 1.2


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_stand_in(tmp_path_factory.mktemp("model") / "stand-in")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A little of the sample in five groups of pictures."""
    path = tmp_path_factory.mktemp("source") / "clip.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", SAMPLE, "-t", str(SECONDS), "-s", "480x360",
         "-g", "6", "-bf", "2", path],
        check=True,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def plan(source: Path) -> Path:
    path = source.with_name("plan.json")
    done = vidref("analyse", source, "--refs", PERSON, "-o", path)
    assert done.exit_code == 0, done.stderr
    return path


@pytest.fixture(scope="module")
def arguments(source: Path, plan: Path, model: Path) -> list[str | Path]:
    return ["restore", source, "--plan", plan, "--model", model, "--quiet"]


def frames_of(path: Path) -> list[tuple[int, list[np.ndarray]]]:
    """Each frame's pts and planes, without the padding of their rows."""
    with av.open(str(path)) as container:
        return [
            (frame.pts, [_samples(plane) for plane in frame.planes])
            for frame in container.decode(video=0)
        ]


def _samples(plane: av.video.plane.VideoPlane) -> np.ndarray:
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width].copy()


def same_frames(one: Path, other: Path) -> bool:
    first, second = frames_of(one), frames_of(other)
    return len(first) == len(second) and all(
        all(map(np.array_equal, planes, others))
        for (_, planes), (_, others) in zip(first, second, strict=True)
    )


def test_only_the_faces_change_and_everything_else_keeps_every_sample(
    arguments: list[str | Path], source: Path, plan: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"
    assert vidref(*arguments, "-o", output, "--lossless").exit_code == 0
    faces, changed = load_plan(plan), 0
    before, after = frames_of(source), frames_of(output)
    assert len(before) == len(after)
    for (pts, planes), (_, restored) in zip(before, after, strict=True):
        height, width = planes[0].shape
        for one, other in zip(planes, restored, strict=True):
            moved, part = one != other, height // one.shape[0]
            for face in faces.faces_at(pts):
                left, top, right, bottom = region_of(face.placement, (width, height))
                inside = (
                    slice(top // part, -(-bottom // part)),
                    slice(left // part, -(-right // part)),
                )
                changed += int(moved[inside].sum())
                moved[inside] = False
            assert not moved.any()
    assert changed > 50_000


def test_queues_segments_and_cores_leave_no_trace_in_the_picture(
    arguments: list[str | Path], tmp_path: Path
) -> None:
    variants = {
        "usual": {},
        "short": {"job": {"segment_s": 0.5}},
        "narrow": {"queue_frames": 1, "model": {"batch": 1}},
        "one core": {"threads": 1},
        "more": {"threads": 5},
    }
    for name, settings in variants.items():
        config = tmp_path / f"{name}.yaml"
        config.write_text(json.dumps(settings))
        done = vidref(*arguments, "--lossless", "-o", tmp_path / f"{name}.mkv", "--config", config)
        assert done.exit_code == 0, done.stderr
    for name in variants:
        assert same_frames(tmp_path / "usual.mkv", tmp_path / f"{name}.mkv"), name


SHORT = "job: {segment_s: 0.24}\n"
KILLS = 20


def interrupted(run: list[str | Path], job: Path, by: signal.Signals) -> tuple[int, str]:
    """Begin a job in a process of its own, and end that as soon as two segments are there."""
    started = subprocess.Popen(command(*run), env=environment(), stderr=subprocess.PIPE)
    while started.poll() is None and len(list(job.glob("*.segment"))) < 3:
        time.sleep(0.01)
    started.send_signal(by)
    _, words = started.communicate(timeout=120)
    return started.returncode, words.decode()


@pytest.mark.slow
def test_a_killed_job_goes_on_and_ends_as_if_nothing_had_happened(
    arguments: list[str | Path], tmp_path: Path
) -> None:
    config = tmp_path / "short.yaml"
    config.write_text(SHORT)
    whole, killed = tmp_path / "whole.mp4", tmp_path / "killed.mp4"
    assert vidref(*arguments, "-o", whole, "--config", config).exit_code == 0
    job, run = tmp_path / ".killed.mp4.vidref-job", [*arguments, "-o", killed, "--config", config]
    interrupted(run, job, signal.SIGKILL)
    assert not killed.exists()
    kept = {path.name for path in job.glob("*.segment")}
    assert len(kept) >= 2
    made_again: list[str] = []
    assert vidref_watched(run, made_again).exit_code == 0
    assert made_again and len(kept.intersection(made_again)) <= 1
    assert killed.read_bytes() == whole.read_bytes()
    assert sidecar_of(killed) == sidecar_of(whole)
    assert not job.exists()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole sample, small, in groups of pictures of a quarter of a second."""
    path = tmp_path_factory.mktemp("lasting") / "clip.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", SAMPLE, "-s", "480x360", "-g", "6", "-bf", "2", path],
        check=True,
    )
    return path


@pytest.mark.slow
def test_twenty_kills_at_random_moments_of_whole_runs_leave_no_trace(
    lasting: Path, model: Path, tmp_path: Path
) -> None:
    """Each run is of one clip, killed at random and run again, from its start-up to its join.

    Every second moment is drawn from the whole run, the others from the time in which segments are
    made: much of a run this short is start-up.
    """
    config, plan = tmp_path / "short.yaml", tmp_path / "plan.json"
    config.write_text(SHORT)
    assert vidref("analyse", lasting, "--refs", PERSON, "-o", plan).exit_code == 0
    more = ["--plan", plan, "--model", model, "--quiet", "--config", config]
    whole, killed = tmp_path / "whole.mp4", tmp_path / "killed.mp4"
    run, job = ["restore", lasting, "-o", killed, *more], tmp_path / ".killed.mp4.vidref-job"
    first_s, usual_s = times_of(["restore", lasting, "-o", whole, *more], whole)
    dice, landed = np.random.default_rng(7), 0
    again, found = [], []

    def made_whole() -> None:
        assert killed.read_bytes() == whole.read_bytes()
        assert same_frames(killed, whole)
        assert sidecar_of(killed) == sidecar_of(whole)
        for path in (killed, killed.with_name(killed.name + ".json")):
            path.unlink()
        shutil.rmtree(job, ignore_errors=True)

    while landed < KILLS:
        if landed % 2:
            was_killed = kill_after(run, dice.uniform(0, usual_s - first_s), job)
        else:
            was_killed = kill_after(run, dice.uniform(0, usual_s))
        if killed.exists():  # it was done a moment before
            made_whole()
            continue
        landed += was_killed
        kept = {path.name for path in job.glob("*.segment")}
        made: list[str] = []
        assert vidref_watched(run, made).exit_code == 0
        found.append(len(kept))
        again.append(len(kept.intersection(made)))
        assert not job.exists()
        made_whole()
    print(f"runs of {usual_s:.1f} s, the first segment begun after {first_s:.1f} s")
    print(f"segments found each time: {found}, of those made again: {again}")
    assert max(again) <= 1 and len({*found}) > 5


def times_of(run: list[str | Path], output: Path) -> tuple[float, float]:
    """Seconds of a run until it begins its first segment, and until it is done."""
    begun, first = time.monotonic(), 0.0
    job = output.with_name(f".{output.name}.vidref-job")
    started = subprocess.Popen(command(*run), env=environment(), stderr=subprocess.DEVNULL)
    while started.poll() is None:
        if not first and [*job.glob("*.segment")]:
            first = time.monotonic() - begun
        time.sleep(0.01)
    assert started.returncode == 0
    return first, time.monotonic() - begun


def kill_after(run: list[str | Path], seconds: float, job: Path | None = None) -> bool:
    """Begin a run and kill it so long after its start, or after the first segment of its job is
    begun, if it is not done by then."""
    started = subprocess.Popen(command(*run), env=environment(), stderr=subprocess.DEVNULL)
    while job is not None and started.poll() is None and not [*job.glob("*.segment")]:
        time.sleep(0.01)
    try:
        started.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        started.send_signal(signal.SIGKILL)
        started.wait()
        return True


def vidref_watched(run: list[str | Path], made: list[str]) -> Done:
    """The same run in this process, telling which segments it makes."""

    class Watched(SegmentEncoder):
        def __init__(self, path: Path, *more: object) -> None:
            made.append(path.name)
            super().__init__(path, *more)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vidref.pipeline.segment_stream.SegmentEncoder", Watched)
        return vidref(*run)


def sidecar_of(output: Path) -> dict:
    return json.loads(output.with_name(output.name + ".json").read_text())


def test_after_ctrl_c_the_job_goes_on_but_never_under_other_settings(
    arguments: list[str | Path], tmp_path: Path
) -> None:
    config, output = tmp_path / "short.yaml", tmp_path / "out.mp4"
    config.write_text(SHORT)
    run = [*arguments, "-o", output, "--config", config]
    job = tmp_path / ".out.mp4.vidref-job"
    code, words = interrupted(run, job, signal.SIGINT)
    assert code not in (0, 1) and "Traceback" not in words and not output.exists()
    finished = {path.name for path in job.glob("*.segment")}
    assert finished
    done = vidref(*run, "--seed", "7")
    assert done.exit_code == 2
    assert is_one_sentence(done.stderr) and "seed" in done.stderr and "--restart" in done.stderr
    assert {path.name for path in job.glob("*.segment")} == finished
    assert vidref(*run).exit_code == 0
    assert "seed 2024" in tags_of(output) and not job.exists()
    other = ["--seed", "7", "--end", "0.3", "--overwrite", "--restart"]
    assert vidref(*run, *other).exit_code == 0
    assert "seed 7" in tags_of(output)


def tags_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return " ".join(container.metadata.values())


def test_the_file_and_its_sidecar_say_what_was_done(
    arguments: list[str | Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    assert vidref(*arguments, "-o", output, "--seed", "5").exit_code == 0
    said = tags_of(output)
    assert "restored by vidref" in said and "seed 5" in said and "stand-in" in said
    told = sidecar_of(output)
    assert "grain 0" in said and told["settings"]["grain"] == 0
    (person,) = told["people"]
    assert person["name"] == "person" and person["restored"]
    photos = [r["sha256"] for r in person["references"] if "sha256" in r]
    assert photos and all(sha[:12] in said for sha in photos)
    assert person["identity"]["looks"] == len(person["looks"]) == 2
    assert -1 <= person["identity"]["after"] <= 1
    assert leftovers(tmp_path, output, "out.mp4.json") == []


def test_a_file_where_the_sidecar_belongs_is_not_replaced(
    arguments: list[str | Path], tmp_path: Path
) -> None:
    output, beside = tmp_path / "out.mp4", tmp_path / "out.mp4.json"
    beside.write_text('{"mine": 1}')
    done = vidref(*arguments, "-o", output)
    assert done.exit_code == 2 and is_one_sentence(done.stderr) and beside.name in done.stderr
    assert beside.read_text() == '{"mine": 1}' and leftovers(tmp_path, beside) == []


def test_the_seed_and_the_noise_change_the_face_and_the_strength_takes_it_back(
    arguments: list[str | Path], source: Path, tmp_path: Path
) -> None:
    span = ["--lossless", "--end", "0.4"]
    more = {
        "usual": [],
        "seed": ["--seed", "9"],
        "noise": ["--noise", "independent"],
        "off": ["--strength", "0"],
    }
    for name, flags in more.items():
        output = tmp_path / f"{name}.mkv"
        assert vidref(*arguments, "-o", output, *span, *flags).exit_code == 0
    assert not same_frames(tmp_path / "usual.mkv", tmp_path / "seed.mkv")
    assert not same_frames(tmp_path / "usual.mkv", tmp_path / "noise.mkv")
    before, after = frames_of(source), frames_of(tmp_path / "off.mkv")
    assert all(
        np.array_equal(one, other)
        for (_, planes), (_, others) in zip(before, after, strict=False)
        for one, other in zip(planes, others, strict=True)
    )


def test_a_face_that_the_plan_forbids_is_left_alone(
    source: Path, plan: Path, model: Path, tmp_path: Path
) -> None:
    tree = json.loads(plan.read_text())
    for track in tree["tracks"]:
        track["restore"], track["why"] = False, "The editor said so."
    edited, output = plan.with_name("edited.json"), tmp_path / "out.mkv"
    edited.write_text(json.dumps(tree))
    done = vidref("restore", source, "--plan", edited, "--model", model, "-o", output, "--lossless")
    assert done.exit_code == 0
    assert "The editor said so" in done.stderr
    assert same_frames(source, output)


def test_a_clip_without_faces_comes_out_as_it_went_in(model: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "bars.mp4", tmp_path / "out.mkv"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=d=1:s=320x240", source],
        check=True,
    )
    run = ["restore", str(source), "-o", str(output), "--model", str(model), "--lossless"]
    script = (
        "import sys\nfrom vidref.cli.main import main\n"
        f"sys.argv = ['vidref', *{run}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert not {'torch', 'diffusers', 'insightface', 'onnx'} & {*sys.modules}, 'for nothing'"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "No face was found" in done.stderr
    assert same_frames(source, output)
    assert leftovers(tmp_path, source, output) == []


def test_black_and_white_stays_black_and_white(
    plan: Path, model: Path, source: Path, tmp_path: Path
) -> None:
    grey, output = tmp_path / "grey.mp4", tmp_path / "out.mkv"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", source, "-t", "0.6", "-vf", "hue=s=0", grey], check=True
    )
    done = vidref("restore", grey, "-o", output, "--model", model, "--lossless", "--json")
    assert json.loads(done.stdout)["faces"] > 0
    for _, (_, blue, red) in frames_of(output):
        assert (blue == 128).all() and (red == 128).all()


def test_ten_bit_film_is_restored_in_ten_bits(model: Path, source: Path, tmp_path: Path) -> None:
    deep, output = tmp_path / "deep.mkv", tmp_path / "out.mkv"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", source, "-t", "0.6", "-pix_fmt", "yuv420p10le",
         "-c:v", "ffv1", deep],
        check=True,
    )  # fmt: skip
    done = vidref("restore", deep, "-o", output, "--model", model, "--json")
    assert json.loads(done.stdout)["faces"] > 0
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.pix_fmt == "yuv420p10le"
        assert sum(1 for _ in container.decode(stream)) == 15


def test_a_face_on_a_tape_of_oblong_pixels_is_found_in_its_true_proportions(
    model: Path, source: Path, plan: Path, tmp_path: Path
) -> None:
    tape, drawn, output = tmp_path / "tape.mkv", tmp_path / "tape.json", tmp_path / "out.mkv"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", source, "-t", "0.6", "-vf", "scale=330:360,setsar=16/11",
         "-c:v", "ffv1", tape],
        check=True,
    )  # fmt: skip
    assert vidref("analyse", tape, "-o", drawn, "--quiet").exit_code == 0
    oblong, square = load_plan(drawn), load_plan(plan)
    (found,) = oblong.faces_at(oblong.source.first_pts)
    (true,) = square.faces_at(square.source.first_pts)
    assert np.allclose(found.placement.centre_xy, true.placement.centre_xy, atol=6)
    assert abs(found.placement.size_px / true.placement.size_px - 1) < 0.04
    more = ["--plan", drawn, "--model", model, "--json"]
    done = vidref("restore", tape, "-o", output, *more)
    assert json.loads(done.stdout)["faces"] == 15
    left, top, right, bottom = region_of(found.placement, (480, 360))
    (_, before), (_, after) = frames_of(tape)[0], frames_of(output)[0]
    moved = before[0] != after[0]
    inside = slice(top, bottom), slice(int(left * 11 / 16) - 1, int(right * 11 / 16) + 2)
    assert moved[inside].mean() > 0.3
    moved[inside] = False
    assert not moved.any()


def test_a_photo_and_a_folder_of_frames_are_restored_too(
    model: Path, source: Path, tmp_path: Path
) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", source, "-frames:v", "4", frames / "%d.png"], check=True
    )
    photo = tmp_path / "photo.png"
    photo.write_bytes((frames / "1.png").read_bytes())
    more = ["--model", model, "--refs", PERSON, "--json"]
    done = vidref("restore", photo, "-o", tmp_path / "better.png", *more)
    assert done.exit_code == 0 and json.loads(done.stdout)["faces"] == 1
    assert (tmp_path / "better.png").read_bytes() != photo.read_bytes()
    assert (tmp_path / "better.png.json").exists()
    done = vidref("restore", frames, "-o", tmp_path / "out", *more)
    assert done.exit_code == 0 and json.loads(done.stdout)["faces"] == 4
    assert leftovers(tmp_path / "out", "1.png", "2.png", "3.png", "4.png") == []


def test_texture_is_drawn_in_a_photo_and_can_be_left_out(source: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    take = ["-frames:v", "1", "-vf", "scale=160:-2,scale=960:-2", photo]
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, *take], check=True)
    for name, flags in {"usual": [], "all": ["--grain", "1"], "none": ["--grain", "0"]}.items():
        done = vidref("restore", photo, "-o", tmp_path / f"{name}.png", *flags)
        assert done.exit_code == 0, done.stderr
        assert sidecar_of(tmp_path / f"{name}.png")["settings"]["grain"] == (name != "none")
    usual, every, none = (cv2.imread(str(tmp_path / f"{n}.png")) for n in ("usual", "all", "none"))
    assert np.array_equal(usual, every)
    drawn = usual.astype(int) - none
    assert 1 < np.abs(drawn).max() < 40
    # texture, and not another face
    assert np.abs(cv2.blur(drawn.astype(np.float32), (15, 15))).max() < 3


def test_what_cannot_work_is_refused_before_any_work(
    source: Path, model: Path, plan: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "nobody"
    empty.mkdir()
    strange = save_stand_in(tmp_path / "strange", recogniser_sha256="0" * 64)
    output = tmp_path / "out.mp4"
    refused = {
        "Standard input": ["-", "--model", model],
        "no photos": [source, "--refs", empty, "--model", model],
        "another recogniser": [source, "--plan", plan, "--model", strange],
        "check the path": [source, "--model", tmp_path / "gone.pth"],
        "is no device": [source, "--model", model, "--device", "toaster"],
        "face pack": [source, "--model", model, "--faces", "unheard-of"],
        "another file": [SAMPLE, "--plan", plan, "--model", model],
    }
    for words, flags in refused.items():
        done = vidref("restore", *flags, "-o", output, "--quiet")
        assert done.exit_code == 2, words
        assert is_one_sentence(done.stderr) and words in done.stderr, done.stderr
    assert leftovers(tmp_path, empty, strange) == []


def test_a_container_that_cannot_hold_a_stream_is_refused_before_any_work(
    source: Path, model: Path, tmp_path: Path
) -> None:
    lines = write_text(tmp_path / "lines.srt", SRT)
    talk = remux(source, tmp_path / "talk.mkv", "-i", lines)
    for more in ([], ["--dry-run"]):
        done = vidref("restore", talk, "--model", model, "-o", tmp_path / "out.mp4", *more)
        assert done.exit_code == 2
        assert is_one_sentence(done.stderr) and "subrip" in done.stderr, done.stderr
    assert leftovers(tmp_path, lines, talk) == []


def test_pictures_that_cannot_be_converted_are_refused_before_any_work(
    model: Path, tmp_path: Path
) -> None:
    odd = write_clip(tmp_path / "odd.mkv", colour=Colour(1, 1, 8, False), frames=3)
    frames = tmp_path / "frames"
    frames.mkdir()
    write_photo(frames / "1.png")
    subprocess.run(
        ["ffmpeg", "-v", "error", "-i", frames / "1.png", "-pix_fmt", "gbrpf32le",
         frames / "2.exr"],
        check=True,
    )  # fmt: skip
    for source, output, words in ((odd, "out.mkv", "matrix 8"), (frames, "out", "2.exr")):
        done = vidref("restore", source, "--model", model, "-o", tmp_path / output)
        assert done.exit_code == 2
        assert is_one_sentence(done.stderr) and words in done.stderr, done.stderr
    assert leftovers(tmp_path, odd, frames) == []


@pytest.mark.slow
def test_a_restored_clip_goes_into_a_pipe(arguments: list[str | Path], tmp_path: Path) -> None:
    done = process(*arguments, "--end", "0.4", "-o", "-")
    assert done.exit_code == 0, done.stderr
    piped = tmp_path / "piped.mkv"
    piped.write_bytes(done.piped)
    assert len(frames_of(piped)) == 10
