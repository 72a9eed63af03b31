"""Enclosure + tolerance + measurement of a cross entropy, in process, beside torch computing it.

The gradient that is audited is torch's own. torch gets one thread, and so does the audit. Times are CPU seconds, the
median of alternating runs; memory is what the audit allocates beyond its memory-mapped files.
"""

import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np

RUNS = 7
SIZES = ((128, 256), (1024, 32000))
PARAMETERS = {
    "temperature": 1.0,
    "logit_scale": 1.0,
    "masked_classes": (),
    "reduction": "mean",
    "label_smoothing": 0.0,
    "weight": None,
    "ignore_index": -100,
}


def prepare(folder: Path, rows: int, classes: int) -> None:
    """Write logits, labels, torch's loss and its gradient as .npy files."""
    import torch
    from torch.nn import functional

    torch.manual_seed(42)
    logits = (torch.randn(rows, classes) * 3.0).requires_grad_()
    labels = torch.randint(0, classes, (rows,))
    loss = functional.cross_entropy(logits, labels)
    loss.backward()
    assert logits.grad is not None
    arrays = {
        "logits": logits.detach().numpy(),
        "labels": labels.numpy(),
        "loss": loss.detach().numpy(),
        "gradient": logits.grad.numpy(),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def audit_of(folder: Path, *, spot_check: bool = True) -> Callable[[], object]:
    """A function that audits the prepared gradient from its files."""
    from gradaudit.backends import torch as backend
    from gradaudit.measurement.evaluation import measure
    from gradaudit.records.evaluation import Evaluation, EvaluationKey
    from gradaudit.records.function_call import FunctionCall
    from gradaudit.records.inputs import Inputs
    from gradaudit.reference.truth import Truth

    logits, labels, loss, gradient = (
        np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("logits", "labels", "loss", "gradient")
    )
    call = FunctionCall("cross_entropy", MappingProxyType(PARAMETERS))
    inputs = Inputs(call, "float32", 1.0, (1,), logits, labels, np.float32(1.0).reshape(()), False, None)
    evaluation = Evaluation(EvaluationKey("torch", "torch", "fused", "float32", 1.0), loss, gradient, None, 0.0)
    profile = backend.BACKEND.profile("cross_entropy", "fused", "float32")

    def audit() -> object:
        truth = Truth(inputs)
        if not spot_check:
            truth.spot_checked = 0
        measured = measure(truth, evaluation, profile, "ones")
        assert measured.explanation.explains
        return measured

    return audit


def torch_of(folder: Path) -> Callable[[], object]:
    """A function that computes the loss and its gradient by torch."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    logits = torch.from_numpy(np.load(folder / "logits.npy")).requires_grad_()
    labels = torch.from_numpy(np.load(folder / "labels.npy"))

    def compute() -> object:
        logits.grad = None
        functional.cross_entropy(logits, labels).backward()
        return logits.grad

    return compute


def gradcheck_of(folder: Path) -> Callable[[], object]:
    """torch.autograd.gradcheck(fast_mode=True) on the same logits in float64, which it needs."""
    import torch
    from torch.nn import functional

    logits = torch.from_numpy(np.load(folder / "logits.npy")).double().requires_grad_()
    labels = torch.from_numpy(np.load(folder / "labels.npy"))
    return lambda: torch.autograd.gradcheck(lambda z: functional.cross_entropy(z, labels), (logits,), fast_mode=True)


def medians(sides: list[Callable[[], object]]) -> list[float]:
    """Median CPU seconds of each side, their runs alternating after one warm-up."""
    for side in sides:
        side()
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(RUNS):
        for side, taken in zip(sides, times, strict=True):
            begun = time.process_time()
            side()
            taken.append(time.process_time() - begun)
    return [statistics.median(taken) for taken in times]


def peak_memory(folder: Path) -> float:
    """MiB that an audit allocates at its peak; the memory-mapped files are not counted."""
    audit = audit_of(folder)
    audit()
    tracemalloc.start()
    audit()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 2**20


def main() -> None:
    """Print times, ratios and memory for each size."""
    print(f"cross entropy in float32, one thread, median CPU seconds of {RUNS} alternating runs")
    for rows, classes in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            prepare(folder, rows, classes)
            sides = [audit_of(folder), audit_of(folder, spot_check=False), torch_of(folder)]
            small = rows * classes <= 1 << 16
            if small:
                sides.append(gradcheck_of(folder))
            found = medians(sides)
            print(f"  [{rows}, {classes}]")
            audit, bare, torch_time = found[:3]
            print(f"    audit {audit:.4f} s, without its spot check by arb {bare:.4f} s")
            ratios = f"{audit / torch_time:.1f} ({bare / torch_time:.1f})"
            print(f"    torch forward + backward {torch_time:.4f} s: ratio {ratios}")
            if small:
                check = found[3]
                print(f"    gradcheck, fast mode {check:.4f} s: ratio {audit / check:.2f} ({bare / check:.2f})")
            speed = rows * classes / audit / 1e6
            print(f"    {speed:.0f} M elements/s, peak memory {peak_memory(folder):.0f} MiB")
