"""The exact values of softmax, its relatives and cross entropy, straight from their definitions.

An oracle for the tests alone: python-flint balls (`arb`) of 256 bits, scalar by scalar, from the exact values of
the floats in an `Inputs` record. It shares no expression with `gradaudit`: there is no shift by the maximum, no
running bound and no array arithmetic. `exp` of every logit is taken as it stands (arb's exponents are unbounded)
and every formula is the definition, or its derivative, written out:

    p_j = exp(z_j) / sum_k exp(z_k),  z = x * logit_scale / temperature,  d p_k / d x_j = p_k ([k = j] - p_j) dz/dx
    loss_i = -sum_j t_ij log p_ij,    d loss_i / d x_ij = (T_i p_ij - t_ij) dz/dx,  T_i = sum_j t_ij

Where such a formula cancels below the promised accuracy, the numerator is written as a sum of exponentials with
exact rational coefficients, equal logits are gathered, and the precision is raised until the digits are there.
The sum is exactly 0 if and only if every gathered coefficient is 0 (Lindemann-Weierstrass), so zeros are decided
and not guessed.

What a value may be: an `arb` with relative radius below 2^-120; the exact `arb` 0; an infinite `arb` (the logarithm
of a probability that is exactly 0, and a loss that contains it with positive weight); or None for 0/0, which
stands for the mean over no valid row and its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import inf, isfinite, isnan, nextafter, prod
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq  # noqa: TID253 (the oracle is not part of the package)

from gradaudit.records.inputs import Inputs

BITS = 256
REQUIRED_BITS = 120
MOST_BITS = 1 << 15

Exact = Any
"""`arb`, `fmpq`, or None for 0/0. (python-flint's types are not annotated well enough to say more.)"""


class UnresolvedError(ArithmeticError):
    """A value has too few digits at the working precision."""


def evaluate(inputs: Inputs, required_bits: int = REQUIRED_BITS) -> dict[str, np.ndarray]:
    """Return the exact `output` and `gradient` (or `jacobian`, for `per_output`) as object arrays of `arb`.

    Their relative radius is below 2^-required_bits, where it is not 0.

    Shapes: softmax and log_softmax the logits' own; logsumexp and cross_entropy without reduction the logits'
    without the class axes; mean and sum `()`. The gradient has the logits' shape, the Jacobian `[K, *logits]`
    with K the number of classes, or `[1, *logits]` where a row has one output. An upstream of None without
    `per_output` is ones. Raises ValueError for NaN and +inf logits, rows without a finite logit, other
    non-finite inputs and labels out of range.
    """
    with np.errstate(all="raise"):
        problem = _Problem(inputs, required_bits)
    bits = max(BITS, 2 * required_bits)
    while True:
        try:
            with ctx.workprec(bits):
                return _FUNCTIONS[inputs.function.name](problem)
        except UnresolvedError:
            bits *= 2
            if bits > MOST_BITS:
                raise


class _Problem:
    """The arrays of an `Inputs` record as rows of Python floats; classes that are masked are left out."""

    def __init__(self, inputs: Inputs, required_bits: int) -> None:
        self.required_bits = required_bits
        parameters = inputs.function.parameters
        self.inputs = inputs
        self.parameters = parameters
        self.shape = inputs.logits.shape
        self.class_axes = tuple(inputs.axis)
        self.row_shape = tuple(size for axis, size in enumerate(self.shape) if axis not in self.class_axes)
        self.rows = prod(self.row_shape)
        self.class_count = prod(self.shape[axis] for axis in self.class_axes)
        if not self.rows or not self.class_count:
            raise ValueError(f"logits of shape {self.shape} hold no element")
        masked = {int(index) for index in parameters.get("masked_classes") or ()}
        self.kept = [index for index in range(self.class_count) if index not in masked]
        self.multiplier = _exact(parameters.get("logit_scale", 1.0)) / _exact(parameters.get("temperature", 1.0))
        if not self.multiplier:
            raise ValueError("logit_scale is 0")
        self.logits = self.by_row(inputs.logits)
        for row in self.logits:
            if any(isnan(x) or x == inf for x in row):
                raise ValueError("the oracle has no value for NaN and +inf logits")
            if all(x == -inf for x in row):
                raise ValueError("the oracle has no value for a row without a finite logit")
        if any(x == -inf for row in self.logits for x in row) and self.multiplier < 0:
            raise ValueError("a negative logit_scale turns -inf into +inf")
        self.exponentials: dict[tuple[int, float], Exact] = {}

    def is_resolved(self, value: Exact) -> bool:
        """Whether a ball has the promised accuracy (an exact value has it, infinities included)."""
        return value.rel_accuracy_bits() >= self.required_bits or value.is_exact()

    def by_row(self, array: np.ndarray) -> list[list[float]]:
        """An array of the logits' shape as rows of the kept classes (class axes flattened in C order)."""
        last = range(-len(self.class_axes), 0)
        flat = np.moveaxis(array, self.class_axes, last).reshape(self.rows, self.class_count)
        return flat[:, self.kept].astype(np.float64).tolist()

    def from_rows(self, values: Sequence[Sequence[Exact]], masked: Exact) -> np.ndarray:
        """The inverse of `by_row`; what belongs to a masked class is `masked`."""
        flat = np.full((self.rows, self.class_count), masked, dtype=object)
        for row, entries in enumerate(values):
            flat[row, self.kept] = _objects(entries)
        class_shape = tuple(self.shape[axis] for axis in self.class_axes)
        unflattened = flat.reshape(self.row_shape + class_shape)
        return np.moveaxis(unflattened, range(-len(self.class_axes), 0), self.class_axes)

    def upstream_by_row(self) -> list[list[float]]:
        """The upstream gradient of softmax and log_softmax."""
        if self.inputs.upstream is None:
            return [[1.0] * len(self.kept)] * self.rows
        rows = self.by_row(np.broadcast_to(self.inputs.upstream, self.shape))
        _require_finite("upstream", (value for row in rows for value in row))
        return rows

    def upstream_of_rows(self) -> list[float]:
        """The upstream gradient of a function with one output a row (a scalar output: the same for all)."""
        if self.inputs.per_output or self.inputs.upstream is None:
            return [1.0] * self.rows
        values = np.broadcast_to(self.inputs.upstream, self.row_shape).astype(np.float64).ravel().tolist()
        _require_finite("upstream", values)
        return values


class _Row:
    """The exponentials of one row at the working precision, and their sum.

    A row whose finite logits are all equal is counted in units of its exponential, so that its probabilities
    1/m are balls of radius 0 where 1/m is a binary fraction.
    """

    def __init__(self, problem: _Problem, logits: Sequence[float]) -> None:
        self.problem = problem
        self.logits = logits
        finite = {x for x in logits if x != -inf}
        self.origin = finite.pop() if len(finite) == 1 else 0.0
        self.exponentials = [self.exponential(x, ctx.prec) for x in logits]
        self.total = sum(self.exponentials, arb(0))
        inverse = 1 / self.total
        self.probabilities = [value * inverse for value in self.exponentials]
        self.multiplier = arb(problem.multiplier)

    def exponential(self, x: float, bits: int) -> Exact:
        """exp(multiplier (x - origin)) with `bits` digits, whatever the size of x."""
        if x == -inf:
            return arb(0)
        if x == self.origin:
            return arb(1)
        if self.origin:  # only a vanished logit can differ from the origin of such a row
            raise AssertionError((x, self.origin))
        found = self.problem.exponentials.get((bits, x))
        if found is None:
            found = self.problem.exponentials[bits, x] = _exponential(x, self.problem.multiplier, bits)
        return found

    def combination(self, terms: Iterable[tuple[Exact, float]]) -> Exact:
        """sum of coefficient * exp(multiplier (x - origin)) over (coefficient, x), to the promised accuracy."""
        gathered: dict[float, Exact] = {}
        for coefficient, x in terms:
            gathered[x] = gathered.get(x, fmpq(0)) + coefficient
        left = [(x, coefficient) for x, coefficient in gathered.items() if coefficient and x != -inf]
        if not left:
            return arb(0)
        bits = ctx.prec
        while bits <= MOST_BITS:
            with ctx.workprec(bits):
                value = sum((arb(c) * self.exponential(x, bits) for x, c in left), arb(0))
            if value.rel_accuracy_bits() >= self.problem.required_bits + 32:
                return value
            bits *= 2
        raise UnresolvedError(f"{len(left)} exponentials cancel beyond {MOST_BITS} bits")

    def complement(self, index: int) -> Exact:
        """1 - p of a class: what the other classes have of the sum."""
        return self.combination((1, x) for other, x in enumerate(self.logits) if other != index) / self.total

    def logit(self, index: int) -> Exact:
        return arb(self.logits[index]) * self.multiplier

    def log_probability(self, index: int) -> Exact:
        """log p of a class; -inf where the logit is."""
        if self.logits[index] == -inf:
            return arb("-inf")
        if self.origin:
            return -self.total.log()
        value = self.logit(index) - self.total.log()
        if self.problem.is_resolved(value):
            return value
        # p = 1 / (1 + sum of the others / exp(z)), so that log p has a logarithm of 1 + something small.
        others = self.combination((1, x) for other, x in enumerate(self.logits) if other != index)
        return -(others / self.exponentials[index]).log1p()

    def log_total(self) -> Exact:
        """log of the sum of the exponentials of the logits themselves."""
        value = self.total.log() + arb(self.origin) * self.multiplier
        if self.problem.is_resolved(value) or self.origin:
            return value
        return self.combination([(1, x) for x in self.logits] + [(-1, 0.0)]).log1p()


def _softmax(problem: _Problem) -> dict[str, np.ndarray]:
    rows = [_Row(problem, logits) for logits in problem.logits]
    output = [row.probabilities for row in rows]
    if problem.inputs.per_output:
        return {
            "output": problem.from_rows(_resolved(problem, output), arb(0)),
            "jacobian": _jacobian(problem, [_softmax_jacobian(row) for row in rows]),
        }
    gradient = [_softmax_product(row, g) for row, g in zip(rows, problem.upstream_by_row(), strict=True)]
    return {
        "output": problem.from_rows(_resolved(problem, output), arb(0)),
        "gradient": problem.from_rows(_resolved(problem, gradient), arb(0)),
    }


def _softmax_product(row: _Row, upstream: Sequence[float]) -> list[Exact]:
    """sum_k g_k d p_k / d x_j = p_j (g_j - sum_k p_k g_k) dz/dx."""
    mean = sum((p * g for p, g in zip(row.probabilities, upstream, strict=True)), arb(0))
    deviations: dict[float, Exact] = {}  # g_j - mean depends on the class by g_j alone
    for g in set(upstream):
        deviation = g - mean
        if not row.problem.is_resolved(deviation):
            exact = _exact(g)
            terms = ((exact - _exact(other), x) for other, x in zip(upstream, row.logits, strict=True))
            deviation = row.combination(terms) / row.total
        deviations[g] = deviation * row.multiplier if row.problem.multiplier != 1 else deviation
    return [p * deviations[g] for p, g in zip(row.probabilities, upstream, strict=True)]


def _softmax_jacobian(row: _Row) -> list[list[Exact]]:
    """d p_k / d x_j = p_k ([k = j] - p_j) dz/dx."""
    matrix = []
    for k, p_k in enumerate(row.probabilities):
        scaled = p_k * row.multiplier
        line = [-(scaled * p_j) for p_j in row.probabilities]
        line[k] = scaled * _one_minus(row, k)
        matrix.append(line)
    return matrix


def _one_minus(row: _Row, index: int) -> Exact:
    value = 1 - row.probabilities[index]
    return value if row.problem.is_resolved(value) else row.complement(index)


def _log_softmax(problem: _Problem) -> dict[str, np.ndarray]:
    rows = [_Row(problem, logits) for logits in problem.logits]
    output = [[row.log_probability(index) for index in range(len(row.logits))] for row in rows]
    if problem.inputs.per_output:
        return {
            "output": problem.from_rows(_resolved(problem, output), arb("-inf")),
            "jacobian": _jacobian(problem, [_log_softmax_jacobian(row) for row in rows]),
        }
    gradient = [_log_softmax_product(row, g) for row, g in zip(rows, problem.upstream_by_row(), strict=True)]
    return {
        "output": problem.from_rows(_resolved(problem, output), arb("-inf")),
        "gradient": problem.from_rows(_resolved(problem, gradient), arb(0)),
    }


def _log_softmax_product(row: _Row, upstream: Sequence[float]) -> list[Exact]:
    """sum_k g_k d log p_k / d x_j = (g_j - p_j sum_k g_k) dz/dx; at a -inf logit, the limit."""
    mass = sum(map(_exact, upstream), fmpq(0))
    mass_ball = arb(mass)
    product = []
    for index, (p, g) in enumerate(zip(row.probabilities, upstream, strict=True)):
        value = g - p * mass_ball
        if not row.problem.is_resolved(value):
            exact = _exact(g)
            terms = [(exact, x) for x in row.logits]
            terms.append((-mass, row.logits[index]))
            value = row.combination(terms) / row.total
        product.append(value * row.multiplier)
    return product


def _log_softmax_jacobian(row: _Row) -> list[list[Exact]]:
    """d log p_k / d x_j = ([k = j] - p_j) dz/dx."""
    negated = [-(p * row.multiplier) for p in row.probabilities]
    matrix = [list(negated) for _ in row.probabilities]
    for k in range(len(negated)):
        matrix[k][k] = _one_minus(row, k) * row.multiplier
    return matrix


def _logsumexp(problem: _Problem) -> dict[str, np.ndarray]:
    rows = [_Row(problem, logits) for logits in problem.logits]
    output = [[row.log_total()] for row in rows]
    gradient = [
        [p * row.multiplier * g for p in row.probabilities]
        for row, g in zip(rows, problem.upstream_of_rows(), strict=True)
    ]
    values = [value for (value,) in _resolved(problem, output)]
    return {
        "output": _objects(values).reshape(problem.row_shape),
        **_named(problem, problem.from_rows(_resolved(problem, gradient), arb(0))),
    }


def _named(problem: _Problem, gradient: np.ndarray) -> dict[str, np.ndarray]:
    """The gradient of a function with one output a row, which is also its Jacobian."""
    return {"jacobian": gradient[np.newaxis]} if problem.inputs.per_output else {"gradient": gradient}


def _cross_entropy(problem: _Problem) -> dict[str, np.ndarray]:
    """Losses and their gradients; a row is described by its targets t_ij as exact rationals."""
    reduction = str(problem.parameters.get("reduction", "mean"))
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction {reduction!r} is none of none, mean, sum")
    targets, denominator = _targets(problem)
    if reduction != "mean":
        denominator = fmpq(1)
    losses: list[Exact] = []
    gradient: list[list[Exact]] = []
    upstream = problem.upstream_of_rows()
    for logits, t, g in zip(problem.logits, targets, upstream, strict=True):
        if not any(t.values()):
            losses.append(arb(0))
            gradient.append([arb(0)] * len(logits))
            continue
        row = _Row(problem, logits)
        losses.append(_loss(row, t))
        if denominator:
            factor = arb(_exact(g) * problem.multiplier / denominator)
            gradient.append([value * factor for value in _loss_gradient(row, t)])
    if reduction == "none":
        output = _objects(losses).reshape(problem.row_shape)
    elif denominator:
        output = _objects([sum(losses, arb(0)) / arb(denominator)]).reshape(())
    else:
        output = _objects([None]).reshape(())
    _resolved(problem, [output.ravel().tolist()])
    if denominator:
        exact = problem.from_rows(_resolved(problem, gradient), arb(0))
    else:
        exact = np.full(problem.shape, None, dtype=object)
    return {"output": output, **_named(problem, exact)}


def _targets(problem: _Problem) -> tuple[list[dict[int, Exact]], Exact]:
    """The non-zero t_ij by kept class, row by row, and the denominator of the mean (0: there is no valid row)."""
    given = problem.inputs.targets
    if given is None:
        raise ValueError("cross_entropy needs targets")
    smoothing = _exact(problem.parameters.get("label_smoothing", 0.0))
    count = len(problem.kept)
    weight = [fmpq(1)] * count
    if problem.inputs.weight is not None:
        values = problem.inputs.weight.astype(np.float64).ravel()[problem.kept].tolist()
        _require_finite("weight", values)
        weight = [_exact(value) for value in values]
    spread = {j: smoothing / count * w for j, w in enumerate(weight) if smoothing and w}
    if given.dtype.kind not in "iu":
        rows = problem.by_row(given)
        _require_finite("targets", (value for row in rows for value in row))
        soft = []
        for row in rows:
            t = dict(spread)
            for j, q in enumerate(row):
                if q and weight[j]:
                    t[j] = t.get(j, fmpq(0)) + weight[j] * (1 - smoothing) * _exact(q)
            soft.append(t)
        return soft, fmpq(problem.rows)
    ignored = problem.parameters.get("ignore_index", -100)
    position = {original: kept for kept, original in enumerate(problem.kept)}
    hard: list[dict[int, Exact]] = []
    denominator = fmpq(0)
    for label in given.ravel().tolist():
        if label == ignored:
            hard.append({})
            continue
        if label not in position:
            raise ValueError(f"label {label} is no class that takes part")
        y = position[label]
        t = dict(spread)
        t[y] = t.get(y, fmpq(0)) + (1 - smoothing) * weight[y]
        hard.append(t)
        denominator += weight[y]
    if len(hard) != problem.rows:
        raise ValueError(f"{len(hard)} labels for {problem.rows} rows")
    return hard, denominator


def _loss(row: _Row, t: dict[int, Exact]) -> Exact:
    """-sum_j t_j log p_j; a class of probability 0 counts where t_j is not 0."""
    parts = [(mass, row.log_probability(j)) for j, mass in t.items() if mass]
    endless = [mass for mass, log_probability in parts if not log_probability.is_finite()]
    if endless:
        if min(endless) < 0:
            raise ValueError("a negative target stands at a -inf logit")
        return arb("inf")
    value = -sum((arb(mass) * log_probability for mass, log_probability in parts), arb(0))
    if not row.problem.is_resolved(value):
        raise UnresolvedError("the terms of a loss cancel")
    return value


def _loss_gradient(row: _Row, t: dict[int, Exact]) -> list[Exact]:
    """d loss / d z_j = T p_j - t_j."""
    mass = sum(t.values(), fmpq(0))
    if mass == 1:
        gradient = list(row.probabilities)
    else:
        ball = arb(mass)
        gradient = [p * ball for p in row.probabilities]
    for j, t_j in t.items():
        value = gradient[j] - arb(t_j)
        if not row.problem.is_resolved(value):
            terms: list[tuple[Exact, float]] = [(-t_j, x) for x in row.logits]
            terms.append((mass, row.logits[j]))
            value = row.combination(terms) / row.total
        gradient[j] = value
    return gradient


def _jacobian(problem: _Problem, matrices: Sequence[Sequence[Sequence[Exact]]]) -> np.ndarray:
    """Matrices [kept, kept], one a row, as [K, *logits]; lines and columns of masked classes are 0."""
    lines = []
    position = {original: kept for kept, original in enumerate(problem.kept)}
    nothing = [[arb(0)] * len(problem.kept)] * problem.rows
    for original in range(problem.class_count):
        k = position.get(original)
        line = nothing if k is None else _resolved(problem, [matrix[k] for matrix in matrices])
        lines.append(problem.from_rows(line, arb(0)))
    return np.stack(lines)


_FUNCTIONS: dict[str, Callable[[_Problem], dict[str, np.ndarray]]] = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "logsumexp": _logsumexp,
    "cross_entropy": _cross_entropy,
}


