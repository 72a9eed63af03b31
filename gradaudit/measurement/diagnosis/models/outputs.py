"""Slips in softmax and log-softmax: outputs, upstream gradients, Jacobians."""

# ruff: noqa: ARG001, ARG005 - each slip takes what its stage is given
from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from gradaudit.measurement.diagnosis.models import shards
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics.ball import Ball, BallAlgebra

TWICE, PARTITION, CLAMPED = "softmax-applied-twice", "partition-local-normaliser", "clamped-probability"
JACOBIAN, UPSTREAM, DETACHED = "truncated-jacobian", "upstream-gradient", "detached-path"
MASKED = "logit-transform-factor"


def variations(view: View) -> list[Variation]:
    """The slips that exist for the function of `view`."""
    found = [] if view.truth.reduced else _upstreams(view)
    if view.function not in ("softmax", "log_softmax"):
        return found
    lanes = shards.of_outputs(logarithmic=view.function == "log_softmax")
    return [*_jacobians(view), *found, *_outputs(view), *lanes]


# -- outputs ---------------------------------------------------------------------------------------------------------


def _outputs(view: View) -> list[Variation]:
    logarithmic = view.function == "log_softmax"
    found: list[Variation] = []

    def entry(
        name: str,
        fault: str,
        statement: str,
        advice: str,
        make: Callable[[M, V, View], V | None],
        *,
        rarely: bool = False,
        everywhere: bool = False,
    ) -> None:
        found.append(Variation("output", name, fault, statement, advice, make, rarely=rarely, all_classes=everywhere))

    def of_log(m: M, log_p: V) -> V:
        return log_p if logarithmic else m.exp(log_p)

    def ranged(m: M, z: V, start: int, stop: int) -> V | None:
        width = m.shape(z)[-1]
        if stop <= start or (start, stop) == (0, width):
            return None
        return of_log(m, z - m.logsumexp(m.columns(z, start, stop)))

    whole = "add up the exponentials of all classes"
    for size in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        entry(
            f"whole blocks of {size}",
            "low-precision-inside",
            f"the sum runs over whole blocks of {size} classes: the tail of the row is left out",
            "add up the tail of the row too",
            lambda m, z, v, size=size: ranged(m, z, 0, m.shape(z)[-1] // size * size),  # type: ignore[misc]
        )
    for count in (2, 3, 4, 8):
        for last in (False, True):
            where = "last" if last else "first"
            entry(
                f"sum of the {where} 1/{count}",
                PARTITION,
                f"the sum runs over the {where} 1/{count} of the classes only",
                whole,
                lambda m, z, v, count=count, last=last: ranged(  # type: ignore[misc]
                    m,
                    z,
                    m.shape(z)[-1] - m.shape(z)[-1] // count if last else 0,
                    m.shape(z)[-1] if last else m.shape(z)[-1] // count,
                ),
            )
        entry(
            f"each 1/{count} by itself",
            PARTITION,
            f"each of {count} partitions of the classes is normalised by itself",
            whole,
            lambda m, z, v, count=count: _partitioned(m, z, count, logarithmic=logarithmic),  # type: ignore[misc]
        )
    entry(
        "last class left out",
        PARTITION,
        "the last class is left out of the sum",
        whole,
        lambda m, z, v: ranged(m, z, 0, m.shape(z)[-1] - 1),
    )
    entry(
        "first class left out",
        PARTITION,
        "the first class is left out of the sum",
        whole,
        lambda m, z, v: ranged(m, z, 1, m.shape(z)[-1]),
    )
    plain = "apply softmax once, and the logarithm only where log-probabilities are due"
    if logarithmic:
        entry(
            "softmax",
            TWICE,
            "the logarithm is missing: probabilities are returned",
            plain,
            lambda m, z, v: m.softmax(z),
        )
        for value in (
            1e-2,
            1e-3,
            1e-4,
            1e-5,
            1e-6,
            1e-7,
            1e-8,
            1e-9,
            1e-10,
            1e-12,
            1e-15,
            1e-16,
            1e-20,
            1e-30,
            1e-38,
        ):
            entry(
                f"log(p + {value:g})",
                CLAMPED,
                f"{value:g} is added to the probabilities inside the logarithm",
                "compute z - max - log(sum) at once: it needs no epsilon",
                lambda m, z, v, value=value: m.log(m.softmax(z) + m.parameter(value)),  # type: ignore[misc]
                rarely=True,
            )
            entry(
                f"log of p >= {value:g}",
                CLAMPED,
                f"probabilities are cut off below {value:g} before the logarithm",
                "compute z - max - log(sum) at once: it needs no clamp",
                lambda m, z, v, value=value: m.log(m.clip(m.softmax(z), value, None)),  # type: ignore[misc]
                rarely=True,
            )
    else:
        entry(
            "log-softmax",
            TWICE,
            "log-probabilities are returned instead of probabilities",
            plain,
            lambda m, z, v: m.log_softmax(z),
        )
        for value in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-16):
            entry(
                f"sum + {value:g}",
                CLAMPED,
                f"{value:g} is added to the sum of the exponentials: the probabilities add up to less than 1",
                "the sum of shifted exponentials is at least 1 and needs no epsilon",
                lambda m, z, v, value=value: _with_floor(m, z, value),  # type: ignore[misc]
                rarely=True,
            )
            entry(
                f"p >= {value:g}",
                CLAMPED,
                f"probabilities are cut off below {value:g}",
                "return them as they are",
                lambda m, z, v, value=value: m.clip(m.softmax(z), value, None),  # type: ignore[misc]
                rarely=True,
            )
    entry(
        "a sigmoid for each class",
        TWICE,
        "each class has a sigmoid of its own, without a common normaliser",
        "divide by the sum over all classes",
        lambda m, z, v: _sigmoid(m, z, logarithmic=logarithmic),
    )
    entry(
        "exponentials without their sum",
        TWICE,
        "the exponentials of the shifted logits are not divided by their sum",
        "divide by the sum over all classes",
        lambda m, z, v: of_log(m, z - m.maximum(z)),
    )
    entry("no softmax", TWICE, "the logits are returned as they are", plain, lambda m, z, v: z + m.exact(0.0))
    if view.active is not None:
        kept = np.isin(np.arange(view.classes), view.active)[None, :]

        def unmasked(m: M, z: V, v: View) -> V:
            far = float(np.min(z.value.mid)) - 1.0e4
            return of_log(m, z - m.logsumexp(m.where(kept, z, m.exact(np.full(m.shape(z), far)))))

        entry(
            "masked classes keep an output",
            MASKED,
            "masked classes are left out of the sum and have an output all the same: a row adds up to more than 1",
            "set the outputs of masked classes to their limit: probability 0",
            unmasked,
            everywhere=True,
        )
    return found


