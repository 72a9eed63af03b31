"""Whole processes from the outside: a small audit beside `import torch`, `--help` beside `import typer, rich`."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 9
GRADAUDIT = str(Path(sys.executable).parent / "gradaudit")
SMALL = ["check", "--logits", "0.1, 2", "--function", "softmax", "--upstream", "per_output"]

PAIRS = (
    ("gradaudit check, small case, 3 backends", [GRADAUDIT, *SMALL], "import torch", 1.25),
    ("gradaudit --help", [GRADAUDIT, "--help"], "import typer, rich", 2.0),
)


def seconds(command: list[str]) -> float:
    """Wall-clock seconds of one run."""
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    return time.perf_counter() - begun


def main() -> None:
    """Print the median seconds of both sides of each pair and their ratio."""
    print(f"cold start, median of {RUNS} alternating runs (s)")
    for name, command, imports, aim in PAIRS:
        peer = [sys.executable, "-c", imports]
        seconds(command), seconds(peer)
        ours, theirs = zip(*((seconds(command), seconds(peer)) for _ in range(RUNS)), strict=True)
        mine, other = statistics.median(ours), statistics.median(theirs)
        print(f"  {name:<42} {mine:6.3f}   {imports:<20} {other:6.3f}   ratio {mine / other:5.2f}   aim {aim}")