def _exponential(x: float, multiplier: Exact, bits: int) -> Exact:
    value = (arb(x) * arb(multiplier)).exp() if multiplier != 1 else arb(x).exp()
    working = bits
    while value.rel_accuracy_bits() < bits - 8:
        working *= 2
        with ctx.workprec(working):
            value = (arb(x) * arb(multiplier)).exp()
    return value


def _exact(value: Any) -> Exact:
    """A float as the rational number that it is."""
    return fmpq(*float(value).as_integer_ratio())


def _resolved(problem: _Problem, rows: Sequence[Sequence[Exact]]) -> Sequence[Sequence[Exact]]:
    required = problem.required_bits
    for row in rows:
        for value in row:
            if value is not None and value.rel_accuracy_bits() < required and not value.is_exact():
                raise UnresolvedError(f"{value} has {value.rel_accuracy_bits()} bits")
    return rows


def _require_finite(name: str, values: Iterable[float]) -> None:
    for value in values:
        if not isfinite(value):
            raise ValueError(f"the oracle has no value for {value} in {name}")


def _objects(values: Sequence[Exact]) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def contains(mid: np.ndarray, low: np.ndarray | float, rad: np.ndarray | float, exact: np.ndarray) -> np.ndarray:
    """Whether each exact value lies in [mid + low - rad, mid + low + rad], the bounds being exact sums of float64.

    An infinite or undefined exact value (None) is contained only in a `mid` that is the same infinity or NaN, or
    in an infinite radius. A NaN in a finite case contains nothing. False also where the oracle's own radius leaves
    the answer open: see `excludes`.
    """
    return _all(_contains, mid, low, rad, exact)