def _partitioned(m: M, z: V, count: int, *, logarithmic: bool) -> V | None:
    width = m.shape(z)[-1]
    if width < count:
        return None
    edges = [width * k // count for k in range(count + 1)]
    total: V | None = None
    for start, stop in itertools.pairwise(edges):
        part = m.columns(z, start, stop)
        own = m.placed(m.log_softmax(part) if logarithmic else m.softmax(part), start, width)
        total = own if total is None else total + own
    return total


def _sigmoid(m: M, z: V, *, logarithmic: bool) -> V:
    zero = m.exact(np.zeros((1, 1)))
    return -m.logaddexp(-z, zero) if logarithmic else m.share(z, zero)


def _with_floor(m: M, z: V, value: float) -> V:
    top = m.stop_gradient(m.maximum(z))
    w = m.exp(z - top)
    return w / (m.sum(w) + m.parameter(value))


# -- upstream gradients ----------------------------------------------------------------------------------------------


def _upstreams(view: View) -> list[Variation]:
    advice = "use the upstream gradient entry by entry: each output has its own"

    def entry(name: str, statement: str, change: Callable[[np.ndarray], np.ndarray]) -> Variation:
        def make(view: View) -> np.ndarray:
            shape = view.x.shape if view.elementwise else (view.rows, 1)
            return np.asarray(change(np.broadcast_to(view.upstream, shape)))

        return Variation("upstream", name, UPSTREAM, statement, advice, make, backward=True)

    found = [
        entry("ones", "the upstream gradient is ignored: ones are used in its place", np.ones_like),
        entry(
            "first row for all",
            "the first row of the upstream gradient is used for every row",
            lambda g: np.broadcast_to(g[:1], g.shape),
        ),
        entry(
            "last row for all",
            "the last row of the upstream gradient is used for every row",
            lambda g: np.broadcast_to(g[-1:], g.shape),
        ),
        entry(
            "mean over rows",
            "the upstream gradient is averaged over the rows",
            lambda g: np.broadcast_to(g.mean(axis=0, keepdims=True), g.shape),
        ),
        entry(
            "sum over rows",
            "the upstream gradient is added up over the rows",
            lambda g: np.broadcast_to(g.sum(axis=0, keepdims=True), g.shape),
        ),
        entry("rows reversed", "the rows of the upstream gradient are used in reversed order", lambda g: g[::-1]),
        entry(
            "next row", "row i is multiplied by the upstream gradient of row i+1", lambda g: np.roll(g, -1, axis=0)
        ),
        entry(
            "row before", "row i is multiplied by the upstream gradient of row i-1", lambda g: np.roll(g, 1, axis=0)
        ),
        entry("magnitudes", "the magnitude of the upstream gradient is used", np.abs),
        entry("signs", "the sign of the upstream gradient is used", np.sign),
        entry("squares", "the upstream gradient is applied twice", lambda g: g * g),
    ]
    if not view.elementwise:
        return found
    return [
        *found,
        entry(
            "first entry of each row",
            "the first entry of each row of the upstream gradient is used for the whole row",
            lambda g: np.broadcast_to(g[:, :1], g.shape),
        ),
        entry(
            "first entry for all",
            "the first entry of the upstream gradient is used everywhere",
            lambda g: np.full_like(g, g[0, 0]),
        ),
        entry("classes reversed", "the entries of each row are used in reversed order", lambda g: g[:, ::-1]),
    ]


# -- Jacobians -------------------------------------------------------------------------------------------------------

Kernel = Callable[[BallAlgebra, Ball, Ball, Ball], Ball]
"""m, p, upstream gradient, logits -> the gradient of the scaled logits."""


def _jacobians(view: View) -> list[Variation]:
    def entry(formula: str, kernel: Kernel, fault: str = JACOBIAN) -> Variation:
        def make(m: BallAlgebra, z: Ball, g: Ball, v: View) -> Ball:
            return kernel(m, m.softmax(z), g, z)

        return Variation(
            "jacobian", formula, fault, f"the gradient is {formula}, where {due} is due", advice, make, backward=True
        )

    one = view.m.exact(1.0)

    def rows_sum(a: Ball) -> Ball:
        m = a.algebra
        return Ball(
            m,
            a.mid.sum(axis=0, keepdims=True),
            np.broadcast_to(np.asarray(a.rad), a.mid.shape).sum(axis=0, keepdims=True),
        )

    if view.function == "log_softmax":
        due = "g - p sum(g)"
        advice = "subtract p times the sum of the row's upstream gradient"
        return [
            entry("g + p", lambda m, p, g, z: g + p),
            entry("g - p", lambda m, p, g, z: g - p),
            entry("g", lambda m, p, g, z: g + m.exact(0.0), DETACHED),
            entry("-p sum(g)", lambda m, p, g, z: -(p * m.sum(g))),
            entry("g + p sum(g)", lambda m, p, g, z: g + p * m.sum(g)),
            entry("g - p mean(g)", lambda m, p, g, z: g - p * m.mean(g)),
            entry("g - sum(g)", lambda m, p, g, z: g - m.sum(g)),
            entry("g - mean(g)", lambda m, p, g, z: g - m.mean(g)),
            entry("g (1 - p)", lambda m, p, g, z: g * (one - p)),
            entry("g - p g", lambda m, p, g, z: g - p * g),
            entry("p (g - sum(p g))", lambda m, p, g, z: m.softmax_vjp(z, g)),
            entry("g - sum(p g)", lambda m, p, g, z: g - m.sum(p * g)),
            entry("g - p sum(p g)", lambda m, p, g, z: g - p * m.sum(p * g)),
            entry("g - log p sum(g)", lambda m, p, g, z: g - m.log_softmax(z) * m.sum(g)),
            entry("g - exp(p) sum(g)", lambda m, p, g, z: g - m.exp(p) * m.sum(g)),
            entry("g - p sum(g) with the sum over the rows", lambda m, p, g, z: g - p * rows_sum(g)),
            entry("0", lambda m, p, g, z: g * m.exact(0.0), DETACHED),
        ]
    due = "p (g - sum(p g))"
    advice = "subtract sum(p g) of the row from the upstream gradient, then multiply by p"
    return [
        entry("p g (1 - p)", lambda m, p, g, z: g * p * (one - p)),
        entry("p g", lambda m, p, g, z: p * g),
        entry("p (1 - p)", lambda m, p, g, z: p * (one - p) + g * m.exact(0.0)),
        entry("-p sum(p g)", lambda m, p, g, z: -(p * m.sum(p * g))),
        entry("p (g + sum(p g))", lambda m, p, g, z: p * (g + m.sum(p * g))),
        entry("p (g - sum(g))", lambda m, p, g, z: p * (g - m.sum(g))),
        entry("p (g - p sum(g))", lambda m, p, g, z: p * (g - p * m.sum(g))),
        entry("p (g - p g)", lambda m, p, g, z: p * (g - p * g)),
        entry("p (1 - p) sum(g)", lambda m, p, g, z: p * (one - p) * m.sum(g)),
        entry("p (g - mean(g))", lambda m, p, g, z: p * (g - m.mean(g))),
        entry("g - sum(p g)", lambda m, p, g, z: g - m.sum(p * g)),
        entry("g - p sum(p g)", lambda m, p, g, z: g - p * m.sum(p * g)),
        entry("g - p sum(g)", lambda m, p, g, z: m.log_softmax_vjp(z, g)),
        entry("g - p", lambda m, p, g, z: g - p),
        entry("p - g", lambda m, p, g, z: p - g),
        entry("g", lambda m, p, g, z: g + m.exact(0.0)),
        entry("p (g - sum(p g) / C)", lambda m, p, g, z: p * (g - m.mean(p * g))),
        entry("p^2 (g - sum(p g))", lambda m, p, g, z: p * m.softmax_vjp(z, g)),
        entry("p (g - sum(p g)) with the sum over the rows", lambda m, p, g, z: p * (g - rows_sum(p * g))),
        entry("p g - sum(p g)", lambda m, p, g, z: p * g - m.sum(p * g)),
        entry("0", lambda m, p, g, z: g * m.exact(0.0), DETACHED),
    ]
