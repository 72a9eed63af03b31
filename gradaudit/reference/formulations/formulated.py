"""A user's own code: softmax and its kin by one formulation, forward and backward, over balls charged with its steps.

docs/numerics.md, "Their rows" and "A user's own code". The functions are spelled over the primitives of an algebra;
here the primitives are what differs from one sound algorithm to the next.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np

from gradaudit.numerics.arithmetic import Arithmetic
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.numerics.ball_vjp import log_softmax_vjp, softmax_vjp
from gradaudit.numerics.bounds import growth, phi
from gradaudit.numerics.exponentials import grown
from gradaudit.reference.formulations import shifts
from gradaudit.reference.formulations.shifts import Radius, Shift

OWN_OPERATIONS = 6
"""Roundings of a user's spelling beyond those of the formula, each way (docs/numerics.md, "A user's own code")."""

MOST_STORED = 2.0**-3
MOST_MERGED = 2.0**-5
"""So many partial sums (merges), in units of 1/u, may be stored one after another. More of them in so few bits are
no formulation but accumulation in low precision, whose bound would admit anything."""


@dataclass(frozen=True, slots=True)
class Formulation:
    """How logsumexp, log-softmax and softmax are computed.

    `normaliser` is "shifted" (max and log sum apart), "logsumexp" (their sum is formed first), "online" (sums of
    `chunk` classes, rescaled as the maximum grows) or "merged" (logsumexps of `chunk` classes, merged by logaddexp
    in a tree of `levels`(number of them)). `shift` is what is taken away beforehand and not detached. With
    `softmax_by_log` a softmax is the exponential of a log-softmax, in the backward too. `apart`: normalisers and
    logits are added up over the rows each for themselves.
    """

    name: str
    normaliser: str = "shifted"
    chunk: int = 0
    tree: str = ""
    shift: Shift | None = None
    softmax_by_log: bool = False
    apart: bool = False

    @property
    def by_log(self) -> bool:
        """Whether a softmax may be the exponential of a log-softmax, which is the coarser way."""
        return self.softmax_by_log or self.looser

    @property
    def looser(self) -> bool:
        """Whether digits are lost that the shifted formulation keeps."""
        return self.normaliser != "shifted" or self.shift is not None

    @property
    def hides_tail(self) -> bool:
        """Whether small probabilities may be off by more than their own size."""
        return self.normaliser == "merged" or self.shift is not None

    @property
    def common_offset(self) -> bool:
        """Whether those of a common offset are."""
        return self.normaliser != "shifted"


