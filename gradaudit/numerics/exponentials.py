"""What a row of logits is to its softmax: computed once in float64, shared by every bound on that row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gradaudit.numerics.arithmetic import Arithmetic
from gradaudit.numerics.bounds import growth, phi

AFFINE_LIMIT = 2.0**-4
"""Largest error of an exponent for which its growth is bounded by a straight line (at most 3 % above it)."""


class RowExponentials:
    """Gaps, weights and sums of rows of finite logits, shape [rows, n]; row scalars have shape [rows, 1].

    In the notation of docs/numerics.md: `top` = a, `gap` = t, `weight` = exp(-t), `total` = s, `rest` = s without
    the largest class's own 1, `log_total` = log s, `p` = softmax, `log_p` = log-softmax, `spread` = D.
    """

    def __init__(self, z: np.ndarray) -> None:
        self.n = z.shape[-1]
        self.argmax = np.argmax(z, axis=-1)[:, None]
        self.top = np.take_along_axis(z, self.argmax, axis=-1)
        self.gap = self.top - z
        self.weight = np.exp(np.negative(self.gap))
        self.total = self.weight.sum(axis=-1, keepdims=True)

    @cached_property
    def rest(self) -> np.ndarray:
        """Sum of the weights of all classes but the (first) largest."""
        # The largest weight is exactly 1; leaving it out beforehand keeps every digit of a small rest.
        np.put_along_axis(self.weight, self.argmax, 0.0, axis=-1)
        rest: np.ndarray = self.weight.sum(axis=-1, keepdims=True)
        np.put_along_axis(self.weight, self.argmax, 1.0, axis=-1)
        return rest

    @cached_property
    def log_total(self) -> np.ndarray:
        """log s, as log1p of the rest."""
        return np.log1p(self.rest)

    @cached_property
    def p(self) -> np.ndarray:
        """softmax."""
        return self.weight / self.total

    @cached_property
    def log_p(self) -> np.ndarray:
        """log-softmax; -log1p(rest) at the largest class."""
        return np.negative(self.gap) - self.log_total

    @cached_property
    def spread(self) -> np.ndarray:
        """D = sum p t, the mean gap."""
        return np.einsum("ij,ij->i", self.weight, self.gap)[:, None] / self.total

    @cached_property
    def widest(self) -> np.ndarray:
        """The largest gap."""
        return self.gap.max(axis=-1, keepdims=True)


@dataclass(frozen=True, slots=True, eq=False)
class ExponentErrors:
    """What the candidate's exponents and sums may be off by.

    `linear` [rows, 1]: where it is not None, the growth exp(E_j) - 1 of exponent j is at most linear * t_j and
    `error` is None; else `error` [rows, n] holds E_j. `shift` is the absolute error of the largest logit, which all
    exponents of a row share and which `error` leaves out. `sigma` [rows, 1] is the relative error of the row's sum,
    `alpha` [rows, 1] the absolute error of its logarithm plus what the shift adds.
    """

    linear: np.ndarray | None
    error: np.ndarray | None
    shift: np.ndarray | float
    sigma: np.ndarray
    alpha: np.ndarray


def exponent_errors(rows: RowExponentials, delta: np.ndarray | float, arithmetic: Arithmetic) -> ExponentErrors:
    """Errors of exp(z - max z) and of its sum when the logits z carry an absolute error of at most `delta`.

    docs/numerics.md, "Generic rows": E_j = delta_j + u (t_j + delta_j + Delta), with an error that is common to
    the row left out; sigma = phi(sum_i p_i R(E_i, e) + h u_sum + n eta / s).
    """
    u, height = arithmetic.u, arithmetic.height(rows.n)
    floor = rows.n * arithmetic.eta / rows.total
    shift: np.ndarray | float = 0.0
    linear: np.ndarray | None = None
    error: np.ndarray | None = None
    exact = isinstance(delta, float) and delta == 0.0
    if exact and float(u * rows.widest.max(initial=0.0)) <= AFFINE_LIMIT:
        linear = u / (1.0 - 0.5 * u * rows.widest)
        factor = phi(arithmetic.e)
        weighted = factor + (1.0 + factor) * linear * rows.spread
    else:
        delta = np.broadcast_to(np.asarray(delta), rows.gap.shape)
        lead = np.take_along_axis(delta, rows.argmax, axis=-1)
        shift = np.maximum(lead, np.max(delta - rows.gap, axis=-1, keepdims=True))
        error = delta + u * (rows.gap + delta + shift)
        weighted = _grown_weights(rows, error, arithmetic.e).sum(axis=-1, keepdims=True) / rows.total
    sigma = phi(weighted + height * arithmetic.u_sum + floor + arithmetic.u_statistics)
    logarithm = rows.log_total + shift + sigma
    alpha = sigma + (arithmetic.l_statistics + arithmetic.u_statistics) * logarithm
    return ExponentErrors(linear, error, shift, sigma, alpha)


def grown(rows: RowExponentials, errors: ExponentErrors, factors: np.ndarray | float) -> np.ndarray:
    """p_j R(E_j, factors): absolute error of p_j under the exponent's error and rounding factors [rows, 1]."""
    bound = phi(factors)
    if errors.linear is not None:
        slope = errors.linear * (1.0 + bound)
        result: np.ndarray = rows.gap * slope
        result += bound
        result *= rows.p
        return result
    assert errors.error is not None
    return _grown_weights(rows, errors.error, factors) / rows.total


def _grown_weights(rows: RowExponentials, error: np.ndarray, factors: np.ndarray | float) -> np.ndarray:
    """w_j R(E_j, factors); where E_j is large, exp(E_j - t_j) is formed at once, lest 0 * inf make a NaN."""
    with np.errstate(over="ignore", invalid="ignore"):
        ordinary = rows.weight * growth(np.minimum(error, 1.0), factors)
        upper = np.exp(error - rows.gap)
        large = (upper - rows.weight) + phi(factors) * upper
    return np.where(error <= 1.0, ordinary, large)
