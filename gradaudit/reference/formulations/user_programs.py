"""What a user's function does with the primitives, for every formulation of them (docs/numerics.md, "A user's own
code")."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gradaudit.functions import by_tape
from gradaudit.functions.interface import Formula, Function, Spelling
from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.reference.formulations.formulated import OWN_OPERATIONS, Formulated
from gradaudit.reference.formulations.program import Program
from gradaudit.reference.kernels import label_vjp


def _own(m: BallAlgebra) -> Formulated:
    assert isinstance(m, Formulated), "the rows of user code come with their algebra"
    return m


def _wide(m: Formulated, ball: Ball, size: np.ndarray) -> Ball:
    """A result with the candidate's own operations on terms that add up to `size`."""
    return Ball(
        m, ball.mid, np.asarray(ball.rad) * (1.0 + m.own) + m.own * size + OWN_OPERATIONS * m.arithmetic.eta_operation
    )


def _loss(algebra: BallAlgebra, rows: Rows[Ball]) -> Ball:
    m, targets = _own(algebra), rows.targets
    assert targets is not None
    if targets.labels is not None and targets.mass is not None:
        loss = -(targets.mass * m.log_softmax(rows.z, targets.labels))
        own = np.abs(targets.mass.mid * m.take(rows.z, targets.labels).mid)
        return _wide(m, loss, np.abs(loss.mid) + _apart(m, rows.z, targets.mass.mid, own))
    assert targets.dense is not None
    terms = targets.dense * m.log_softmax(rows.z)
    size = np.abs(terms.mid).sum(axis=-1, keepdims=True)
    if m.formulation.normaliser != "shifted":
        # T logsumexp - sum t z: the logits are added up as they are.
        a, heavy = m.arithmetic, np.abs(targets.dense.mid * rows.z.mid).sum(axis=-1, keepdims=True)
        size = size + _apart(m, rows.z, targets.dense.mid.sum(axis=-1, keepdims=True), heavy)
        size = size + heavy * (2.0 + a.height(rows.z.mid.shape[-1]) * a.u_sum / a.u_operation / OWN_OPERATIONS)
    return _wide(m, -m.sum(terms), size)


def _apart(m: Formulated, z: Ball, mass: np.ndarray, logits: np.ndarray) -> np.ndarray | float:
    """What the sums over rows of T logsumexp and of sum t |z| add to each row's `size`, if they are formed apart."""
    a = m.arithmetic
    if not m.formulation.apart:
        return 0.0
    roundings = (a.height(m.batch) * a.u_reduction + 3.0 * a.u_operation) / m.own
    return roundings * (np.abs(mass * m.logsumexp(z).mid) + logits)


def _loss_gradient(algebra: BallAlgebra, rows: Rows[Ball]) -> Ball:
    m, targets = _own(algebra), rows.targets
    assert targets is not None
    p = m.probabilities(rows.z)
    gradient = label_vjp(m, p, targets, rows.upstream)
    if targets.labels is not None and targets.mass is not None:
        total = np.abs((targets.mass * rows.upstream).mid)
        terms = p.mid * total
        index = targets.labels[:, None]
        np.put_along_axis(terms, index, np.take_along_axis(terms, index, axis=-1) + total, axis=-1)
    else:
        assert targets.dense is not None
        own = np.abs(targets.dense.mid * rows.upstream.mid)
        total = own.sum(axis=-1, keepdims=True)
        terms = p.mid * total + own
    return m.finished(rows.z, gradient, terms, np.broadcast_to(total, (len(terms), 1)))


def _relative(m: Formulated, rows: Rows[Ball]) -> Ball:
    """The logits less the target's, each rounded."""
    assert rows.targets is not None
    assert rows.targets.labels is not None
    own = m.take(rows.z, rows.targets.labels)
    mid = rows.z.mid - own.mid
    off = np.asarray(rows.z.rad) + np.asarray(own.rad)
    return Ball(m, mid, off + m.arithmetic.u_operation * (np.abs(mid) + off))


