"""The primitives on balls beyond softmax and its kin: elementary functions, selections, and backward kernels.

A backward kernel is spelled without cancellation where balls enclose, and as candidates compute it where they are
charged with a candidate's arithmetic.
"""

from __future__ import annotations

import numpy as np

from gradaudit.numerics import ball_vjp, elementary
from gradaudit.numerics.ball_core import Ball, BallCore


class BallPrimitives(BallCore):
    """What :class:`gradaudit.numerics.ball.BallAlgebra` has beside softmax and its kin."""

    def _error_of(self, parameter: float) -> float:
        """Relative error of a number that a candidate rounds to the dtype it returns."""
        u = max(self.arithmetic.u_operation, self.arithmetic.u_result)
        return u if not self.encloses and elementary.is_rounded(parameter, u) else 0.0

    def _elementary(self, bounds: elementary.Bounds) -> Ball:
        return self.stored(*bounds)

    # -- shapes and selections -------------------------------------------------------------------------------------

    def shape(self, a: Ball) -> tuple[int, ...]:
        """The shape of the array."""
        return a.mid.shape if a.row_radius is None else a.row_radius.rows.gap.shape

    def expand(self, a: Ball, shape: tuple[int, ...]) -> Ball:
        """`a` broadcast to a shape."""
        if self.shape(a) == shape:
            return a
        return self.ball(np.broadcast_to(a.mid, shape), np.broadcast_to(np.asarray(a.rad), shape))

    def argmax(self, a: Ball) -> np.ndarray:
        """The first class with the largest midpoint, [rows]."""
        return np.asarray(np.argmax(a.mid, axis=-1))

    def columns(self, a: Ball, start: int, stop: int) -> Ball:
        """The classes [start, stop)."""
        rad = a.rad if isinstance(a.rad, float) else np.broadcast_to(a.rad, a.mid.shape)[..., start:stop]
        return self.ball(a.mid[..., start:stop], rad)

    def placed(self, a: Ball, start: int, width: int) -> Ball:
        """`a` as the classes from `start` on, among `width`; 0 at the others."""
        shape = (*a.mid.shape[:-1], width)
        mid, rad = np.zeros(shape), np.zeros(shape)
        mid[..., start : start + a.mid.shape[-1]] = a.mid
        rad[..., start : start + a.mid.shape[-1]] = a.rad
        return self.ball(mid, rad)

    def where(self, mask: np.ndarray, a: Ball, b: Ball) -> Ball:
        """`a` where the mask is true, else `b`."""
        return self.ball(np.where(mask, a.mid, b.mid), np.where(mask, a.rad, b.rad))

    def maximum(self, a: Ball) -> Ball:
        """The largest class, [rows, 1]."""
        mid = a.mid.max(axis=-1, keepdims=True)
        up = (a.mid + a.rad).max(axis=-1, keepdims=True) - mid
        down = mid - (a.mid - a.rad).max(axis=-1, keepdims=True)
        return self.ball(mid, np.maximum(up, down))

    def maximum_vjp(self, a: Ball, g: Ball) -> Ball:
        """g [rows, 1] at the first largest class; charged, wherever a candidate may find the largest."""
        top = a.mid.max(axis=-1, keepdims=True)
        possible = a.mid + a.rad >= (a.mid - a.rad).max(axis=-1, keepdims=True)
        first = np.arange(a.mid.shape[-1]) == self.argmax(a)[:, None]
        unsure = (possible & (a.mid < top) if self.encloses else possible).sum(axis=-1, keepdims=True) > (
            0 if self.encloses else 1
        )
        mid = np.where(first, g.mid, 0.0)
        spread = np.where(possible & unsure, np.abs(g.mid), 0.0) + np.where(possible, g.rad, 0.0)
        return self.ball(mid, spread)

    def clip(self, a: Ball, low: float | None, high: float | None) -> Ball:
        """`a` cut to [low, high]."""
        mid = np.clip(a.mid, low, high)
        up, down = np.clip(a.mid + a.rad, low, high) - mid, mid - np.clip(a.mid - a.rad, low, high)
        return self.ball(mid, np.maximum(up, down))

    def clip_vjp(self, a: Ball, g: Ball, low: float | None, high: float | None) -> Ball:
        """g where `a` lies within [low, high], else 0; both where it may."""
        lower, upper = -np.inf if low is None else low, np.inf if high is None else high
        inside = (a.mid >= lower) & (a.mid <= upper)
        surely = (a.mid - a.rad >= lower) & (a.mid + a.rad <= upper)
        never = (a.mid + a.rad < lower) | (a.mid - a.rad > upper)
        mid = np.where(inside, g.mid, 0.0)
        rad = np.where(never, 0.0, g.rad + np.where(surely, 0.0, np.abs(g.mid)))
        return self.ball(mid, rad)

    def in_range(self, a: Ball) -> Ball:
        """`a`; charged, unbounded where a candidate may have left the range of its format."""
        if self.encloses:
            return a
        beyond = np.abs(a.mid) + a.rad >= self.arithmetic.largest
        return self.ball(a.mid, np.where(beyond, np.inf, a.rad))

    def stop_gradient(self, a: Ball) -> Ball:
        """`a`, which a derivative takes as a constant."""
        return a

    # -- elementary functions --------------------------------------------------------------------------------------

    def log1p(self, a: Ball) -> Ball:
        """log(1 + a)."""
        with np.errstate(all="ignore"):
            return self._elementary(elementary.log1p(a.mid, a.rad, self.arithmetic))

    def expm1(self, a: Ball) -> Ball:
        """exp(a) - 1."""
        with np.errstate(all="ignore"):
            return self._elementary(elementary.expm1(a.mid, a.rad, self.arithmetic))

    def expm1_slope(self, a: Ball) -> Ball:
        """exp(a); charged, as expm1(a) + 1."""
        return self.exp(a) if self.encloses else self.expm1(a) + self.exact(1.0)

    def tanh(self, a: Ball) -> Ball:
        """Hyperbolic tangent."""
        with np.errstate(all="ignore"):
            return self._elementary(elementary.tanh(a.mid, a.rad, self.arithmetic))

    def tanh_slope(self, a: Ball) -> Ball:
        """1 - tanh^2; charged, as 1 - y y from the stored y."""
        with np.errstate(all="ignore"):
            if self.encloses:
                return self._elementary(elementary.tanh_slope(a.mid, a.rad, self.arithmetic))
            return self.ball(*elementary.tanh_slope_as_computed(a.mid, self.tanh(a).rad, self.arithmetic))

    def sqrt(self, a: Ball) -> Ball:
        """Square root."""
        with np.errstate(all="ignore"):
            return self._elementary(elementary.sqrt(a.mid, a.rad, self.arithmetic))

    def cos(self, a: Ball) -> Ball:
        """Cosine."""
        with np.errstate(all="ignore"):
            return self._elementary(elementary.wave(np.cos, a.mid, a.rad, self.arithmetic))

    def sin(self, a: Ball) -> Ball:
        """Sine."""
        with np.errstate(all="ignore"):
            return self._elementary(elementary.wave(np.sin, a.mid, a.rad, self.arithmetic))

    def power(self, a: Ball, exponent: float) -> Ball:
        """a to a constant power; numbers >= 0, or whole exponents."""
        if exponent == 0.0:
            return self.expand(self.exact(1.0), a.mid.shape)
        if exponent == 1.0:
            return a
        with np.errstate(all="ignore"):
            return self._elementary(
                elementary.power(a.mid, a.rad, exponent, self.arithmetic, self._error_of(exponent))
            )

    def reciprocal(self, a: Ball) -> Ball:
        """1 / a."""
        return self.exact(1.0) / a

    def mean(self, a: Ball) -> Ball:
        """Sum over the classes, divided by their number."""
        return self.sum(a) / self.exact(float(a.mid.shape[-1]))

    def logaddexp(self, a: Ball, b: Ball) -> Ball:
        """log(exp a + exp b)."""
        with np.errstate(all="ignore"):
            first, second = (a.mid, np.asarray(a.rad)), (b.mid, np.asarray(b.rad))
            return self._elementary(elementary.logaddexp(first, second, self.arithmetic))

    def share(self, a: Ball, b: Ball) -> Ball:
        """1 / (1 + exp(b - a)), the slope of logaddexp(a, b) along a."""
        with np.errstate(all="ignore"):
            first, second = (a.mid, np.asarray(a.rad)), (b.mid, np.asarray(b.rad))
            return self.ball(*elementary.share(first, second, self.arithmetic))

    # -- backward kernels ------------------------------------------------------------------------------------------

    def softmax_vjp(self, z: Ball, g: Ball) -> Ball:
        """p_j (g_j - sum_k p_k g_k)."""
        p = self.softmax(z)
        if not self.encloses:
            return ball_vjp.softmax_vjp(self, p, g)
        centered = self.center(g, z)
        return p * (centered - self.sum(p * centered))

    def log_softmax_vjp(self, z: Ball, g: Ball, at: np.ndarray | None = None) -> Ball:
        """g_j - p_j sum_k g_k; with `at`, g is [rows, 1] and stands at one class of each row."""
        if not self.encloses:
            # Of the quotient w / s and exp(log p) the latter is the coarser, but for the quotient's two roundings.
            p = self.charged(self.softmax_of_log(z), 2)
            if at is None:
                terms = ((g.mid != 0.0) | (np.asarray(g.rad) != 0.0)).sum(axis=-1, keepdims=True)
                height = np.minimum(np.maximum(terms - 1, 0), self.arithmetic.height(g.mid.shape[-1]))
                return ball_vjp.log_softmax_vjp(self, p, g, height)
            whole = self.replace(self.expand(self.exact(0.0), z.mid.shape), at, g)
            return ball_vjp.log_softmax_vjp(self, p, whole, 0)
        p = self.softmax(z)
        if at is None:
            return g * self.complement(z) - p * self.others(g)
        return self.replace(-(p * g), at, g * self.complement(z, at=at))

    def logsumexp_vjp(self, z: Ball, g: Ball) -> Ball:
        """p_j g; charged, with p = exp(z - logsumexp)."""
        if self.encloses:
            return self.softmax(z) * g
        exponent = z - self.logsumexp(z)
        exponent.log_of = self.exponentials(z)
        return self.exp(exponent) * g
