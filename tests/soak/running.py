"""A soak over processes: outcomes as JSON lines, taken up again where it stopped, and summed up."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from tests.soak.audits import Outcome, soaked
from tests.soak.strata import strata

LEAST = 200
"""Cases of every stratum in a whole soak."""
REPORT_EVERY = 10.0


def run_part(folder: Path, part: int, parts: int, cases: int, seed: int) -> None:
    """Every `parts`-th case from `part` on, but those whose outcome is there already."""
    torch.set_num_threads(1)
    every = strata()
    path = folder / f"part-{part}.jsonl"
    done = {outcome.index for outcome in outcomes(folder)}
    left = [index for index in range(part, cases, parts) if index not in done]
    begun, told = time.monotonic(), time.monotonic()
    cut = path.is_file() and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" if cut else "")  # the line that was being written when the run was stopped
        for count, index in enumerate(left, start=1):
            started = time.perf_counter()
            outcome = soaked(index, seed, every)
            line = {**asdict(outcome), "seconds": round(time.perf_counter() - started, 4)}
            file.write(json.dumps(line) + "\n")
            file.flush()
            now = time.monotonic()
            if now - told > REPORT_EVERY or count == len(left):
                told = now
                rate = count / max(now - begun, 1e-9)
                sys.stderr.write(f"part {part}: {count:,} of {len(left):,} cases, {rate:.0f} a second\n")


def outcomes(folder: Path) -> Iterator[Outcome]:
    """What every part has written; a line that was cut short is left out."""
    for path in sorted(folder.glob("part-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                fields = json.loads(line)
            except ValueError:
                continue
            fields.pop("seconds", None)
            fields["alarms"], fields["caught"] = tuple(fields["alarms"]), tuple(fields["caught"])
            yield Outcome(**fields)


def summed_up(found: Iterable[Outcome], command: str, seed: int) -> dict[str, object]:
    """The figures of a soak."""
    found = list(found)
    evaluated = [each for each in found if not each.skipped]
    by_stratum = Counter(each.stratum for each in evaluated)
    spoilt = [each for each in evaluated if each.planted is not None]
    alarmed = [each for each in evaluated if each.alarms]
    missed = [each for each in spoilt if not each.caught]
    fewest = min(by_stratum.items(), key=lambda item: item[1], default=("", 0))
    return {
        "command": command,
        "seed": seed,
        "cases": len(evaluated),
        "not offered by the backend": len(found) - len(evaluated),
        "strata": len(by_stratum),
        "fewest cases of a stratum": fewest[1],
        "that stratum": fewest[0],
        "classes": [
            min((each.classes for each in evaluated), default=0),
            max((each.classes for each in evaluated), default=0),
        ],
        "false alarms": len(alarmed),
        "false alarms by code": dict(Counter(code for each in alarmed for code in each.alarms)),
        "faults planted": len(spoilt),
        "faults planted by kind": dict(sorted(Counter(str(each.planted) for each in spoilt).items())),
        "faults missed": len(missed),
        "first false alarms": [f"{each.index}: {each.stratum}: {each.alarms} {each.text}" for each in alarmed[:50]],
        "first faults missed": [f"{each.index}: {each.stratum}: {each.planted}" for each in missed[:50]],
    }
