"""How large a compare page is beside the clips inside it, and how fast a browser opens it.

    python -m tests.benchmarks.compare_page CLIP [--seconds 60] [--folder DIR]

CLIP is played in a loop until it is long enough; the "before" is the same, badly compressed. The
two clips by themselves are each encoded as the page's copy is (libx264 veryfast, CRF 20, AAC).
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from tests.clips import ffmpeg
from tests.report.browser import Visit, chromium
from vidref.api import compare


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--folder", type=Path)
    wanted = parser.parse_args()
    folder = wanted.folder or Path(tempfile.mkdtemp(prefix="vidref-compare-"))
    before, after, page = folder / "before.mp4", folder / "after.mp4", folder / "page.html"
    looped = ["-stream_loop", "-1", "-i", wanted.clip, "-t", wanted.seconds, "-preset", "ultrafast"]
    if not after.exists():
        ffmpeg(*looped, "-crf", "18", "-c:a", "aac", after)
        ffmpeg("-i", after, "-crf", "36", "-preset", "ultrafast", "-c:a", "copy", before)
    begun = time.monotonic()
    compare(before, after, page, faces="none", overwrite=True)
    made = time.monotonic() - begun
    alone = []
    for clip in (before, after):
        path = folder / f"proxy-{clip.name}"
        how = ["-preset", "veryfast", "-crf", "20", "-g", "25", "-c:a", "aac", "-b:a", "96k"]
        ffmpeg("-i", clip, *how, path)
        alone.append(path.stat().st_size)
    size = page.stat().st_size
    probe = ["ffprobe", "-v", "error", "-show_entries", "stream=width,height,nb_frames"]
    said = subprocess.run([*probe, "-of", "csv=p=0", before], capture_output=True, text=True)
    print("clip (width, height, frames):", said.stdout.split()[0])
    print(f"page {size / 1e6:.2f} MB, made in {made:.1f} s")
    print(f"its two clips, proxied alone: {sum(alone) / 1e6:.2f} MB; page / clips")
    print(f"ratio {size / sum(alone):.3f}")
    with chromium() as browser:
        for width, height, phone in ((1920, 1080, False), (375, 812, True), (1920, 1080, False)):
            begun = time.monotonic()
            visit = Visit(browser, page, width, height, phone, "commit")
            visit.frame(0)
            shown = time.monotonic() - begun
            visit.tab.wait_for_selector("html[data-ready]", state="attached")
            plays = time.monotonic() - begun
            steps = []
            for number in (1, 2, 3, 4, 5):
                begun = time.monotonic()
                visit.press("ArrowRight")
                visit.frame(number)
                steps.append(time.monotonic() - begun)
            print(
                f"{width} px: first frame after {shown:.2f} s, plays after {plays:.2f} s, "
                f"a step {sorted(steps)[2]:.3f} s, "
                f"complaints {visit.complaints}, requests {visit.sent_out()}"
            )
            visit.tab.close()


if __name__ == "__main__":
    main()