class Formulated(BallAlgebra):
    """The algebra of balls charged with `arithmetic`, its softmaxes computed as `formulation` says."""

    def __init__(self, arithmetic: Arithmetic, formulation: Formulation, count: float = 1.0, batch: int = 1) -> None:
        super().__init__(arithmetic)
        self.formulation = formulation
        self.batch = batch
        # A candidate may divide by the mean's denominator first and multiply by the upstream gradient last.
        self.count = max(count, 1.0)
        self._inner_of: tuple[Ball, Ball] | None = None
        self._probabilities_of: tuple[Ball, Ball] | None = None

    @cached_property
    def own(self) -> float:
        """Relative error of the candidate's own further operations."""
        return phi(OWN_OPERATIONS * self.arithmetic.u_operation)

    # -- forward -------------------------------------------------------------------------------------------------

    def rounded(self, mid: np.ndarray, rad: Radius, *, underflows: bool = False) -> Ball:
        """An operation of the formula may be two of the candidate's."""
        once = super().rounded(mid, rad, underflows=underflows)
        return super().rounded(once.mid, once.rad, underflows=underflows)

    def logsumexp(self, z: Ball) -> Ball:
        """log sum_k exp(z_k), [rows, 1]."""
        form, u = self.formulation, self.arithmetic.u
        if form.normaliser == "merged":
            return self._merged_logsumexp(z)
        inner, m = self._inner(z), self._inside(z)
        rows, alpha = self.exponentials(z), m.exponent_errors(inner).alpha
        mid = rows.top + rows.log_total
        if form.shift is not None:
            at = form.shift.value(z.mid)
            alpha = alpha + u * (np.abs(mid - at) + alpha)
        return self.stored(mid, alpha + u * (np.abs(mid) + alpha))

    def log_softmax(self, z: Ball, at: np.ndarray | None = None) -> Ball:
        """z_j - log sum_k exp(z_k)."""
        if self.formulation.normaliser == "shifted":
            return super().log_softmax(self._inner(z), at)
        rows, u = self.exponentials(z), self.arithmetic.u
        own = z if at is None else self.take(z, at)
        mid = rows.log_p if at is None else np.take_along_axis(rows.log_p, at[:, None], axis=-1)
        error = np.asarray(own.rad) + self.logsumexp(z).rad
        if self.formulation.shift is not None:
            error = error + np.asarray((self._inner(z) if at is None else self.take(self._inner(z), at)).rad)
        return self.stored(mid, error + u * (np.abs(mid) + error), rows if at is None else None)

    def softmax(self, z: Ball) -> Ball:
        """exp(z_j) / sum_k exp(z_k)."""
        return self.probabilities(z) if self.formulation.by_log else self.charged(super().softmax(z), 2)

    def probabilities(self, z: Ball) -> Ball:
        """softmax as a backward forms it: of the quotient and exp of the log-softmax the coarser."""
        if self._probabilities_of is None or self._probabilities_of[0] is not z:
            self._probabilities_of = z, self._probabilities(z)
        return self._probabilities_of[1]

    def _probabilities(self, z: Ball) -> Ball:
        form = self.formulation
        if form.normaliser == "shifted":
            # exp(log p) has all that the quotient has but for the quotient's own two roundings.
            return self.charged(super().softmax_of_log(self._inner(z)), 2)
        if form.normaliser == "merged":
            return self._merged_probabilities(z)
        rows, a = self.exponentials(z), self.arithmetic
        kept = BallAlgebra(a).exp(Ball(self, rows.log_p, self.log_softmax(z).rad, rows))
        if form.normaliser == "logsumexp":
            return Ball(self, kept.mid, kept.rad)
        # Either exp(z - logsumexp), or every chunk's own exponentials on their way back through the rescalings.
        m, steps = self._inside(z), self._rescalings(z) + 3.0
        errors = m.exponent_errors(self._inner(z))
        passed = grown(rows, errors, m.arithmetic.e + errors.sigma + steps * a.u) + steps * a.eta
        return Ball(self, rows.p, np.maximum(kept.rad, passed))

    # -- backward ------------------------------------------------------------------------------------------------

    def log_softmax_vjp(self, z: Ball, g: Ball, at: np.ndarray | None = None) -> Ball:
        """g_j - p_j sum_k g_k."""
        p = self.probabilities(z)
        height: np.ndarray | int = 0
        if at is None:
            terms = ((g.mid != 0.0) | (np.asarray(g.rad) != 0.0)).sum(axis=-1, keepdims=True)
            height = np.minimum(np.maximum(terms - 1, 0), self.arithmetic.height(g.mid.shape[-1]))
        else:
            g = self.replace(self.expand(self.exact(0.0), z.mid.shape), at, g)
        size = np.abs(g.mid) + np.asarray(g.rad)
        total = size.sum(axis=-1, keepdims=True)
        return self.finished(z, log_softmax_vjp(self, p, g, height), size + p.mid * total, total)

    def logsumexp_vjp(self, z: Ball, g: Ball) -> Ball:
        """p_j g."""
        product = self.probabilities(z) * g
        size = np.abs(g.mid) + np.asarray(g.rad)
        return self.finished(z, product, np.abs(product.mid), size)

    def softmax_vjp(self, z: Ball, g: Ball) -> Ball:
        """p_j (g_j - sum_k p_k g_k)."""
        p, by_log = self.softmax(z), self.formulation.by_log
        size = p.mid * (np.abs(g.mid) + np.asarray(g.rad))
        total = size.sum(axis=-1, keepdims=True)
        result = log_softmax_vjp(self, self.probabilities(z), p * g) if by_log else softmax_vjp(self, p, g)
        # g / s^2 on its way to the sum of the exponentials, from where every exponential multiplies it again.
        lost = np.abs(g.mid).sum(axis=-1, keepdims=True) + self.exponentials(z).n * np.max(g.rad, initial=0.0)
        lost = 2.0 * self.arithmetic.eta_operation * lost * self.exponentials(z).weight
        return self.finished(z, Ball(self, result.mid, result.rad + lost), size + p.mid * total, total)

    def finished(self, z: Ball, gradient: Ball, terms: np.ndarray, total: np.ndarray) -> Ball:
        """A gradient of the logits with what the candidate's own operations and its attached shift add.

        `terms` [rows, n] are the sizes of what was added up to it, `total` [rows, 1] that of the cotangents.
        """
        a, shift = self.arithmetic, self.formulation.shift
        rad = np.asarray(gradient.rad) + self.own * (terms + gradient.rad)
        rad = rad + OWN_OPERATIONS * a.eta_operation * (1.0 + total * self.count)
        if shift is not None:
            rad = rad + self._residual(rad, total, z) * shift.jacobian(z.mid, z.rad)
        return Ball(self, gradient.mid, rad)

    def _residual(self, rad: np.ndarray, total: np.ndarray, z: Ball) -> np.ndarray:
        """What the computed gradient of a row adds up to, instead of 0: it flows back through the shift."""
        a = self.arithmetic
        # Computed cotangents add up to 2 `total` in size, before or after they were added to one another.
        moved = rad.sum(axis=-1, keepdims=True)
        roundings = a.height(rad.shape[-1]) * a.u_sum + 4.0 * (a.u_sum + a.u_operation)
        if self.formulation.normaliser == "online":
            # A maximum that lasts collects what is left over in each chunk.
            roundings += 6.0 * self._chunks(z) * a.u_operation
        left = moved + roundings * (2.0 * total + moved)
        return left * (1.0 + 4.0 * a.u_operation) + 2.0 * a.eta_operation

    # -- parts ---------------------------------------------------------------------------------------------------

    def _inner(self, z: Ball) -> Ball:
        """The logits after an attached shift, but for what all of a row have in common."""
        shift = self.formulation.shift
        if shift is None:
            return z
        if self._inner_of is None or self._inner_of[0] is not z:
            off = np.abs(z.mid - shift.value(z.mid)) + shift.error(z.mid, self.arithmetic) + np.asarray(z.rad)
            inner = Ball(self, z.mid, np.asarray(z.rad) + self.arithmetic.u_operation * off)
            inner.rows = self.exponentials(z)
            self._inner_of = z, inner
        return self._inner_of[1]

    def _inside(self, z: Ball) -> BallAlgebra:
        """The algebra of the sums: online ones round with every chunk, and lose an exponential where they rescale."""
        a = self.arithmetic
        if self.formulation.normaliser != "online":
            return BallAlgebra(a)
        chunks, rescalings = self._chunks(z), self._rescalings(z)
        e = (rescalings + 1.0) * a.e + rescalings * a.u
        # Sums of chunks are stored before they are added to one another: K u, in units of the sum's own roundings.
        stored = ceil(chunks * a.u_operation / a.u_sum)
        return BallAlgebra(replace(a, e=e, height=lambda n: a.height(n) + stored))

    def _chunks(self, z: Ball) -> float:
        """The number of chunks, as far as adding up so many in this precision is sound."""
        return min(float(-(-self.shape(z)[-1] // self.formulation.chunk)), MOST_STORED / self.arithmetic.u)

    def _rescalings(self, z: Ball) -> float:
        """How often the running maximum may grow: else the rescaling is a product with exp(0) = 1."""
        return min(self._chunks(z), float(shifts.growths(z.mid, z.rad).max(initial=0)))

    # -- logsumexps of parts, merged -----------------------------------------------------------------------------

    def _levels(self, n: int) -> int:
        form = self.formulation
        parts = -(-n // form.chunk) if form.chunk else 2
        levels = int(np.ceil(np.log2(max(parts, 2)))) if form.tree == "pairs" else parts - 1
        return max(1, min(levels, int(MOST_MERGED / self.arithmetic.u)))

    def _leaves(self, z: Ball) -> tuple[np.ndarray, int]:
        """Row b of docs/numerics.md: error of each logit as it reaches the root, and the number of levels."""
        a, rows = self.arithmetic, self.exponentials(z)
        n = rows.n
        form = self.formulation
        # Two parts may be of any sizes.
        size = min(form.chunk, n) if form.chunk else n - 1
        levels = self._levels(n)
        whole = rows.top + rows.log_total
        largest = np.maximum(np.abs(z.mid), np.abs(whole)) + np.asarray(z.rad)
        of_merge = 0.28 * a.u + a.e / 2.0 + 0.7 * a.l + a.u
        node = 1.01 * a.u * (largest + of_merge) + of_merge + a.eta
        beta = 0.0
        if size > 1:
            log_size = float(np.log(size))
            beta = phi(a.e + a.height(size) * a.u_sum + log_size * a.u + size * a.eta + a.u_statistics)
            beta += (a.l + a.u_statistics) * log_size
        leaf = beta + (a.u * largest if size > 1 else 0.0)
        return np.asarray(z.rad) + leaf + levels * node, levels

    def _merged_logsumexp(self, z: Ball) -> Ball:
        rows, (delta, _) = self.exponentials(z), self._leaves(z)
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.where(rows.p > 0.0, rows.p * np.expm1(delta), 0.0).sum(axis=-1, keepdims=True)
        return self.stored(rows.top + rows.log_total, error)

    def _merged_probabilities(self, z: Ball) -> Ball:
        a, rows, (delta, levels) = self.arithmetic, self.exponentials(z), self._leaves(z)
        with np.errstate(over="ignore", invalid="ignore"):
            tau = delta + np.asarray(self._merged_logsumexp(z).rad)
            exponent = tau + a.u * (np.abs(rows.log_p) + tau)
            moved = rows.p * growth(exponent, (levels + 1.0) * a.e + 2.3 * levels * a.u)
        # exp(D) of 1 / (1 + exp(D)) overflows where the share is still a normal number, 4 / largest at most.
        return self.stored(rows.p, moved + 8.0 / a.largest)


PLAIN = Formulation("shifted")
BY_LOG = Formulation("exp(log_softmax)", softmax_by_log=True)
BY_LOGSUMEXP = Formulation("logsumexp", "logsumexp")
APART = Formulation("logsumexp and logits averaged apart", "logsumexp", apart=True)
MAXIMUM = Formulation("maximum not detached", shift=shifts.MAXIMUM)
FIRST = Formulation("first logit taken away", shift=shifts.FIRST)
ONLINE = Formulation("online, chunks of 64", "online", 64)
ONLINE_ANY = Formulation("online", "online", 1)
PARTS = Formulation("two parts merged", "merged")
PAIRS = Formulation("pairs merged", "merged", 1, "pairs")
CHUNKS = Formulation("chunks of 64 merged", "merged", 64)
CLASSES = Formulation("classes merged one by one", "merged", 1)
ONLINE_ATTACHED = Formulation("online, maxima of 64 not detached", "online", 64, shift=shifts.MAXIMA_OF_64)
MEAN = Formulation("mean taken away", shift=shifts.MEAN)
MAXIMUM_LOGSUMEXP = Formulation("logsumexp, maximum not detached", "logsumexp", shift=shifts.MAXIMUM)
FIRST_LOGSUMEXP = Formulation("logsumexp, first logit taken away", "logsumexp", shift=shifts.FIRST)
MEAN_LOGSUMEXP = Formulation("logsumexp, mean taken away", "logsumexp", shift=shifts.MEAN)
ONLINE_ATTACHED_ANY = Formulation("online, maxima not detached", "online", 1, shift=shifts.RECORDS)

FORMULATIONS = (
    PLAIN,
    BY_LOGSUMEXP,
    ONLINE,
    ONLINE_ANY,
    MAXIMUM,
    FIRST,
    MAXIMUM_LOGSUMEXP,
    FIRST_LOGSUMEXP,
    ONLINE_ATTACHED_ANY,
    ONLINE_ATTACHED,
    PARTS,
    PAIRS,
    CHUNKS,
    CLASSES,
    MEAN,
    MEAN_LOGSUMEXP,
)
"""Tightest first; those whose gradients of small probabilities are hidden come last."""

VARIANTS = (ONLINE, MAXIMUM_LOGSUMEXP, FIRST_LOGSUMEXP, ONLINE_ATTACHED, PARTS, CHUNKS, MEAN_LOGSUMEXP)
"""Those that differ from another one by little: for cross entropy and its kin alone."""
