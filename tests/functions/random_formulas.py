"""Random formulas over the grammar, and rows to read them on."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from gradaudit.functions.rows import Rows, Targets
from gradaudit.numerics.arb_algebra import ArbAlgebra, ArbArray

PROBABILITIES = ("softmax(z)", "exp(log_softmax(z))", "exp(z) / sum(exp(z))", "exp(z - logsumexp(z))")
LOG_PROBABILITIES = (
    "log_softmax(z)",
    "log(softmax(z))",
    "z - logsumexp(z)",
    "z - max(z) - log(sum(exp(z - max(z))))",
)
VALUES = ("z", "w1", "tanh(z)", "expm1(z / 8)", "sqrt(1 + z ** 2)", "c * z", *PROBABILITIES, *LOG_PROBABILITIES)
ROWS = ("logsumexp(z)", "max(z)", "log(sum(exp(z)))", "mean(z)", "c", "2", "logsumexp(z - max(z)) + max(z)")
CONSTANTS = (("c", 0.3), ("w1", (0.5, 1.5, 0.25, 2.0, 1.0)))


def of_classes(random: np.random.Generator, depth: int) -> str:
    """The text of a value with one number per class."""
    if depth == 0:
        return str(random.choice(VALUES))
    inner, sign = of_classes(random, depth - 1), random.choice(["+", "-", "*"])
    forms = (
        f"-({inner})",
        f"({inner}) {sign} ({of_rows(random, depth - 1)})",
        f"({inner}) {sign} ({of_classes(random, depth - 1)})",
        f"{random.choice(['softmax', 'log_softmax', 'tanh'])}({inner})",
        f"1 - {random.choice(PROBABILITIES)}",
        f"({inner}) ** 2",
    )
    return str(random.choice(forms))


def of_rows(random: np.random.Generator, depth: int) -> str:
    """The text of a value with one number per row."""
    if depth == 0:
        return str(random.choice(ROWS))
    p, log_p = random.choice(PROBABILITIES), random.choice(LOG_PROBABILITIES)
    forms = (
        f"{random.choice(['sum', 'mean', 'max', 'logsumexp'])}({of_classes(random, depth - 1)})",
        f"take({of_classes(random, depth - 1)}, y)",
        f"log(1 / take({p}, y))",
        f"expm1(take({log_p}, y)) + log1p(-take({p}, y))",
        f"({of_rows(random, depth - 1)}) {random.choice(['+', '-', '*'])} ({of_rows(random, depth - 1)})",
    )
    return str(random.choice(forms))


def rows(m: ArbAlgebra, z: np.ndarray, labels: np.ndarray) -> Rows[ArbArray]:
    """Rows of exact logits with labels, an upstream gradient of one, and the constants of this page."""
    ones = m.exact(np.ones((len(z), 1)))
    parameters = MappingProxyType({"constants": CONSTANTS, "masked_classes": ()})
    return Rows(m.exact(z), None, ones, Targets(labels, ones, None), parameters, labels, None)
