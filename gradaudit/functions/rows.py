"""What a function is given: rows of logits, lifted into an algebra, with targets and upstream gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic

import numpy as np

from gradaudit.numerics.algebra import N


@dataclass(frozen=True, slots=True, eq=False)
class Targets(Generic[N]):
    """The mass t_ij that row i puts on class j; ignored rows put none anywhere.

    Either `labels` [rows] and `mass` [rows, 1]: all of the row's mass is at its label; or `dense` [rows, n].
    Labels of ignored rows are 0, with mass 0.
    """

    labels: np.ndarray | None
    mass: N | None
    dense: N | None


@dataclass(frozen=True, slots=True, eq=False)
class Rows(Generic[N]):
    """Rows of scaled logits z = `factor` * x (shape [rows, n], masked classes left out).

    `upstream` is [rows, n] for functions with one output a class, [rows, 1] for those with one output a row;
    for a reduced loss it is already divided by the mean's denominator. `factor` is None where it is 1.
    `parameters` are those of the function call, lists with an entry a class cut to the classes that take part.
    `labels` [rows] are the class indices, where there are any, also where the mass is dense; 0 in ignored rows, which
    `counted` [rows, 1] marks with false (None: all count). `reading` is what `z` holds (`Inputs.reading`). `support`
    [rows, n] is true where a target probability is not 0 (None where there are none).
    """

    z: N
    factor: N | None
    upstream: N
    targets: Targets[N] | None
    parameters: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    labels: np.ndarray | None = None
    counted: np.ndarray | None = None
    reading: str = "logits"
    support: np.ndarray | None = None
