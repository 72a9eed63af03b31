"""`python -m tests.soak`: sound cases by the hundred thousand, and a planted fault for every tenth of them.

    python -m tests.soak --cases 120000 --processes 2 --folder soak

Every case is drawn from the seed and its own number, so a run that was stopped goes on where it was (the folder holds
what is done), and `--only N` audits one case again. summary.json in the folder holds the figures and the command.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from tests.soak.running import LEAST, outcomes, run_part, summed_up


def main() -> int:
    """Run, sum up, and exit 1 where sound code was accused or a fault missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--cases", type=int, default=0, help=f"default: 100,000, and {LEAST} of every stratum")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20261123)
    parser.add_argument("--folder", type=Path, default=Path("soak"))
    parser.add_argument("--only", type=int, help="audit this one case and print its outcome")
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only is not None:
        return _one(given.only, given.seed)
    from tests.soak.strata import strata

    count = len(strata())
    # A whole number of rounds over the strata, of which one in ten plants faults.
    cases = given.cases or -(-max(100_000, LEAST * count) // count) * count
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.part is not None:
        run_part(given.folder, given.part, given.processes, cases, given.seed)
        return 0
    began = time.monotonic()
    arguments = [sys.executable, "-m", "tests.soak", *sys.argv[1:]]
    parts = [
        subprocess.Popen([*arguments, "--cases", str(cases), "--part", str(part)]) for part in range(given.processes)
    ]
    failed = [part.wait() for part in parts]
    command = " ".join(["python", "-m", "tests.soak", *sys.argv[1:]])
    summary = summed_up(outcomes(given.folder), command, given.seed)
    summary["seconds of this run"] = round(time.monotonic() - began)
    path = given.folder / "summary.json"
    path.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(path.read_text(encoding="utf-8"))
    return int(any(failed) or summary["false alarms"] != 0 or summary["faults missed"] != 0)


def _one(index: int, seed: int) -> int:
    from tests.soak.audits import soaked
    from tests.soak.strata import strata

    sys.stdout.write(f"{soaked(index, seed, strata())}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
