"""How long `vidref --help` takes, against what no click program can go below.

Run by hand: `python -m tests.benchmarks.help_time`. Medians, the commands in turn.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from tests.tool import command, environment

RUNS = 15
WANTED_S = 0.3
COMMANDS = {
    "vidref --help": command("--help"),
    "python -c 'import click'": [sys.executable, "-c", "import click"],
    "python -c pass": [sys.executable, "-c", "pass"],
}


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(arguments, env=environment(), stdout=subprocess.DEVNULL, check=True)
            times[name].append(time.perf_counter() - start)
    print(f"Medians of {RUNS}; wanted: `vidref --help` under {WANTED_S} s.\n")
    print("| command | seconds | ratio to import click |")
    print("|---|--:|--:|")
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        ratio = median / medians["python -c 'import click'"]
        print(f"| `{name}` | {median:.3f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
