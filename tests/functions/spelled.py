"""Errors of torch's candidates in units of the tolerance of their spelling.

`python -m tests.functions.spelled` prints the table of docs/numerics.md, "Spellings".
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import torch  # noqa: TID253 (a candidate)

from gradaudit.functions import by_tape, registry
from gradaudit.functions.interface import Spelling
from gradaudit.numerics import arithmetic as arithmetics
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.profile import Profile
from gradaudit.reference.lift import Lift
from gradaudit.reference.truth import Truth
from tests.functions.candidates import CANDIDATES
from tests.oracle import families

PROFILES = {
    "float32": Profile("float32", "float32", "float32", "float32", 1.0, 1.0),
    "bfloat16": Profile("bfloat16", "float32", "bfloat16", "bfloat16", 1.0, 1.0),
}
TORCH = {"float32": torch.float32, "bfloat16": torch.bfloat16}
SIZES = (2, 3, 10, 64)
ROWS = 8

PARAMETERS: dict[str, tuple[dict[str, object], ...]] = {
    "cross_entropy": (
        {"softcap": 30.0},
        {"softcap": 5.0, "z_loss": 1e-4},
        {"z_loss": 0.1},
        {"entropy_regularization": 0.3},
        {"label_smoothing": 0.1},
        {"logit_adjustment": True},
    ),
    "z_loss": ({"coefficient": 1e-4}, {"coefficient": 0.1}),
    "softcap": ({"cap": 30.0}, {"cap": 5.0}),
    "focal": ({"gamma": 2.0}, {"gamma": 1.0, "alpha": True}, {"gamma": 1.5}, {"gamma": 5.0}),
    "poly": ({"epsilon": 1.0}, {"epsilon": -0.7}),
    "kl_divergence": ({},),
    "margin": ({"kind": "additive", "margin": 0.35}, {"kind": "angular", "margin": 0.5, "scale": 30.0}),
}


@dataclass(frozen=True)
class Share:
    """The largest error / tolerance of a case, of its loss and of its gradient, and how much of it is decided."""

    loss: float
    gradient: float
    decided: float


def shares(name: str, spelling: Spelling, own: dict[str, object], dtype: str, logits: np.ndarray) -> Share | None:
    """One case: rows of a family; None where the spelling is not for it, or the dtype's range is left."""
    function = registry.get(name)
    n = logits.shape[1]
    spread = families.weights(n, dtype, 5).astype(np.float64)
    own = own | {key: tuple(spread.tolist()) for key, value in own.items() if value is True}
    parameters = {p.name: p.default for p in function.parameters} | own
    if function.has_row_output:
        parameters["reduction"] = "none"
    if not spelling.applies(parameters):
        return None
    if name == "margin":
        logits = np.tanh(logits.astype(np.float64) / 3.0).astype(logits.dtype)
    soft = function.targets == "probabilities"
    targets = None
    if function.takes_targets:
        targets = families.probabilities(logits, dtype, 1) if soft else families.labels(logits, 1)
    inputs = inputs_of(name, parameters, logits, targets, dtype)
    return compared(inputs, spelling, *_candidate(name, spelling, inputs))


def inputs_of(
    name: str,
    parameters: Mapping[str, object],
    logits: np.ndarray,
    targets: np.ndarray | None,
    dtype: str,
    reading: str = "logits",
) -> Inputs:
    """Inputs with a random upstream gradient and no reduction."""
    shape = logits.shape[:1] if registry.get(name).has_row_output else logits.shape
    call = FunctionCall(name, MappingProxyType(dict(parameters)))
    upstream = families.upstream(shape, dtype, 3)
    return Inputs(call, dtype, 1.0, (1,), logits, targets, upstream, False, None, reading=reading)


def _candidate(name: str, spelling: Spelling, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    dtype = TORCH[inputs.dtype]

    def tensor(a: np.ndarray) -> torch.Tensor:
        found = torch.from_numpy(np.array(a.astype(np.float64)))
        return found.to(dtype)

    x = tensor(inputs.logits).requires_grad_(True)
    targets = torch.zeros(len(inputs.logits), dtype=torch.int64)
    if inputs.targets is not None:
        whole = np.issubdtype(inputs.targets.dtype, np.integer)
        targets = torch.from_numpy(inputs.targets.copy()) if whole else tensor(inputs.targets)
    loss = CANDIDATES[name, spelling.name](x, targets, inputs.function.parameters)
    loss.backward(tensor(inputs.upstream))
    assert x.grad is not None
    rows = len(inputs.logits)
    return loss.detach().double().numpy().reshape(rows, -1), x.grad.double().numpy()


def compared(inputs: Inputs, spelling: Spelling, loss: np.ndarray, grad: np.ndarray) -> Share:
    """What a candidate returned, against the exact values."""
    truth = Truth(inputs)
    (block,) = truth.blocks()
    m = BallAlgebra(arithmetics.of_profile(PROFILES[inputs.dtype]))
    rows = Lift(m, truth.parameters, None, truth.elementwise).rows(block.block, None)
    with np.errstate(all="ignore"):
        output: Ball = spelling.output(m, rows)
        gradient = by_tape.gradient(spelling.output, m, rows)
        exact = truth.gradient(block, None)
        pairs = ((loss, block.output, output), (grad, exact, gradient))
        ratios, decided = [], []
        for got, due, allowed in pairs:
            rad = np.where(np.isnan(allowed.rad), np.inf, np.broadcast_to(allowed.rad, due.mid.shape))
            too_large = np.abs(due.mid) + rad >= m.arithmetic.largest
            error = np.maximum(np.abs(got - due.mid) - due.rad, 0.0)
            ratio = np.where((error == 0.0) | np.isinf(rad) | too_large, 0.0, error / rad)
            ratios.append(float(np.where(np.isnan(ratio), np.inf, ratio).max()))
            decided.append(np.mean(rad < np.abs(due.mid)))
    return Share(ratios[0], ratios[1], float(np.mean(decided)))


def cases(name: str, dtype: str, sizes: tuple[int, ...], rows: int) -> Iterator[tuple[dict[str, object], np.ndarray]]:
    """Every set of parameters on every family of logits, of every size, but for logits whose square overflows."""
    largest = np.sqrt(1e37)
    for own in PARAMETERS[name]:
        for n in sizes:
            for _, logits in families.families(dtype, n, rows, 0):
                if np.abs(logits.astype(np.float64)).max() < largest:
                    yield own, logits


def main() -> None:
    """The table, a row for each spelling."""
    chosen = sys.argv[1:]
    for name, spelling in [(n, s) for n in PARAMETERS for s in registry.get(n).spellings]:
        if chosen and name not in chosen:
            continue
        cells = []
        for dtype in PROFILES:
            found = [shares(name, spelling, own, dtype, z) for own, z in cases(name, dtype, SIZES, ROWS)]
            kept = [share for share in found if share is not None]
            worst = [max(getattr(share, part) for share in kept) for part in ("loss", "gradient")]
            middle = [float(np.median([getattr(share, part) for share in kept])) for part in ("loss", "gradient")]
            decided = float(np.mean([share.decided for share in kept]))
            cells += [f"{w:.3f} / {v:.3f}" for w, v in zip(worst, middle, strict=True)] + [f"{decided:.0%}"]
            count = len(kept)
        print(f"| {name}: {spelling.name} | " + " | ".join(cells) + f" | {count} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
