"""Reverse-mode differentiation over any algebra: a formula's output is enough to have its gradient.

`Tape(m)` offers the namespace of the algebra `m` on :class:`Variable`\\ s and notes what each came from. Over balls
that enclose, the gradient is enclosed; over balls charged with a candidate's arithmetic, forward and backward are
both charged, operation by operation (docs/numerics.md, "Differentiation by tape"). A tape is itself an algebra: a
tape over a tape gives second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

import numpy as np

from gradaudit.numerics.algebra import Algebra, N

Pullback = Callable[[N], N]


class Variable(Generic[N]):
    """A number of the algebra below, and how a cotangent passes on to what it was made of.

    `parents` are empty for constants and for what is differentiated by; `place` counts the variables that depend on
    something.
    """

    __slots__ = ("parents", "place", "tape", "value")

    def __init__(
        self, tape: Tape[N], value: N, parents: tuple[tuple[Variable[N], Pullback[N]], ...], place: int | None
    ) -> None:
        self.tape = tape
        self.value = value
        self.parents = parents
        self.place = place

    def __add__(self, other: Variable[N]) -> Variable[N]:
        return self.tape.node(self.value + other.value, (self, _same), (other, _same))

    def __sub__(self, other: Variable[N]) -> Variable[N]:
        return self.tape.node(self.value - other.value, (self, _same), (other, _negated))

    def __mul__(self, other: Variable[N]) -> Variable[N]:
        a, b = self.value, other.value
        return self.tape.node(a * b, (self, lambda g: g * b), (other, lambda g: g * a))

    def __truediv__(self, other: Variable[N]) -> Variable[N]:
        m, b = self.tape.m, other.value
        quotient = self.value / b
        return self.tape.node(
            quotient, (self, lambda g: m.in_range(g / b)), (other, lambda g: -(g * m.in_range(quotient / b)))
        )

    def __neg__(self) -> Variable[N]:
        return self.tape.node(-self.value, (self, _negated))


class Tape(Generic[N]):
    """:class:`gradaudit.numerics.algebra.Algebra` on variables over the algebra `m`."""

    def __init__(self, m: Algebra[N]) -> None:
        self.m = m
        self._count = 0

    # -- variables and derivatives ---------------------------------------------------------------------------------

    def variable(self, value: N) -> Variable[N]:
        """Something to differentiate by."""
        return self._numbered(value, ())

    def constant(self, value: N) -> Variable[N]:
        """A number that no derivative reaches."""
        return Variable(self, value, (), None)

    def node(self, value: N, *parents: tuple[Variable[N], Pullback[N]]) -> Variable[N]:
        """The result of an operation: a constant where nothing it was made of is a variable."""
        moving = tuple(parent for parent in parents if parent[0].place is not None)
        return self._numbered(value, moving) if moving else self.constant(value)

    def gradient(self, output: Variable[N], upstream: N, wrt: Variable[N]) -> N:
        """sum_k upstream_k d output_k / d wrt, of the shape of `wrt`; 0 where the output does not depend on it."""
        m = self.m
        shape = m.shape(wrt.value)
        if output.place is None or wrt.place is None:
            return m.expand(m.exact(0.0), shape)
        cotangents: dict[int, N] = {output.place: upstream}
        nodes = {output.place: output}
        pending = [output.place]
        while pending:
            place = max(pending)
            pending.remove(place)
            node, g = nodes[place], m.expand(cotangents[place], m.shape(nodes[place].value))
            if node is wrt:
                return g
            if place < wrt.place:
                break
            for parent, pullback in node.parents:
                assert parent.place is not None
                part = self._summed(pullback(g), m.shape(parent.value))
                if parent.place in cotangents:
                    part = cotangents[parent.place] + part
                else:
                    pending.append(parent.place)
                    nodes[parent.place] = parent
                cotangents[parent.place] = part
        return m.expand(m.exact(0.0), shape)

    def _numbered(self, value: N, parents: tuple[tuple[Variable[N], Pullback[N]], ...]) -> Variable[N]:
        self._count += 1
        return Variable(self, value, parents, self._count)

    def _summed(self, g: N, shape: tuple[int, ...]) -> N:
        """A cotangent added up over the classes where its variable was broadcast along them."""
        own = self.m.shape(g)
        if shape and own and shape[-1] == 1 and own[-1] != 1:
            g = self.m.sum(g)
            own = self.m.shape(g)
        if len(own) > len(shape) or any(a > b for a, b in zip(own, shape, strict=False)):
            raise ValueError(f"a derivative by a number of shape {shape} that several rows share; give it a row each")
        return g

    # -- shapes and selections -------------------------------------------------------------------------------------

    def exact(self, values: np.ndarray | float) -> Variable[N]:
        """Floats taken as exact."""
        return self.constant(self.m.exact(values))

    def parameter(self, value: float | np.ndarray) -> Variable[N]:
        """Parameters of the function, exact but for a candidate's rounding of it."""
        return self.constant(self.m.parameter(value))

    def charged(self, a: Variable[N], roundings: int) -> Variable[N]:
        """`a` after so many more roundings; its cotangent after as many."""
        return self.node(self.m.charged(a.value, roundings), (a, lambda g: self.m.charged(g, roundings)))

    def shape(self, a: Variable[N]) -> tuple[int, ...]:
        """The shape of the array."""
        return self.m.shape(a.value)

    def expand(self, a: Variable[N], shape: tuple[int, ...]) -> Variable[N]:
        """a broadcast to a shape."""
        return self.node(self.m.expand(a.value, shape), (a, _same))

    def argmax(self, a: Variable[N]) -> np.ndarray:
        """The first largest class of each row."""
        return self.m.argmax(a.value)

    def in_range(self, a: Variable[N]) -> Variable[N]:
        """a, and its cotangent."""
        return self.node(self.m.in_range(a.value), (a, self.m.in_range))

    def stop_gradient(self, a: Variable[N]) -> Variable[N]:
        """a as a constant."""
        return self.constant(a.value)

    def take(self, a: Variable[N], labels: np.ndarray) -> Variable[N]:
        """a at one class of each row."""
        shape = (len(labels), self.m.shape(a.value)[-1])
        return self.node(self.m.take(a.value, labels), (a, lambda g: self._scattered(g, labels, shape)))

    def replace(self, a: Variable[N], labels: np.ndarray, values: Variable[N]) -> Variable[N]:
        """a with `values` at one class of each row."""
        m = self.m

        def left(g: N) -> N:
            return m.replace(g, labels, m.exact(np.zeros((len(labels), 1))))

        return self.node(m.replace(a.value, labels, values.value), (a, left), (values, lambda g: m.take(g, labels)))

    def columns(self, a: Variable[N], start: int, stop: int) -> Variable[N]:
        """The classes [start, stop)."""
        width = self.m.shape(a.value)[-1]
        return self.node(self.m.columns(a.value, start, stop), (a, lambda g: self.m.placed(g, start, width)))

    def placed(self, a: Variable[N], start: int, width: int) -> Variable[N]:
        """a as the classes from `start` on, among `width`."""
        stop = start + self.m.shape(a.value)[-1]
        return self.node(self.m.placed(a.value, start, width), (a, lambda g: self.m.columns(g, start, stop)))

    def where(self, mask: np.ndarray, a: Variable[N], b: Variable[N]) -> Variable[N]:
        """a where the mask is true, else b."""
        m = self.m
        return self.node(
            m.where(mask, a.value, b.value),
            (a, lambda g: m.where(mask, g, m.exact(0.0))),
            (b, lambda g: m.where(mask, m.exact(0.0), g)),
        )

    def maximum(self, a: Variable[N]) -> Variable[N]:
        """The largest class, [rows, 1]."""
        return self.node(self.m.maximum(a.value), (a, lambda g: self.m.maximum_vjp(a.value, g)))

    def maximum_vjp(self, a: Variable[N], g: Variable[N]) -> Variable[N]:
        """g at the first largest class of a."""
        labels = self.m.argmax(a.value)
        return self.node(self.m.maximum_vjp(a.value, g.value), (g, lambda h: self.m.take(h, labels)))

    def clip(self, a: Variable[N], low: float | None, high: float | None) -> Variable[N]:
        """a cut to [low, high]."""
        m = self.m
        return self.node(m.clip(a.value, low, high), (a, lambda g: m.clip_vjp(a.value, g, low, high)))

    def clip_vjp(self, a: Variable[N], g: Variable[N], low: float | None, high: float | None) -> Variable[N]:
        """g where a lies within [low, high]."""
        m = self.m
        own = m.clip_vjp(a.value, g.value, low, high)
        return self.node(own, (g, lambda h: m.clip_vjp(a.value, h, low, high)))

    def _scattered(self, g: N, labels: np.ndarray, shape: tuple[int, ...]) -> N:
        return self.m.replace(self.m.expand(self.m.exact(0.0), shape), labels, g)

    # -- sums --------------------------------------------------------------------------------------------------

    def sum(self, a: Variable[N]) -> Variable[N]:
        """Sum over the classes."""
        return self.node(self.m.sum(a.value), (a, lambda g: self.m.expand(g, self.m.shape(a.value))))

    def mean(self, a: Variable[N]) -> Variable[N]:
        """Sum over the classes, divided by their number."""
        m, shape = self.m, self.m.shape(a.value)
        return self.node(m.mean(a.value), (a, lambda g: m.expand(g / m.exact(float(shape[-1])), shape)))

    def others(self, a: Variable[N]) -> Variable[N]:
        """sum_{k != j} a_k."""
        return self.node(self.m.others(a.value), (a, self.m.others))

    def center(self, g: Variable[N], z: Variable[N]) -> Variable[N]:
        """g_j - g_a with a the class of the largest z."""
        top = self.m.argmax(z.value)
        return self.replace(g - self.take(g, top), top, self.exact(np.zeros((len(top), 1))))

    # -- elementary functions ----------------------------------------------------------------------------------

    def exp(self, a: Variable[N]) -> Variable[N]:
        """Exponential."""
        value = self.m.exp(a.value)
        return self.node(value, (a, lambda g: g * value))

    def log(self, a: Variable[N]) -> Variable[N]:
        """Logarithm."""
        return self.node(self.m.log(a.value), (a, lambda g: self.m.in_range(g / a.value)))

    def log1p(self, a: Variable[N]) -> Variable[N]:
        """log(1 + a)."""
        m = self.m
        return self.node(m.log1p(a.value), (a, lambda g: g / (a.value + m.exact(1.0))))

    def expm1(self, a: Variable[N]) -> Variable[N]:
        """exp(a) - 1."""
        return self.node(self.m.expm1(a.value), (a, lambda g: g * self.m.expm1_slope(a.value)))

    def expm1_slope(self, a: Variable[N]) -> Variable[N]:
        """exp(a)."""
        value = self.m.expm1_slope(a.value)
        return self.node(value, (a, lambda g: g * value))

    def tanh(self, a: Variable[N]) -> Variable[N]:
        """Hyperbolic tangent."""
        return self.node(self.m.tanh(a.value), (a, lambda g: g * self.m.tanh_slope(a.value)))

    def tanh_slope(self, a: Variable[N]) -> Variable[N]:
        """1 - tanh^2."""
        m, value = self.m, self.m.tanh_slope(a.value)
        return self.node(value, (a, lambda g: g * (m.exact(-2.0) * m.tanh(a.value) * value)))

    def sqrt(self, a: Variable[N]) -> Variable[N]:
        """Square root."""
        m, value = self.m, self.m.sqrt(a.value)
        return self.node(value, (a, lambda g: g / (m.exact(2.0) * value)))

    def cos(self, a: Variable[N]) -> Variable[N]:
        """Cosine."""
        return self.node(self.m.cos(a.value), (a, lambda g: -(g * self.m.sin(a.value))))

    def sin(self, a: Variable[N]) -> Variable[N]:
        """Sine."""
        return self.node(self.m.sin(a.value), (a, lambda g: g * self.m.cos(a.value)))

    def power(self, a: Variable[N], exponent: float) -> Variable[N]:
        """a to a constant power."""
        m = self.m
        value = m.power(a.value, exponent)
        if exponent == 0.0:
            return self.constant(value)
        return self.node(value, (a, lambda g: g * (m.exact(exponent) * m.power(a.value, exponent - 1.0))))

    def reciprocal(self, a: Variable[N]) -> Variable[N]:
        """1 / a."""
        value = self.m.reciprocal(a.value)
        return self.node(value, (a, lambda g: -(g * value * value)))

    def logaddexp(self, a: Variable[N], b: Variable[N]) -> Variable[N]:
        """log(exp a + exp b)."""
        m = self.m
        return self.node(
            m.logaddexp(a.value, b.value),
            (a, lambda g: g * m.share(a.value, b.value)),
            (b, lambda g: g * m.share(b.value, a.value)),
        )

    def share(self, a: Variable[N], b: Variable[N]) -> Variable[N]:
        """1 / (1 + exp(b - a))."""
        m, value = self.m, self.m.share(a.value, b.value)

        def slope(g: N) -> N:
            return g * (value * m.share(b.value, a.value))

        return self.node(value, (a, slope), (b, lambda g: -slope(g)))

    # -- softmax and its kin -----------------------------------------------------------------------------------

    def softmax(self, z: Variable[N]) -> Variable[N]:
        """exp(z_j) / sum_k exp(z_k)."""
        return self.node(self.m.softmax(z.value), (z, lambda g: self.m.softmax_vjp(z.value, g)))

    def log_softmax(self, z: Variable[N], at: np.ndarray | None = None) -> Variable[N]:
        """z_j - log sum_k exp(z_k)."""
        return self.node(self.m.log_softmax(z.value, at), (z, lambda g: self.m.log_softmax_vjp(z.value, g, at)))

    def logsumexp(self, z: Variable[N]) -> Variable[N]:
        """log sum_k exp(z_k)."""
        return self.node(self.m.logsumexp(z.value), (z, lambda g: self.m.logsumexp_vjp(z.value, g)))

    def complement(self, z: Variable[N], at: np.ndarray | None = None) -> Variable[N]:
        """1 - softmax."""
        m = self.m

        def pulled(g: N) -> N:
            whole = g if at is None else self._scattered(g, at, m.shape(z.value))
            return -m.softmax_vjp(z.value, whole)

        return self.node(m.complement(z.value, at), (z, pulled))

    def softmax_vjp(self, z: Variable[N], g: Variable[N]) -> Variable[N]:
        """p_j (g_j - sum_k p_k g_k)."""
        p, centered = self.softmax(z), self.center(g, z)
        return p * (centered - self.sum(p * centered))

    def log_softmax_vjp(self, z: Variable[N], g: Variable[N], at: np.ndarray | None = None) -> Variable[N]:
        """g_j - p_j sum_k g_k."""
        p = self.softmax(z)
        if at is None:
            return g * self.complement(z) - p * self.others(g)
        return self.replace(-(p * g), at, g * self.complement(z, at))

    def logsumexp_vjp(self, z: Variable[N], g: Variable[N]) -> Variable[N]:
        """p_j g."""
        return self.softmax(z) * g


def _same(g: N) -> N:
    return g


def _negated(g: N) -> N:
    return -g
