"""How much of its tolerance row an order of operations takes on a machine."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from gradaudit.records.profile import Profile
from gradaudit.reference import ladder
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.tolerance import Tolerance
from gradaudit.reference.truth import Truth
from tests.measurement.cases import truth
from tests.reference.plain_candidates import (
    GRADIENTS,
    OUTPUTS,
    SMOOTHING,
    WEIGHTS,
    Adversary,
    Given,
    Machine,
    Rounding,
    Step,
    smoothed,
)

U16 = 2.0**-11
LABELS = "cross_entropy of labels"
SMOOTHED = "cross_entropy of smoothed labels"
FUSED_OF_LOG = "fused of log p"
UNTRIED = {("output", SMOOTHED, "renormalised"), *((each, SMOOTHED, FUSED_OF_LOG) for each in ("output", "gradient"))}
"""The fused loss of log p has labels alone, and the smoothed one of p / sum p one sum, where two are charged."""
MACHINES: dict[str, list[Machine]] = {
    "float16": [Rounding("float16")],
    "adversary": [Adversary(U16, 2.0 * U16, seed) for seed in range(8)],
}
STEPS: dict[tuple[str, str, str, str], Step] = {
    (quantity, function, row, order): step
    for quantity, table in (("output", OUTPUTS), ("gradient", GRADIENTS))
    for (function, row), orders in table.items()
    for order, step in orders.items()
}
STEPS |= {
    (quantity, name, row, order): smoothed(step) if name == SMOOTHED else step
    for name in (LABELS, SMOOTHED)
    for (quantity, function, row, order), step in STEPS.items()
    if function == "cross_entropy" and (quantity, name, row) not in UNTRIED
}
"""By quantity, function, tolerance row and order of the operations."""

ASKED_FOR = {
    "shifted": ("fused", "quotient"),
    "shifted, p = exp(log p)": ("fused", "exp_log"),
    "p = exp(x - logsumexp)": ("fused", "exp_lse"),
    FUSED_OF_LOG: ("renormalised, or fused of log p", "quotient"),
}
"""Tolerance rows that are not named after their formulation: formulation and probabilities that lead to them."""


def profile(dtype: str, **changes: object) -> Profile:
    """Everything in one format, exp and log within one unit in the last place."""
    return replace(Profile(dtype, dtype, dtype, dtype, 1.0, 1.0), **changes)  # type: ignore[arg-type]


def declared_row(function: str, name: str, given: Profile) -> ToleranceRow:
    """The row of that name, at the declared precision."""
    formulation, probabilities = ASKED_FOR.get(name, (name, given.probabilities))
    rows = ladder.rows(function, formulation, replace(given, probabilities=probabilities))
    (found,) = (row for row in rows if row.formulation == name and not row.weaker)
    return found


def shares_of(found: Truth, row: ToleranceRow, quantity: str, got: np.ndarray) -> np.ndarray:
    """Errors as shares of their tolerance, [rows, n or 1]; 0 where the tolerance is infinite."""
    tolerance, shares = Tolerance(found, row), []
    for block in found.blocks():
        bounds = tolerance.block(block)
        exact = block.output if quantity == "output" else found.gradient(block, None)
        bound = (tolerance.output(bounds) if quantity == "output" else tolerance.gradient(bounds, None)).values
        part = got[block.block.start : block.block.stop].astype(np.float64)
        low = 0.0 if exact.low is None else exact.low
        with np.errstate(invalid="ignore"):
            shares.append(np.where(np.isinf(bound), 0.0, np.abs((part - exact.mid) - low) / bound))
    return np.concatenate(shares)


def gradient_shares(found: Truth, row: ToleranceRow, got: np.ndarray) -> np.ndarray:
    return shares_of(found, row, "gradient", got)


def problem(function: str, seed: int, rows: int = 900, n: int = 3) -> tuple[Truth, Given]:
    """float16 rows of every spread, random upstream and targets, with the same arrays as float64.

    The targets of cross entropy are probabilities, half of them one-hot; of `LABELS` and `SMOOTHED` class indices
    with class weights.
    """
    generator = np.random.default_rng(seed)
    scale = generator.choice([0.3, 1.0, 2.0], (rows, 1))
    logits = (generator.standard_normal((rows, n)) * scale).astype(np.float16)
    wide = function in {"softmax", "log_softmax"}
    upstream = generator.standard_normal((rows, n if wide else 1)).astype(np.float16)
    labels = generator.integers(0, n, rows)
    mass = generator.dirichlet(np.ones(n), rows).astype(np.float16)
    mass[::2] = np.eye(n, dtype=np.float16)[labels][::2]
    options: dict[str, object] = {}
    if function in {LABELS, SMOOTHED}:
        mass = np.eye(n, dtype=np.float16)[labels]
        options = {"targets": labels, "weight": WEIGHTS, "label_smoothing": SMOOTHING * (function == SMOOTHED)}
        mass = mass * WEIGHTS if function == LABELS else mass
    elif function == "cross_entropy":
        options = {"targets": mass.astype(np.float64)}
    given = Given(*(part.astype(np.float64) for part in (logits, upstream, mass)))
    name = function.partition(" ")[0]
    return truth(name, logits, "float16", upstream=upstream if wide else upstream[:, 0], **options), given


@cache
def worst_share(quantity: str, function: str, row: str, order: str, machine: str) -> float:
    """The largest share of its row that one order of the operations takes on a kind of machine."""
    found, given = problem(function, seed=31)
    admitting = declared_row(found.function.name, row, profile("float16"))
    worst = 0.0
    for each in MACHINES[machine]:
        with np.errstate(all="ignore"):
            got = STEPS[quantity, function, row, order](each, given)
        shares = shares_of(found, admitting, quantity, got)
        # Where g / p overflows there is no number to judge.
        shares = shares[np.isfinite(shares)]
        assert shares.size >= 890
        worst = max(worst, float(shares.max()))
    return worst
