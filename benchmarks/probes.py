"""What the standard probes cost: a torch loss of 128 x 256 with them and without, on a worker that is up already."""

import statistics
import time
from collections.abc import Callable

RUNS = 5
AIM = 1.0
SPEC = """
version: 1
name: a loss of one's own
function: cross_entropy
logits: {random: {shape: [128, 256], scale: 3.0, seed: 42}}
targets: {random: {seed: 1}}
subjects:
  - torch: torch.nn.functional:cross_entropy
probes: PROBES
"""


def auditor(probes: str) -> tuple[Callable[[], int], Callable[[], None]]:
    """A function that audits the loss once and returns how many evaluations it made, and one that ends its worker."""
    from gradaudit import pipeline
    from gradaudit.specs.loading import load_text

    cases = load_text(SPEC.replace("PROBES", probes), "benchmark.yaml")
    settings = pipeline.Settings()
    pool = pipeline.worker_pool(settings)
    subjects = [subject for case in cases for subject in case.subjects]
    pool.warm((), subjects)
    pool.states((), subjects)  # waits for the framework

    def run() -> int:
        report = pipeline.audit(cases, settings, None, pool)
        return sum(len(case.measurements) for case in report.cases)

    return run, lambda: pool.__exit__(None, None, None)


def main() -> None:
    """Print the median seconds of both, and what the probes add."""
    sides = {probes: auditor(probes) for probes in ("none", "standard")}
    taken: dict[str, list[float]] = {probes: [] for probes in sides}
    busy: dict[str, list[float]] = {probes: [] for probes in sides}
    counts = {probes: run() for probes, (run, _) in sides.items()}  # the first run imports what the others have
    for _ in range(RUNS):
        for probes, (run, _) in sides.items():
            begun, worked = time.perf_counter(), time.process_time()
            run()
            taken[probes].append(time.perf_counter() - begun)
            busy[probes].append(time.process_time() - worked)
    for _, end in sides.values():
        end()
    none, standard = (statistics.median(taken[probes]) for probes in ("none", "standard"))
    cpu = {probes: statistics.median(seconds) for probes, seconds in busy.items()}
    print(f"probes on a 128 x 256 torch loss, beyond the worker's start, median of {RUNS} alternating runs (s)")
    print(f"  probes: none       {none:6.3f}   (CPU of the auditor {cpu['none']:.3f})   {counts['none']} evaluations")
    print(
        f"  probes: standard   {standard:6.3f}   (CPU of the auditor {cpu['standard']:.3f})   "
        f"{counts['standard']} evaluations   aim {AIM}"
    )
    print(f"  the probes alone   {standard - none:6.3f}")
