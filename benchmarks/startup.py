"""How long commands that only list take, from the shell's point of view.

python benchmarks/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ["--help", "plugins list", "recipes", "datasets", "config show image/dcgan", "runs"]


def main() -> None:
    """Print the median of seven interleaved runs of each command."""
    seconds: dict[str, list[float]] = {command: [] for command in COMMANDS}
    for _ in range(7):
        for command in COMMANDS:
            start = time.perf_counter()
            subprocess.run(
                [Path(sys.executable).with_name("aigc"), *command.split()],
                check=True,
                capture_output=True,
            )
            seconds[command].append(time.perf_counter() - start)
    for command, values in seconds.items():
        print(f"aigc {command:25} {statistics.median(values):.2f} s (up to {max(values):.2f})")


if __name__ == "__main__":
    main()