def _relative_loss(algebra: BallAlgebra, rows: Rows[Ball]) -> Ball:
    m, targets = _own(algebra), rows.targets
    assert targets is not None
    if targets.mass is None:
        # There is no one target to count from.
        return _loss(algebra, rows)
    loss = targets.mass * m.logsumexp(_relative(m, rows))
    return _wide(m, loss, np.abs(loss.mid))


def _relative_gradient(algebra: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """Row a of docs/numerics.md: the target's own probability appears twice and cancels."""
    m, targets, a = _own(algebra), rows.targets, algebra.arithmetic
    assert targets is not None
    if targets.labels is None or targets.mass is None:
        return _loss_gradient(algebra, rows)
    z, index = _relative(m, rows), targets.labels[:, None]
    at = targets.mass * rows.upstream
    product = m.probabilities(z) * at
    mid, rad = product.mid.copy(), np.array(product.rad)
    size = np.abs(at.mid)
    others = rad.sum(axis=-1, keepdims=True) - np.take_along_axis(rad, index, axis=-1)
    own = np.take_along_axis(mid, index, axis=-1) - at.mid
    n = mid.shape[-1]
    bound = others + (a.height(n) * a.u_sum + 2.0 * a.u_operation) * (size + rad.sum(axis=-1, keepdims=True))
    bound = bound + a.u_operation * np.abs(own) + n * a.eta_operation
    np.put_along_axis(mid, index, own, axis=-1)
    np.put_along_axis(rad, index, bound, axis=-1)
    terms = np.abs(mid)
    return m.finished(z, Ball(m, mid, rad), terms, np.broadcast_to(size, index.shape))


def _softmax(algebra: BallAlgebra, rows: Rows[Ball]) -> Ball:
    p = algebra.softmax(rows.z)
    return _wide(_own(algebra), p, p.mid)


def _log_softmax(algebra: BallAlgebra, rows: Rows[Ball]) -> Ball:
    log_p = algebra.log_softmax(rows.z)
    return _wide(_own(algebra), log_p, np.abs(log_p.mid))


def _logsumexp(algebra: BallAlgebra, rows: Rows[Ball]) -> Ball:
    total = algebra.logsumexp(rows.z)
    return _wide(_own(algebra), total, np.abs(total.mid))


ACTIVATIONS = {
    "softmax": Program(_softmax, lambda m, rows: m.softmax_vjp(rows.z, rows.upstream)),
    "log_softmax": Program(_log_softmax, lambda m, rows: m.log_softmax_vjp(rows.z, rows.upstream)),
    "logsumexp": Program(_logsumexp, lambda m, rows: m.logsumexp_vjp(rows.z, rows.upstream)),
}


def by_tape_of(function: Function, spelling: Spelling | None) -> Program:
    """A spelling of any function, and its gradient by a tape over the same primitives.

    Where the spelling does not serve what a case holds (probabilities for labels, say) it is the function's output.
    """

    def formula(rows: Rows[Ball]) -> Formula:
        if spelling is None or (spelling.targets == "indices" and rows.labels is None):
            return function.output
        if spelling.targets == "probabilities" and rows.labels is not None:
            return function.output
        return spelling.output if spelling.reading in ("any", rows.reading) else function.output

    def output(algebra: BallAlgebra, rows: Rows[Ball]) -> Ball:
        result = formula(rows)(algebra, rows)
        return _wide(_own(algebra), result, np.abs(result.mid))

    def gradient(algebra: BallAlgebra, rows: Rows[Ball]) -> Ball:
        # Each term of the gradient has the candidate's own operations on the upstream gradient, apart or together.
        upstream = algebra.charged(rows.upstream, OWN_OPERATIONS)
        return by_tape.gradient(formula(rows), algebra, replace(rows, upstream=upstream))

    return Program(output, gradient)


def cross_entropy_of(function: Function, *, relative: bool = False) -> Program:
    """Cross entropy of logits; by tape where a subject is fed something else.

    `relative`: as logsumexp of the differences to the target's logit, where there is one target.
    """
    general = by_tape_of(function, None)
    output, gradient = (_relative_loss, _relative_gradient) if relative else (_loss, _loss_gradient)
    return Program(
        lambda m, rows: (output if rows.reading == "logits" else general.output)(m, rows),
        lambda m, rows: (gradient if rows.reading == "logits" else general.gradient)(m, rows),
    )
