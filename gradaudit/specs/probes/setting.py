"""What a probe has to respect of its case: axes, classes, labels, the scale of the logits, the dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod, sqrt

import numpy as np

from gradaudit.numerics.formats import Format
from gradaudit.records.case import FORMULA, SELF, Case, FileArray, InlineArray, RandomArray
from gradaudit.specs import shapes

ROWS = {0: (), 1: (7,), 2: (3, 7), 3: (2, 3, 7), 4: (2, 3, 5, 7)}
"""Sizes of so many row axes: coprime, and none the number of classes."""
CLASSES = {1: (11,), 2: (4, 11), 3: (2, 4, 11)}
"""Sizes of so many class axes."""

LINEAR = ("softmax", "log_softmax", "logsumexp", "cross_entropy", "kl_divergence")
"""Functions whose values grow no faster than the logits: nothing is squared on the way."""
ROOTS = 600.0
"""As far as a power below 1 of the other classes' probabilities is a number of float64."""
ON_COSINES = ("margin",)
"""Functions of cosines: their logits lie between -1 and 1."""


@dataclass(frozen=True)
class Setting:
    """A case as probes see it. Probes are drawn as rows of scaled logits z = x * `factor`, shape [rows, classes]."""

    case: Case

    @property
    def parameters(self) -> dict[str, object]:
        """The function's parameters."""
        return dict(self.case.function.parameters)

    @cached_property
    def row_axes(self) -> int:
        """How many axes are no class axes."""
        return len(self.case.shape) - len(self.case.axis)

    @cached_property
    def own_classes(self) -> int:
        """The classes of the case itself."""
        return shapes.classes(self.case.shape, self.case.axis)

    @cached_property
    def classes_fixed(self) -> bool:
        """Whether something holds one number for each class, so that every probe has the case's own classes; what a
        loss that nobody wrote down holds is not known."""
        return (
            bool(self.masked)
            or self.case.function.name == SELF
            or any(_counts(value, self.own_classes) for value in (*self.parameters.values(), *self._arguments()))
        )

    @cached_property
    def factor(self) -> float:
        """What multiplies the logits before anything else: logit_scale / temperature."""
        return float(self.parameters.get("logit_scale", 1.0)) / float(self.parameters.get("temperature", 1.0))  # type: ignore[arg-type]

    @cached_property
    def masked(self) -> tuple[int, ...]:
        """The classes that take no part."""
        classes = self.parameters.get("masked_classes")
        return classes if isinstance(classes, tuple) else ()

    def active_classes(self, classes: int | None = None) -> np.ndarray:
        """The classes that take part, of so many or of the standard ones."""
        return np.setdiff1d(np.arange(self.sizes()[1] if classes is None else classes), self.masked)

    def candidates(self, classes: int) -> np.ndarray:
        """The classes, of so many, that a row may have as its label: none that is masked or ignored."""
        active = self.active_classes(classes)
        return active if self.ignore_index is None else np.setdiff1d(active, [self.ignore_index])

    @cached_property
    def ignore_index(self) -> int | None:
        """The label of rows that take no part, where the function has one and the targets are labels."""
        value = self.parameters.get("ignore_index")
        return value if isinstance(value, int) and self.labelled else None

    @cached_property
    def labelled(self) -> bool:
        """Whether the case's targets are class indices."""
        return self.case.targets is not None and not self.soft

    @cached_property
    def soft(self) -> bool:
        """Whether the case's targets are probabilities."""
        source = self.case.targets
        if isinstance(source, InlineArray):
            return source.values.dtype.kind == "f"
        if isinstance(source, FileArray):
            return source.dtype.startswith(("float", "bfloat"))
        return isinstance(source, RandomArray) and source.distribution == "probabilities"

    @cached_property
    def unnormalised(self) -> bool:
        """Whether rows of the case's own soft targets add up to something else than 1."""
        source = self.case.targets
        if not self.soft or not isinstance(source, InlineArray):
            return False
        sums = source.values.sum(axis=self.case.axis)
        return bool(np.any(np.abs(sums - 1.0) > 2.0**-6))

    @cached_property
    def on_cosines(self) -> bool:
        """Whether the logits are cosines."""
        return self.case.function.name in ON_COSINES

    @cached_property
    def infinite_logits(self) -> bool:
        """Whether the mathematics is defined for logits of -inf."""
        return not self.on_cosines and self.case.function.name not in (FORMULA, SELF)

    @cached_property
    def elementwise(self) -> bool:
        """Whether the function has an output for each logit."""
        return self.output_shape(self.case.shape) == self.case.shape and self.case.targets is None

    @cached_property
    def reduced(self) -> bool:
        """Whether the output is one number for all rows."""
        return self.output_shape(self.case.shape) == () and self.row_axes > 0

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the function's output on logits of a shape."""
        return shapes.output_shape(self.case.function, shape, self.case.axis)

    def shape(self, rows: int | None = None, classes: int | None = None) -> tuple[int, ...]:
        """The shape of a probe's logits: coprime rows and 11 classes, or so many along the first row axis and the
        last class axis, with 1 along the others. Classes that are fixed stay."""
        row_sizes = _rows(self.row_axes) if rows is None else _padded((rows,), self.row_axes)
        own = tuple(self.case.shape[axis] for axis in self.case.axis)
        count = len(own)
        if self.classes_fixed:
            class_sizes = own
        elif classes is None:
            class_sizes = CLASSES.get(count, (*CLASSES[3], *(1,) * (count - 3)))
        else:
            class_sizes = (*(1,) * (count - 1), classes)
        remaining, inner = iter(row_sizes), iter(class_sizes)
        return tuple(next(inner if i in self.case.axis else remaining) for i in range(len(self.case.shape)))

    def sizes(self, rows: int | None = None, classes: int | None = None) -> tuple[int, int]:
        """Rows and classes of a probe of that shape."""
        shape = self.shape(rows, classes)
        return prod(shapes.row_shape(shape, self.case.axis)), shapes.classes(shape, self.case.axis)

    def restored(self, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """[rows, classes] in the shape of logits."""
        order = [i for i in range(len(shape)) if i not in self.case.axis] + list(self.case.axis)
        return rows.reshape([shape[i] for i in order]).transpose(np.argsort(order))

    def reach(self, form: Format) -> float:
        """The largest |z| that a probe may hold in a format, so that nothing overflows but what has to."""
        largest = form.largest * min(1.0, self.factor) / 16.0
        squares = self.case.function.name not in LINEAR or bool(self.parameters.get("z_loss"))
        if self.case.function.name == "focal" and float(self.parameters.get("gamma", 1.0)) < 1.0:  # type: ignore[arg-type]
            largest = min(largest, ROOTS)
        return min(largest, 0.875 * sqrt(form.largest)) if squares else largest

    def _arguments(self) -> list[object]:
        return [value for subject in self.case.subjects for value in subject.kwargs.values()]


def _rows(count: int) -> tuple[int, ...]:
    return ROWS[count] if count in ROWS else (*ROWS[4], *(1,) * (count - 4))


def _padded(sizes: tuple[int, ...], count: int) -> tuple[int, ...]:
    return (*sizes, *(1,) * count)[:count]


def _counts(value: object, classes: int) -> bool:
    """Whether a parameter or an argument of a subject is tied to the number of classes."""
    if isinstance(value, Mapping) and "tensor" in value:
        value = value["tensor"]
    if isinstance(value, (tuple, list)):
        return len(value) == classes
    return isinstance(value, int) and not isinstance(value, bool) and value == classes
