"""What losses of a row are made of: log-probabilities of whatever a subject reads, target mass, rows that count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from gradaudit.functions.interface import LOGIT_PARAMETERS, Function, Parameter
from gradaudit.functions.rows import Rows, Targets
from gradaudit.numerics.algebra import Algebra, N

REDUCTION = Parameter(
    "reduction", "choice", "mean", "how the rows' losses are combined", choices=("none", "mean", "sum")
)
IGNORE_INDEX = Parameter("ignore_index", "int", -100, "a label whose rows take no part")
LOSS_PARAMETERS = (*LOGIT_PARAMETERS, REDUCTION, IGNORE_INDEX)
"""Parameters of every loss of logits and labels."""

READINGS = ("logits", "probabilities", "log_probabilities")
"""What a function of the log-probabilities alone may be fed."""


def number(parameters: Mapping[str, object], name: str) -> float:
    """A parameter that is a number; 0 where it is absent."""
    value = parameters.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0


def per_class(m: Algebra[N], rows: Rows[N], name: str) -> N | None:
    """A parameter with one number a class, [1, n]; None where it is absent."""
    values = rows.parameters.get(name)
    return m.parameter(np.array([values], dtype=np.float64)) if isinstance(values, tuple) else None


def targets_of(rows: Rows[N]) -> Targets[N]:
    """The targets of a loss."""
    assert rows.targets is not None, "a loss has targets; the spec was validated"
    return rows.targets


def labels_of(rows: Rows[N]) -> np.ndarray:
    """The label of each row."""
    assert rows.labels is not None, "the loss is one of class indices; the spec was validated"
    return rows.labels


def prepared(m: Algebra[N], rows: Rows[N]) -> Rows[N]:
    """Rows whose z are c tanh(z / c) of the scaled logits plus an offset for each class, as the parameters say."""
    z = rows.z
    if isinstance(rows.parameters.get("softcap"), float):
        cap = m.parameter(number(rows.parameters, "softcap"))
        z = cap * m.tanh(z / cap)
    offsets = per_class(m, rows, "logit_adjustment")
    if offsets is not None:
        z = z + offsets
    return rows if z is rows.z else replace(rows, z=z)


def log_probabilities(m: Algebra[N], rows: Rows[N], at: np.ndarray | None = None) -> N:
    """log p of what the rows hold: logits, probabilities or log-probabilities; with `at`, at one class of each."""
    if rows.reading == "logits":
        return m.log_softmax(rows.z, at)
    given = rows.z if at is None else m.take(rows.z, at)
    return m.log(given) if rows.reading == "probabilities" else given


def probability(m: Algebra[N], rows: Rows[N], labels: np.ndarray) -> N:
    """p at one class of each row, [rows, 1]."""
    if rows.reading == "probabilities":
        return m.take(rows.z, labels)
    return m.exp(log_probabilities(m, rows, labels))


def remainder(m: Algebra[N], rows: Rows[N], labels: np.ndarray) -> N:
    """1 - p at one class of each row, without cancellation where logits are given."""
    if rows.reading == "logits":
        return m.complement(rows.z, labels)
    if rows.reading == "probabilities":
        return m.exact(1.0) - m.take(rows.z, labels)
    return -m.expm1(m.take(rows.z, labels))


def negative_log_likelihood(m: Algebra[N], rows: Rows[N]) -> N:
    """-sum_j t_j log p_j."""
    targets = targets_of(rows)
    if targets.labels is not None and targets.mass is not None:
        return -(targets.mass * log_probabilities(m, rows, targets.labels))
    assert targets.dense is not None
    return -m.sum(targets.dense * log_probabilities(m, rows))


def of_counted(m: Algebra[N], rows: Rows[N], loss: N) -> N:
    """The loss in rows that count, 0 in ignored ones."""
    return loss if rows.counted is None else m.where(rows.counted, loss, m.exact(0.0))


def squared(m: Algebra[N], normaliser: N, coefficient: float) -> N:
    """coefficient * normaliser^2."""
    return m.parameter(coefficient) * (normaliser * normaliser)


def probabilities(m: Algebra[N], rows: Rows[N]) -> N:
    """p of every class."""
    if rows.reading == "logits":
        return m.softmax(rows.z)
    return rows.z if rows.reading == "probabilities" else m.exp(rows.z)


def needs_logits(call: str, function: Function, parameters: Mapping[str, object], reading: str) -> str | None:
    """Why a subject of the function `call` cannot be fed a `reading`, with what can be done; None where it can."""
    if reading not in function.readings:
        return (
            f"input: {call} is a function of logits, and has no meaning at given {reading.replace('_', '-')}; "
            "use input: logits"
        )
    if reading == "logits":
        return None
    for name in function.given_logits_only:
        if parameters.get(name) not in (None, 0.0):
            return f"input: {name} is computed from logits, not from {reading.replace('_', '-')}; use input: logits"
    return None
