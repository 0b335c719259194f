"""An encoder's frame numbers become the source's timestamps, whatever the encoder says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import judge
from tests.clips import Sound, write_clip
from tests.tool import PASS, vidref
from vidref.media.packet_times import PacketTimes

SHOWN = [0, 33, 67, 70, 200]


def _times(*packets: tuple[int, int | None]) -> list[tuple[int, int]]:
    """(pts, dts) of packets for which an encoder said (frame number, decoding number)."""
    times = PacketTimes()
    for pts in SHOWN:
        times.push(pts, 33)
    return [times.of(number, decoded)[:2] for number, decoded in packets]


def test_reordered_frames_are_decoded_in_order_and_shown_at_their_own_times() -> None:
    found = _times((0, -2), (3, -1), (2, 0), (1, 1), (4, 2))
    assert found == [(0, -66), (70, -33), (67, 0), (33, 33), (200, 67)]


@pytest.mark.parametrize("garbage", [-(1 << 63), (1 << 63) - 1, 77, -4000, None])
def test_an_impossible_decoding_time_is_not_believed(garbage: int | None) -> None:
    assert _times((0, garbage), (1, garbage)) == [(0, 0), (33, 33)]


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_very_short_hevc_clip_goes_through(frames: int, tmp_path: Path) -> None:
    judge.require_tools("ffprobe")
    params = {"x265-params": "log-level=none:pools=1"}
    source = write_clip(
        tmp_path / "in.mkv", codec="libx265", options=params, frames=frames, sounds=[Sound("mp2")]
    )
    for attempt in range(3):  # the encoder's uninitialised numbers are not always wrong
        output = tmp_path / f"{attempt}.mkv"
        done = vidref(*PASS, source, "-o", output)
        assert done.exit_code == 0, done.stderr
        assert judge.probe(output).times == judge.probe(source).times
