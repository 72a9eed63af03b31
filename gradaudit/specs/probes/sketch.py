"""A probe before it is rounded: rows of scaled logits with labels or target masses and an upstream gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradaudit.numerics import formats
from gradaudit.numerics.formats import Format
from gradaudit.records.inputs import Inputs
from gradaudit.specs import shapes
from gradaudit.specs.probes.setting import Setting
from gradaudit.specs.rounding import rounded

SCALE = 2.0
"""Standard deviation of ordinary logits."""
UPSTREAM = 1.7
"""The scalar upstream gradient: no factor that a fault might bring."""


@dataclass(slots=True)
class Sketch:
    """`logits` [rows, classes] are z = x * factor in float64; `shape` is that of the array they become.

    `labels` [rows] or `masses` [rows, classes] are the targets, if there are any; `upstream` is [], [rows] or
    [rows, classes].
    """

    setting: Setting
    form: Format
    draws: np.random.Generator
    shape: tuple[int, ...]
    logits: np.ndarray
    labels: np.ndarray | None
    masses: np.ndarray | None
    upstream: np.ndarray
    layout: str = "contiguous"
    upstream_layout: str = "contiguous"
    special: bool = False
    expects_error: bool = False
    unasked: bool = False

    @property
    def rows(self) -> int:
        """Rows of the probe."""
        return len(self.logits)

    @property
    def classes(self) -> int:
        """Classes of the probe."""
        return int(self.logits.shape[1])

    @property
    def active(self) -> np.ndarray:
        """The classes that take part."""
        return self.setting.active_classes(self.classes)

    def within(self, size: float) -> float:
        """`size`, or the largest distance from 0 at which nothing overflows that need not."""
        return min(size, self.setting.reach(self.form))

    def ignore(self, rows: tuple[int, ...]) -> None:
        """Give rows the label of rows that take no part: the function says what is due there, asked for or not."""
        assert self.labels is not None
        assert self.setting.ignore_index is not None
        self.labels[list(rows)] = self.setting.ignore_index
        self.unasked = not self.setting.case.padded

    def contenders(self) -> tuple[np.ndarray, np.ndarray]:
        """Two classes of each row that take part: the label (or any class), and another one; each [rows]."""
        active = self.active
        own = self.draws.integers(0, len(active), size=self.rows)
        if self.labels is not None:
            counted = np.isin(self.labels, active)
            own = np.where(counted, np.searchsorted(active, np.where(counted, self.labels, active[0])), own)
        # An odd step is no fixed distance that a fault in the labels could share.
        other = (own + 1 + self.draws.integers(0, max(1, len(active) - 1), size=self.rows)) % len(active)
        return active[own], active[other]

    def finished(self, dtype: str, probe: str) -> Inputs:
        """The arrays, rounded once to the dtype."""
        setting, case = self.setting, self.setting.case
        weight = setting.parameters.get("weight")
        row_shape = shapes.row_shape(self.shape, case.axis)
        targets: np.ndarray | None = None
        if self.labels is not None:
            targets = self.labels.astype(np.int64).reshape(row_shape)
        elif self.masses is not None:
            targets = rounded(setting.restored(self.masses, self.shape), dtype)
        if self.upstream.ndim == 2:
            upstream = setting.restored(self.upstream, self.shape)
        else:
            upstream = self.upstream.reshape(row_shape if self.upstream.ndim else ())
        return Inputs(
            function=case.function,
            dtype=dtype,
            scale=1.0,
            axis=case.axis,
            logits=rounded(setting.restored(self.logits / setting.factor, self.shape), dtype),
            targets=targets,
            upstream=rounded(upstream, dtype),
            per_output=False,
            weight=rounded(np.array(weight, dtype=np.float64), dtype) if isinstance(weight, tuple) else None,
            probe=probe,
            layout=self.layout,
            upstream_layout=self.upstream_layout,
            special=self.special,
            expects_error=self.expects_error,
            unasked=self.unasked,
        )


def ordinary(
    setting: Setting, dtype: str, draws: np.random.Generator, rows: int | None = None, classes: int | None = None
) -> Sketch:
    """Ordinary logits, distinct labels, an upstream gradient with distinct entries; no symmetry anywhere."""
    shape = setting.shape(rows, classes)
    count, width = setting.sizes(rows, classes)
    logits = draws.standard_normal((count, width)) * SCALE
    if setting.on_cosines:
        logits = np.tanh(logits / SCALE) * 0.9375 * setting.factor
    labels = _labels(setting, draws, count, width) if setting.labelled else None
    masses = _masses(setting, draws, count, width) if setting.soft else None
    return Sketch(
        setting, formats.get(dtype), draws, shape, logits, labels, masses, _upstream(setting, draws, shape, count)
    )


def _labels(setting: Setting, draws: np.random.Generator, rows: int, classes: int) -> np.ndarray:
    """Labels that differ from row to row while there are classes left; none is masked or ignored."""
    active = setting.candidates(classes)
    rounds = [draws.permutation(active) for _ in range(-(-rows // len(active)))]
    return np.concatenate(rounds)[:rows].astype(np.int64)


def _masses(setting: Setting, draws: np.random.Generator, rows: int, classes: int) -> np.ndarray:
    """Positive probabilities that add up to 1; none on masked classes."""
    masses = 0.125 + draws.standard_exponential((rows, classes))
    masses[:, list(setting.masked)] = 0.0
    return np.asarray(masses / masses.sum(axis=1, keepdims=True))


def _upstream(setting: Setting, draws: np.random.Generator, shape: tuple[int, ...], rows: int) -> np.ndarray:
    """1.7 for a scalar; else magnitudes between 1/2 and 2 with either sign."""
    if setting.output_shape(shape) == () and (setting.reduced or not setting.elementwise):
        return np.array(UPSTREAM)
    size: tuple[int, ...] = (rows, shapes.classes(shape, setting.case.axis)) if setting.elementwise else (rows,)
    return draws.uniform(0.5, 2.0, size) * draws.choice([-1.0, 1.0], size)
