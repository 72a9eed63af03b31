"""What a candidate's second backward may be off by: a tape over a tape over the sizes of what is added up.

docs/numerics.md, "Second order". The forward is run over balls as they are. From the first cotangent on, midpoints
are sizes: what is added or taken away adds up in size, so that the bound holds for every order of sums and products.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gradaudit.functions import by_tape
from gradaudit.functions.interface import Formula
from gradaudit.functions.rows import Rows, Targets
from gradaudit.numerics.ball import Ball
from gradaudit.numerics.bounds import phi
from gradaudit.numerics.tape import Tape, Variable
from gradaudit.reference.formulations.formulated import OWN_OPERATIONS, Formulated


class Sizes(Formulated):
    """A candidate's arithmetic; `adding_sizes`, sums and differences are those of sizes."""

    adding_sizes = False

    def added(self, a: Ball, b: Ball) -> Ball:
        """a + b, or |a| + |b|."""
        if not self.adding_sizes:
            return super().added(a, b)
        return self.rounded(np.abs(a.mid) + np.abs(b.mid), a.rad + b.rad)

    def subtracted(self, a: Ball, b: Ball) -> Ball:
        """a - b, or |a| + |b|."""
        return self.added(a, b) if self.adding_sizes else super().subtracted(a, b)

    def summed(self, a: Ball, height: int) -> Ball:
        """Sum over the classes, or that of the sizes."""
        return super().summed(Ball(self, np.abs(a.mid), a.rad) if self.adding_sizes else a, height)

    def expm1_slope(self, a: Ball) -> Ball:
        """exp(a) = expm1(a) + 1: values of the forward, whatever runs."""
        adding, self.adding_sizes = self.adding_sizes, False
        slope = super().expm1_slope(a)
        self.adding_sizes = adding
        return slope

    # -- kernels of a second backward ----------------------------------------------------------------------------

    def softmax_vjp(self, z: Ball, g: Ball) -> Ball:
        """p_j (|g_j| + sum_k p_k |g_k|); of merges, p_j (1 + |log p_j|) 2 max_k |g_k|."""
        p = self.probabilities(z)
        if self.formulation.normaliser != "merged":
            return self._passed_on(z, p * self.added(g, self.sum(p * g)))
        # The share s of a half has the slope s (1 - s), and sum (1 - s) <= -sum log s = -log p on the way to a logit.
        size = (np.abs(g.mid) + np.asarray(g.rad)).max(axis=-1, keepdims=True)
        off = np.broadcast_to(np.asarray(g.rad), g.mid.shape).max(axis=-1, keepdims=True)
        terms = self.exact(2.0 * (1.0 + np.abs(self.exponentials(z).log_p)))
        return self._passed_on(z, p * (terms * Ball(self, size, off)))

    def log_softmax_vjp(self, z: Ball, g: Ball, at: np.ndarray | None = None) -> Ball:
        """|g_j| + p_j sum_k |g_k|."""
        whole = g if at is None else self.replace(self.expand(self.exact(0.0), z.mid.shape), at, g)
        return self._passed_on(z, self.added(whole, self.probabilities(z) * self.sum(whole)))

    def logsumexp_vjp(self, z: Ball, g: Ball) -> Ball:
        """p_j |g|."""
        return self._passed_on(z, self.probabilities(z) * g, g)

    def _passed_on(self, z: Ball, g: Ball, through: Ball | None = None) -> Ball:
        """A cotangent of shifted logits on its way to the logits, with the user's own operations."""
        shift = self.formulation.shift
        if shift is not None:
            left = self.sum(g) if through is None else self.added(self.sum(g), through)
            g = self.added(g, self.exact(shift.jacobian(z.mid, z.rad)) * left)
        return self.charged(g, OWN_OPERATIONS * self.levels(z))

    def levels(self, z: Ball) -> int:
        """How many merges a logit passes through; 1 where there is one sum."""
        return self._levels(self.shape(z)[-1]) + 1 if self.formulation.normaliser == "merged" else 1


class Forward(Tape[Variable[Ball]]):
    """The candidate's forward: on it the first backward runs. `unfused`: a log-softmax is the log of a softmax."""

    def __init__(self, m: Backward, *, unfused: bool) -> None:
        super().__init__(m)
        self.unfused = unfused

    def log_softmax(self, z: Variable[Variable[Ball]], at: np.ndarray | None = None) -> Variable[Variable[Ball]]:
        """log p, of all classes or at one of each row."""
        if not self.unfused:
            return super().log_softmax(z, at)
        p = self.softmax(z)
        return self.log(p if at is None else self.take(p, at))

    def log1p(self, a: Variable[Variable[Ball]]) -> Variable[Variable[Ball]]:
        """log(1 + a); 1 + a is formed in the forward, where values are no sizes."""
        below = a.value + self.m.exact(1.0)
        return self.node(self.m.log1p(a.value), (a, lambda g: g / below))