def excludes(mid: np.ndarray, low: np.ndarray | float, rad: np.ndarray | float, exact: np.ndarray) -> np.ndarray:
    """Whether each exact value certainly lies outside; neither contained nor excluded: ask for more bits."""
    return _all(_excludes, mid, low, rad, exact)


def _all(
    holds: Callable[[float, float, float, Exact], bool],
    mid: np.ndarray,
    low: np.ndarray | float,
    rad: np.ndarray | float,
    exact: np.ndarray,
) -> np.ndarray:
    shape = np.broadcast_shapes(np.shape(mid), np.shape(low), np.shape(rad), np.shape(exact))
    flat = zip(_floats(mid, shape), _floats(low, shape), _floats(rad, shape), _flat(exact, shape), strict=True)
    with ctx.workprec(BITS):
        found = [holds(m, lo, r, value) for m, lo, r, value in flat]
    return np.array(found, dtype=bool).reshape(shape)


def _excludes(mid: float, low: float, rad: float, exact: Exact) -> bool:
    if rad == inf or exact is None or not exact.is_finite() or not (isfinite(mid) and isfinite(low) and rad >= 0.0):
        return not _contains(mid, low, rad, exact)
    with ctx.workprec(4096):
        return bool(abs(exact - mid - low) > rad)


