"""Probes by the gap between the winner of a row and its label: below and above each threshold of the dtype.

docs/numerics.md, "Saturation": with u the unit roundoff and eta the smallest subnormal number, 1 + exp(-gap) rounds
to 1 from -log u, 1 / p overflows from log(max), p underflows to 0 from -log(eta / 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gradaudit.numerics.formats import Format
from gradaudit.specs.probes.setting import Setting
from gradaudit.specs.probes.sketch import Sketch

SIDES = (0.97, 1.03)
"""Below and above a threshold, far enough for the spacing of bfloat16 (2^-8 relative)."""
MODERATE = (25.0, 29.0)
"""Beyond where a probability clamped to 1e-7, 1e-8 (18.4) or 1e-12 (27.6) stops to answer."""
SWEEP = (4.0, 80.0)
FAR = 800.0
"""Beyond every threshold of every format."""
LARGEST_SPREAD = 1.5
"""The other classes of a row lie at 1.2 to 1.5 gaps below the winner: they take no part in a threshold."""

Gaps = Callable[[Format, int], np.ndarray]
"""The gaps of so many rows in a format."""


def applies(setting: Setting) -> bool:
    """Whether one class of a row can lead another."""
    return not setting.on_cosines and len(setting.active_classes()) > 1


def has_labels(setting: Setting) -> bool:
    """Whether it can be the label that leads."""
    return applies(setting) and setting.labelled


def loser(gaps: Gaps) -> Callable[[Sketch], None]:
    """Rows whose label, or some class where there are no labels, lies `gaps` below the winner."""
    return lambda sketch: _lead(sketch, gaps, label_wins=False)


def winner(gaps: Gaps) -> Callable[[Sketch], None]:
    """Rows whose label leads by `gaps`."""
    return lambda sketch: _lead(sketch, gaps, label_wins=True)


def rounding(form: Format, rows: int) -> np.ndarray:
    """Around -log u."""
    return _around(-math.log(form.unit_roundoff), rows)


def overflow(form: Format, rows: int) -> np.ndarray:
    """Around log(max)."""
    return _around(math.log(form.largest), rows)


def underflow(form: Format, rows: int) -> np.ndarray:
    """Around -log(eta / 2); eta / 2 itself is 0 in float64."""
    return _around(math.log(2.0) - math.log(form.smallest_subnormal), rows)


def moderate(_: Format, rows: int) -> np.ndarray:
    """25 and 29."""
    return _alternating(np.array(MODERATE), rows)


def sweep(_: Format, rows: int) -> np.ndarray:
    """From 4 to 80, another one in each row."""
    return np.linspace(SWEEP[1], SWEEP[0], rows)


def far(_: Format, rows: int) -> np.ndarray:
    """800."""
    return np.full(rows, FAR)


def _around(threshold: float, rows: int) -> np.ndarray:
    return _alternating(threshold * np.array(SIDES), rows)


def _alternating(values: np.ndarray, rows: int) -> np.ndarray:
    """The values in turn, so that the first row, or the only one, has the last of them."""
    return np.resize(values[::-1], rows)


def _lead(sketch: Sketch, gaps: Gaps, *, label_wins: bool) -> None:
    """Fill the logits. The winner stands at 0, so that a missing shift has no part in what is seen."""
    distance = np.minimum(gaps(sketch.form, sketch.rows), sketch.within(math.inf) / LARGEST_SPREAD)
    own, other = sketch.contenders()
    first, second = (own, other) if label_wins else (other, own)
    rows = np.arange(sketch.rows)
    sketch.logits = -distance[:, None] * sketch.draws.uniform(1.2, LARGEST_SPREAD, sketch.logits.shape)
    sketch.logits[rows, second] = -distance
    sketch.logits[rows, first] = 0.0
