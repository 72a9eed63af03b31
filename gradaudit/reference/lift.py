"""A block of floats lifted into an algebra: scaled logits, target mass, upstream gradient over the denominator.

The same code serves the enclosure and the tolerance; they differ in the algebra. For a candidate's arithmetic the
roundings of what is prepared on the way (weights, smoothing, the denominator) are charged by their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic

import numpy as np

from gradaudit.functions.rows import Rows, Targets
from gradaudit.numerics.algebra import Algebra, N
from gradaudit.reference.block import Block, RowArrays

PER_CLASS = ("weight", "alpha", "logit_adjustment")
"""Parameters with an entry a class."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The function's parameters that shape the rows, as the exact reals that their doubles are.

    `all` holds every parameter, lists with an entry a class cut to the classes that take part. Where `reading` is not
    "logits", what is given has been through the scaling already.
    """

    temperature: float
    logit_scale: float
    label_smoothing: float
    reduction: str
    reading: str = "logits"
    all: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    @staticmethod
    def of(parameters: Mapping[str, object], reading: str = "logits", active: np.ndarray | None = None) -> Parameters:
        """Read them from a function call; what the function does not have gets its neutral value."""
        given = reading == "logits"
        return Parameters(
            float(parameters.get("temperature", 1.0)) if given else 1.0,  # type: ignore[arg-type]
            float(parameters.get("logit_scale", 1.0)) if given else 1.0,  # type: ignore[arg-type]
            float(parameters.get("label_smoothing", 0.0)),  # type: ignore[arg-type]
            str(parameters.get("reduction", "none")),
            reading,
            MappingProxyType({name: _cut(name, value, active) for name, value in parameters.items()}),
        )


def _cut(name: str, value: object, active: np.ndarray | None) -> object:
    if active is None or name not in PER_CLASS or not isinstance(value, tuple):
        return value
    return tuple(value[index] for index in active)


@dataclass(frozen=True, slots=True)
class Denominator:
    """What a mean divides by: the sum of `terms` (class weights or ones; exact floats), 1 where nothing is."""

    terms: np.ndarray | None
    count: int

    @property
    def value(self) -> float:
        """Its value to float64."""
        return float(self.count) if self.terms is None else float(self.terms.sum())


def denominator(arrays: RowArrays, parameters: Parameters) -> Denominator:
    """The mean's denominator: the weights of the labels that count, or the number of rows for probabilities."""
    if parameters.reduction != "mean":
        return Denominator(None, 1)
    if arrays.labels is None:
        return Denominator(None, arrays.layout.rows)
    valid = arrays.labels[arrays.labels != arrays.ignore_index]
    if arrays.weight is None:
        return Denominator(None, len(valid))
    active = arrays.layout.active
    return Denominator(arrays.weight[valid if active is None else np.searchsorted(active, valid)], len(valid))


@dataclass(frozen=True, slots=True, eq=False)
class Lift(Generic[N]):
    """How a case's blocks enter the algebra `m`.

    `reciprocals`: a candidate multiplies by the rounded reciprocal of a rounded parameter instead of dividing by it.
    """

    m: Algebra[N]
    parameters: Parameters
    denominator: N | None
    elementwise: bool
    reciprocals: bool = False

    def rows(self, block: Block, unit: int | None) -> Rows[N]:
        """The rows of `block`; `unit` selects the cotangent e_unit of a per-output backward."""
        z, factor = self._logits(block)
        p = self.parameters
        counted = None if block.counted.all() else block.counted[:, None]
        return Rows(
            *(z, factor, self._upstream(block, unit), self._targets(block)),
            parameters=p.all,
            labels=block.labels,
            counted=counted,
            reading=p.reading,
            support=None if block.soft is None else block.soft != 0.0,
        )

    def _logits(self, block: Block) -> tuple[N, N | None]:
        m, p = self.m, self.parameters
        z, factor = m.exact(block.logits), None
        # A candidate rounds each of the two numbers to its dtype, or takes the reciprocal first.
        if p.logit_scale < 0.0:
            # A sign is no rounding.
            z, factor = -z, m.exact(-1.0)
        if abs(p.logit_scale) != 1.0:
            scale = m.parameter(abs(p.logit_scale))
            z, factor = z * scale, scale if factor is None else -scale
        if p.temperature != 1.0:
            temperature = m.charged(m.parameter(p.temperature), int(self.reciprocals))
            z = z / temperature
            factor = m.exact(1.0) / temperature if factor is None else factor / temperature
        return z, factor

    def _upstream(self, block: Block, unit: int | None) -> N:
        m = self.m
        if unit is not None:
            shape = block.logits.shape if self.elementwise else (1, 1)
            values = np.zeros(shape)
            values[:, unit] = 1.0
            g = m.exact(values)
        else:
            assert block.upstream is not None, "upstream values or a unit cotangent"
            g = m.exact(block.upstream)
        return g if self.denominator is None else g / self.denominator

    def _targets(self, block: Block) -> Targets[N] | None:
        if block.labels is None and block.soft is None:
            return None
        m, eps = self.m, self.parameters.label_smoothing
        counted = block.counted[:, None].astype(np.float64)
        weight = None if block.weight is None else block.weight[None, :]
        alpha = self.parameters.all.get("smooth_alpha", 0.0)
        assert isinstance(alpha, float)
        if block.labels is not None and eps == 0.0 and alpha == 0.0:
            mass = counted if weight is None else counted * weight[0, block.labels][:, None]
            return Targets(block.labels, m.exact(mass), None)
        classes = block.logits.shape[-1]
        own: N
        if block.labels is not None:
            hot = np.zeros_like(block.logits)
            np.put_along_axis(hot, block.labels[:, None], counted, axis=-1)
            if alpha:
                return Targets(None, None, self._taken(hot, counted, alpha))
            own = m.exact(hot if weight is None else hot * weight)
        else:
            assert block.soft is not None
            own = m.exact(block.soft)
            own = own if weight is None else own * m.exact(weight)
        if eps == 0.0:
            return Targets(None, None, own)
        spread = m.parameter(eps) / m.exact(float(classes)) * m.exact(counted if weight is None else counted * weight)
        # A candidate rounds 1 - eps and eps / C themselves, and may weight before or after the smoothing.
        return Targets(None, None, m.charged((m.exact(1.0) - m.parameter(eps)) * m.parameter(1.0) * own + spread, 2))

    def _taken(self, hot: np.ndarray, counted: np.ndarray, alpha: float) -> N:
        """1 - alpha at the label, alpha / (K - 1) at every other class: MXNet's smoothing of labels."""
        m = self.m
        others = m.parameter(alpha) / m.exact(float(hot.shape[-1] - 1)) * m.exact(counted - hot)
        return (m.exact(1.0) - m.parameter(alpha)) * m.exact(hot) + others