def _contains(mid: float, low: float, rad: float, exact: Exact) -> bool:
    if rad == inf:
        return True
    if exact is None or not exact.is_finite():
        return _error(mid, exact) == 0.0
    if not (isfinite(mid) and isfinite(low) and rad >= 0.0):
        return False
    distance = abs(exact - mid - low)
    if distance <= rad or distance > rad:
        return bool(distance <= rad)
    with ctx.workprec(4096):  # float64 bounds are exact sums here, so only the oracle's own radius is left
        return bool(abs(exact - mid - low) <= rad)


@dataclass(frozen=True)
class Split:
    """Exact values as high + low, both float64; `sure` where that is enough to tell an error."""

    high: np.ndarray
    low: np.ndarray
    sure: np.ndarray
    exact: np.ndarray

    @classmethod
    def of(cls, exact: np.ndarray) -> Split:
        """Split once what is compared with many arrays."""
        values = np.asarray(exact, dtype=object)
        high = nearest(values)
        low, known = np.zeros(high.size), np.zeros(high.size, dtype=bool)
        with ctx.workprec(BITS):
            for index, (value, near) in enumerate(zip(values.ravel().tolist(), high.ravel().tolist(), strict=True)):
                if isfinite(near):
                    rest = value - near
                    low[index] = float(rest)
                    known[index] = rest == 0 or (low[index] != 0.0 and rest.rel_accuracy_bits() > 60)
        # Neither part may be subnormal, nor near the largest number; a 0 is exact.
        size = np.abs(high)
        fits = ((size > 1e-250) & (size < 1e300)) | (size == 0.0)
        low, known = low.reshape(high.shape), known.reshape(high.shape)
        return cls(high, low, known & fits & ((size > 0.0) | (low == 0.0)), values)


