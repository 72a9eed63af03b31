"""What a fault has to explain, and what is known of each row for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gradaudit.numerics import formats
from gradaudit.numerics.formats import Format
from gradaudit.records.profile import Profile
from gradaudit.reference.truth import Truth


@dataclass(frozen=True, slots=True)
class WrongRows:
    """Rows with a wrong element: `beyond` their tolerance, or non-finite in the output or the gradient.

    Where the output is one number for all rows, `output_non_finite` is empty and `reduced_non_finite` tells
    whether that number is non-finite though a finite one is due.
    """

    beyond: frozenset[int]
    output_non_finite: frozenset[int]
    gradient_non_finite: frozenset[int]
    reduced_non_finite: bool


@dataclass(frozen=True, slots=True, eq=False)
class RowExtremes:
    """For each row [rows], natural logarithms unless said otherwise.

    `counted`: false in ignored rows. `size`: the largest |scaled logit|; `top`: the largest scaled logit; `mean`,
    `first` and `bottom`: the mean, the first and the smallest one.
    `logsumexp`. `deepest`: -log of the smallest probability of a class that is not excluded. `chain`: the largest
    log |v_j / p_j| over the classes whose log-probability has a gradient v_j that is not 0. `target`: -log of the
    smallest probability among those classes (-inf where there is none).
    """

    counted: np.ndarray
    size: np.ndarray
    top: np.ndarray
    mean: np.ndarray
    first: np.ndarray
    bottom: np.ndarray
    logsumexp: np.ndarray
    deepest: np.ndarray
    chain: np.ndarray
    target: np.ndarray


def extremes(truth: Truth) -> RowExtremes:
    """The extremes of every row, in order."""
    parts: list[tuple[np.ndarray, ...]] = []
    for block_truth in truth.blocks():
        rows, block = block_truth.rows.z.algebra.exponentials(block_truth.rows.z), block_truth.block
        depth = -rows.log_p
        if block.excluded is not None:
            depth = np.where(block.excluded, np.inf, depth)
        gradient = truth.log_probability_gradient(block_truth)
        used = gradient > 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            # An excluded class without a gradient is inf + log 0 here, and left out.
            chain = np.where(used, depth + np.log(gradient), -np.inf).max(axis=-1)
        target = np.where(used, depth, -np.inf).max(axis=-1)
        lse = (rows.top + rows.log_total)[:, 0]
        size = np.maximum(np.abs(rows.top), np.abs(rows.top - rows.widest))[:, 0]
        z = block_truth.rows.z.mid
        with np.errstate(invalid="ignore", over="ignore"):
            others = (z.mean(axis=-1), z[:, 0], z.min(axis=-1))
        depths = (depth.max(axis=-1), chain, target)
        parts.append((block.counted, size, rows.top[:, 0], *others, lse, *depths))
    return RowExtremes(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def candidate_formats(profile: Profile) -> Iterator[Format]:
    """The formats whose range may have been left: that of storage first, then that of the kernels."""
    yield formats.get(profile.storage)
    if profile.compute != profile.storage:
        yield formats.get(profile.compute)


def slack(rows: RowExtremes, form: Format) -> np.ndarray:
    """How far a computed log p or a computed exponent may be from the exact one, [rows].

    Four roundings of a scaled logit, two of its gap where exp does not vanish, and a few of exp and the sum.
    """
    gap = np.minimum(rows.deepest, log_vanishing(form))
    with np.errstate(over="ignore"):
        return form.unit_roundoff * (4.0 * rows.size + 2.0 * gap + 16.0)


def log_largest(form: Format) -> float:
    """log of the largest finite number: exp overflows above it."""
    return float(np.log(form.largest))


def log_vanishing(form: Format) -> float:
    """-log of half the smallest subnormal number: exp(-t) rounds to 0 from there on."""
    return float(-np.log(form.smallest_subnormal) + np.log(2.0))
