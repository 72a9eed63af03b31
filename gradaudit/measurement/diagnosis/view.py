"""One evaluation as the models of faulty losses see it: rows of logits, and what the subject returned for them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from gradaudit.measurement.audited import Audited
from gradaudit.numerics import arithmetic as arithmetics
from gradaudit.numerics import formats
from gradaudit.numerics.ball import BallAlgebra
from gradaudit.records.evaluation import Evaluation
from gradaudit.records.profile import Profile
from gradaudit.reference.block import Block, cut, row_arrays
from gradaudit.reference.layout import Layout
from gradaudit.reference.truth import Truth

T = TypeVar("T")


class View:
    """Inputs and results of one evaluation as float64 rows [rows, classes], masked classes included.

    `loss` is [], [rows, 1] or [rows, classes], as the function's output is; None where its shape is not the due one.
    `gradient` is [rows, classes]. A Jacobian becomes a gradient of as many copies of the rows as it has planes.
    `output_right` and `gradient_right` tell what the measurement found. Built from a truth alone (`audited` None), a
    view holds no results: it serves planting.
    """

    def __init__(self, truth: Truth, profile: Profile, audited: Audited | None) -> None:
        self.truth = truth
        self.profile = profile
        self.audited = audited
        self.inputs = truth.inputs
        self.name = truth.inputs.probe or "the case's own inputs"
        self.function = truth.function.name
        self.elementwise = truth.elementwise
        self.parameters = truth.inputs.function.parameters
        self.whole: Layout = replace(truth.layout, active=None)
        self.rows = self.whole.rows
        self.classes = self.whole.classes
        self.active = truth.layout.active
        self.reduction = truth.parameters.reduction
        self.copies = 1
        self.loss: np.ndarray | None = None
        self.gradient = np.zeros((self.rows, self.classes))
        self.jacobian = False
        if audited is not None:
            self._read(audited.evaluation)
        self._memory: dict[Hashable, object] = {}
        self._settled: set[str] = set()

    # -- what the subject returned ---------------------------------------------------------------------------------

    def _read(self, evaluation: Evaluation) -> None:
        layout = self.whole
        output = evaluation.output.astype(np.float64)
        due: tuple[int, ...] = () if self.truth.reduced else layout.shape if self.elementwise else layout.outer_shape
        if output.shape == due:
            self.loss = output
            if not self.truth.reduced:
                self.loss = layout.as_rows(output) if self.elementwise else output.reshape(-1, 1)
        if evaluation.gradient is not None:
            if evaluation.gradient.shape == layout.shape:
                self.gradient = layout.as_rows(evaluation.gradient).astype(np.float64)
            return
        assert evaluation.jacobian is not None, "an evaluation holds a gradient or a Jacobian"
        planes = [layout.as_rows(plane).astype(np.float64) for plane in evaluation.jacobian]
        self.copies = len(planes)
        self.jacobian = True
        self.gradient = np.concatenate(planes)

    @property
    def output_right(self) -> bool:
        """Whether every element of the output is within its tolerance, by a row of the declared precision."""
        return self._right("output")

    @property
    def gradient_right(self) -> bool:
        """The same of the gradient or Jacobian."""
        return self._right("gradient")

    def take_for_right(self, which: str) -> None:
        """Count the "output" or the "gradient" as right: one row explains it in every evaluation of the subject."""
        self._settled.add(which)

    def _right(self, which: str) -> bool:
        if which in self._settled:
            return True
        measurement = None if self.audited is None else self.audited.measurement
        if measurement is None:
            return False
        quantity = measurement.output if which == "output" else measurement.gradient or measurement.jacobian
        assert quantity is not None
        clean = not (quantity.beyond or quantity.non_finite or quantity.special_mismatch)
        return clean and not (measurement.explanation.weaker and measurement.explanation.explains)

    @cached_property
    def moderate(self) -> bool:
        """Whether no exponential of a logit falls below the unit roundoff of another, or of 1."""
        factor = self.number("logit_scale", 1.0) / self.number("temperature", 1.0)
        reach = -float(np.log(self.m.arithmetic.u))
        z = self.x * factor
        return float(np.abs(z).max(initial=0.0)) <= reach and float(z.max() - z.min()) <= reach

    @property
    def numeric(self) -> bool:
        """Whether finite numbers are wrong, or missing where they are due: more than a matter of policy."""
        measurement = None if self.audited is None else self.audited.measurement
        if measurement is None:
            return False
        found = [q for q in (measurement.output, measurement.gradient, measurement.jacobian) if q is not None]
        weaker = measurement.explanation.explains and measurement.explanation.weaker
        return weaker or any(quantity.beyond or quantity.non_finite for quantity in found)

    @cached_property
    def finite(self) -> bool:
        """Whether the subject returned nothing but finite numbers."""
        loss = True if self.loss is None else bool(np.isfinite(self.loss).all())
        return loss and bool(np.isfinite(self.gradient).all())

    # -- the inputs ------------------------------------------------------------------------------------------------

    @cached_property
    def block(self) -> Block:
        """All rows, masked classes included."""
        arrays = row_arrays(self.inputs, self.whole, elementwise=self.elementwise)
        return cut(arrays, 0, self.rows)

    @cached_property
    def x(self) -> np.ndarray:
        """Logits [rows, classes]; a -inf stands in as one far below, a row without a softmax as zeros.

        As many copies of them one below the other as a Jacobian has planes. Probabilities are as they are given: what
        is made of a 0 is part of a slip.
        """
        if self.inputs.reading == "probabilities":
            return np.tile(self.whole.as_rows(self.inputs.logits).astype(np.float64), (self.copies, 1))
        return np.tile(self.block.logits, (self.copies, 1))

    @cached_property
    def raw_labels(self) -> np.ndarray | None:
        """Labels as given, [rows]."""
        targets = self.inputs.targets
        if targets is None or not np.issubdtype(targets.dtype, np.integer):
            return None
        return targets.reshape(self.rows).astype(np.int64)

    @property
    def counted(self) -> np.ndarray:
        """Rows that take part, [rows]."""
        return self.block.counted

    @property
    def ignored(self) -> np.ndarray:
        """Rows that are ignored, [rows]."""
        return ~self.block.counted

    @cached_property
    def upstream(self) -> np.ndarray:
        """The upstream gradient: [1, 1], [rows, 1] or [rows, classes]; before any mean's denominator."""
        if self.jacobian and self.elementwise:
            return np.repeat(np.eye(self.copies, self.classes), self.rows, axis=0)
        if self.block.upstream is None:
            return np.ones((1, 1))
        return self.block.upstream

    @cached_property
    def row_upstream(self) -> np.ndarray:
        """The upstream gradient of each row's own loss, divided by the mean's denominator: [rows, 1]."""
        den = self.truth.denominator.value if self.truth.reduced else 1.0
        return np.broadcast_to(self.upstream / (den or 1.0), (self.rows, 1))

    @property
    def weight(self) -> np.ndarray | None:
        """Class weights, [classes]."""
        return self.block.weight

    def number(self, name: str, neutral: float) -> float:
        """A numeric parameter of the function."""
        value = self.parameters.get(name, neutral)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else neutral

    # -- arithmetic ------------------------------------------------------------------------------------------------

    @cached_property
    def m(self) -> BallAlgebra:
        """Balls charged with the candidate's arithmetic.

        Their midpoints are float64 too: where the candidate computes in float64 as well, both roundings count.
        """
        own = arithmetics.of_profile(self.profile)
        u = 2.0**-53
        return BallAlgebra(replace(own, u=own.u + u, e=own.e + 4 * u, l=own.l + 4 * u, u_sum=own.u_sum + u))

    @cached_property
    def largest(self) -> float:
        """The largest finite number of the dtype."""
        return formats.get(self.inputs.dtype).largest

    def remembered(self, key: Hashable, make: object) -> object:
        """`make()`, called once for each key."""
        if key not in self._memory:
            assert callable(make)
            self._memory[key] = make()
        return self._memory[key]

    def with_profile(self, profile: Profile) -> View:
        """The same evaluation under another arithmetic."""
        return View(self.truth, profile, self.audited)
