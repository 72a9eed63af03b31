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
    """For each row [rows]: the largest scaled logit, log-sum-exp, -log of the smallest probability (of finite
    logits) and of the target's (NaN where there is none)."""

    top: np.ndarray
    logsumexp: np.ndarray
    deepest: np.ndarray
    target: np.ndarray


def extremes(truth: Truth) -> RowExtremes:
    """The extremes of every row, in order."""
    parts: list[list[np.ndarray]] = [[], [], [], []]
    for block_truth in truth.blocks():
        rows, block = block_truth.rows.z.algebra.exponentials(block_truth.rows.z), block_truth.block
        parts[0].append(rows.top[:, 0])
        parts[1].append((rows.top + rows.log_total)[:, 0])
        depth = -rows.log_p
        if block.excluded is not None:
            depth = np.where(block.excluded, np.inf, depth)
        parts[2].append(depth.max(axis=-1))
        if block.labels is None:
            parts[3].append(np.full(len(depth), np.nan))
        else:
            own = np.take_along_axis(depth, block.labels[:, None], axis=-1)[:, 0]
            parts[3].append(np.where(block.counted, own, np.nan))
    return RowExtremes(*(np.concatenate(part) for part in parts))


def candidate_formats(profile: Profile) -> Iterator[Format]:
    """The formats whose range may have been left: that of storage first, then that of the kernels."""
    yield formats.get(profile.storage)
    if profile.compute != profile.storage:
        yield formats.get(profile.compute)


def log_largest(form: Format) -> float:
    """log of the largest finite number: exp overflows above it."""
    return float(np.log(form.largest))


def log_vanishing(form: Format) -> float:
    """-log of half the smallest subnormal number: exp(-t) rounds to 0 from there on."""
    return float(-np.log(form.smallest_subnormal) + np.log(2.0))