class Backward(Tape[Ball]):
    """The candidate's first backward: on it the second one runs. Kernels are spelled as candidates compute them."""

    def __init__(self, m: Sizes) -> None:
        super().__init__(m)
        self.sizes = m

    def log1p(self, a: Variable[Ball]) -> Variable[Ball]:
        """log(1 + a); 1 + a is formed in the forward, where values are no sizes."""
        below = a.value + self.m.exact(1.0)
        return self.node(self.m.log1p(a.value), (a, lambda g: g / below))

    def softmax_vjp(self, z: Variable[Ball], g: Variable[Ball]) -> Variable[Ball]:
        """p_j (g_j - sum_k p_k g_k)."""
        p = self._probabilities(z)
        return self._passed_on(z, p * (g - self.sum(p * g)))

    def log_softmax_vjp(self, z: Variable[Ball], g: Variable[Ball], at: np.ndarray | None = None) -> Variable[Ball]:
        """g_j - p_j sum_k g_k."""
        whole = g if at is None else self.replace(self.expand(self.exact(0.0), self.shape(z)), at, g)
        return self._passed_on(z, whole - self._probabilities(z) * self.sum(whole))

    def logsumexp_vjp(self, z: Variable[Ball], g: Variable[Ball]) -> Variable[Ball]:
        """p_j g."""
        return self._passed_on(z, self._probabilities(z) * g, g)

    def _probabilities(self, z: Variable[Ball]) -> Variable[Ball]:
        return self.node(self.sizes.probabilities(z.value), (z, lambda g: self.sizes.softmax_vjp(z.value, g)))

    def _passed_on(
        self, z: Variable[Ball], g: Variable[Ball], through: Variable[Ball] | None = None
    ) -> Variable[Ball]:
        shift = self.sizes.formulation.shift
        if shift is not None:
            left = self.sum(g) if through is None else self.sum(g) - through
            g = g - self.exact(shift.jacobian(z.value.mid, z.value.rad)) * left
        return self.charged(g, OWN_OPERATIONS * self.sizes.levels(z.value))


def hessian_vector(formula: Formula, m: Sizes, rows: Rows[Ball], direction: np.ndarray, *, unfused: bool) -> Ball:
    """Sizes, and tolerances, of d/dx <gradient, direction> as a candidate computes it, [rows, n]."""
    m.adding_sizes = False
    below = Backward(m)
    z = below.variable(rows.z)
    above = Forward(below, unfused=unfused)
    lifted = by_tape.on_tape(below, replace(rows, upstream=m.charged(rows.upstream, OWN_OPERATIONS)), z)
    at = above.variable(lifted.z)
    output = formula(above, by_tape.on_tape(above, lifted, at))
    m.adding_sizes = True
    along = m.exact(direction) if rows.factor is None else m.exact(direction) * rows.factor
    slope = above.gradient(output, lifted.upstream, at)
    product = below.sum(below.expand(slope, m.shape(rows.z)) * below.constant(along))
    second = below.gradient(product, m.exact(1.0), z)
    return _finished(m, rows, second if rows.factor is None else second * rows.factor, direction)


def target_gradient(formula: Formula, m: Sizes, rows: Rows[Ball], *, unfused: bool) -> Ball:
    """Sizes, and tolerances, of the derivative by the dense target mass, [rows, n]."""
    assert rows.targets is not None
    assert rows.targets.dense is not None, "labels have no derivative"
    m.adding_sizes = False
    below = Backward(m)
    above = Forward(below, unfused=unfused)
    lifted = by_tape.on_tape(below, rows, below.variable(rows.z))
    assert lifted.targets is not None
    assert lifted.targets.dense is not None
    mass = above.variable(lifted.targets.dense)
    own = replace(by_tape.on_tape(above, lifted, above.constant(lifted.z)), targets=Targets(None, None, mass))
    output = formula(above, own)
    m.adding_sizes = True
    slope = above.gradient(output, lifted.upstream, mass).value
    return _finished(m, rows, m.expand(slope, m.shape(rows.z)), np.ones((1, 1)))


def _finished(m: Sizes, rows: Rows[Ball], result: Ball, direction: np.ndarray) -> Ball:
    """The user's own operations on the terms, and what underflows on their way."""
    a = m.arithmetic
    size = np.abs(result.mid)
    lost = np.abs(direction).max(axis=-1, keepdims=True) * np.abs(rows.upstream.mid).sum(axis=-1, keepdims=True)
    rad = np.asarray(result.rad) * (1.0 + m.own) + m.own * size
    rad = rad + OWN_OPERATIONS * a.eta_operation * (1.0 + lost * m.count)
    if a.u_result:
        rad = rad + a.u_result * (size + rad) + a.eta_result
    return Ball(m, size, rad * (1.0 + phi(a.u)))
