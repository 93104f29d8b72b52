"""Times commands that only list, against the bare imports that they need.

python benchmarks/startup.py

Both are timed as whole processes, interleaved, with bytecode already compiled.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

BARE = "import typer, rich.console, rich.table, pydantic, pluggy, yaml"
COMMANDS = ["--help", "plugins list", "recipes", "datasets", "config show image/dcgan", "runs"]
ROUNDS = 15


def main() -> None:
    """Print the medians of interleaved runs, and their ratios to the bare imports."""
    program = [str(Path(sys.executable).with_name("aigc"))]
    commands = {"bare imports": [sys.executable, "-c", BARE]}
    commands |= {f"aigc {words}": [*program, *words.split()] for words in COMMANDS}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if number:  # the first round fills caches
                seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        print(f"{name:28} {median:.3f} s   {median / medians['bare imports']:.2f} x")


if __name__ == "__main__":
    main()