def error(got: np.ndarray | float, exact: np.ndarray | Split) -> np.ndarray:
    """|got - exact| as float64, rounded up; 0 only where they are equal.

    The same infinity, and NaN for an undefined value (None), have error 0; another non-finite value has error inf.
    In float64 from a split, where that cannot cancel; ball by ball elsewhere.
    """
    split = exact if isinstance(exact, Split) else Split.of(exact)
    shape = np.broadcast_shapes(np.shape(got), split.exact.shape)
    values = np.broadcast_to(np.asarray(got).astype(np.float64), shape)
    parts = (split.high, split.low, split.sure, split.exact)
    high, low, sure, whole = (np.broadcast_to(part, shape) for part in parts)
    with np.errstate(invalid="ignore", over="ignore"):
        step = values - high
        # What the subtraction rounded off (Knuth), so that step + lost is values - high exactly.
        back = step - values
        lost = (values - (step - back)) - (high + back)
        # Five roundings of half a unit, each of at most the result: 5 * 2^-53 < 2^-50.
        found = np.abs(step + (lost - low)) * (1.0 + 2.0**-50)
        larger = np.maximum(np.abs(step), np.abs(low))
        told = np.isfinite(found) & ((found > 0.5 * larger) | (larger == 0.0))
    nothing = ~np.isfinite(values)
    found = np.where(nothing, np.inf, found)
    sure = sure & (told | nothing)
    with ctx.workprec(BITS):
        pairs = zip(values[~sure].tolist(), whole[~sure].tolist(), strict=True)
        found[~sure] = [_error(g, value) for g, value in pairs]
    return found


def _error(got: float, exact: Exact) -> float:
    if exact is None:
        return 0.0 if isnan(got) else inf
    if not exact.is_finite():
        return 0.0 if not isfinite(got) and arb(got) == exact else inf
    if not isfinite(got):
        return inf
    upper = (exact - got).abs_upper()
    nearest = float(upper)
    return nearest if nearest == inf or upper <= nearest else nextafter(nearest, inf)


def nearest(exact: np.ndarray) -> np.ndarray:
    """The exact values as float64 (to about one unit in the last place); NaN for None."""
    values = [np.nan if value is None else float(value) for value in np.asarray(exact, dtype=object).ravel().tolist()]
    return np.array(values, dtype=np.float64).reshape(np.shape(exact))


def _floats(array: np.ndarray | float, shape: tuple[int, ...]) -> Iterable[float]:
    values = np.asarray(array).astype(np.float64)
    if values.ndim == 0:
        return repeat(float(values), prod(shape))
    return np.broadcast_to(values, shape).ravel().tolist()


def _flat(array: np.ndarray, shape: tuple[int, ...]) -> list[Exact]:
    return np.broadcast_to(np.asarray(array, dtype=object), shape).ravel().tolist()
