"""The reference floor and the oracle on the same inputs, row by row: what is compared with what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gradaudit.records.inputs import Inputs
from gradaudit.reference.special_values import Enclosed
from gradaudit.reference.truth import Truth
from tests.oracle import direct


@dataclass(frozen=True)
class Pair:
    """One quantity: the enclosure and the exact values, both [rows, active classes or 1]."""

    quantity: str
    mid: np.ndarray
    low: np.ndarray
    rad: np.ndarray
    exact: np.ndarray

    @cached_property
    def contained(self) -> np.ndarray:
        """Where the exact value lies in the enclosure.

        An infinite midpoint stands for every value beyond the range of float64 as well.
        """
        beyond = np.isinf(self.mid)
        if beyond.any():
            beyond[beyond] = direct.nearest(self.exact[beyond]) == self.mid[beyond]
        return beyond | direct.contains(self.mid, self.low, self.rad, self.exact)

    def is_decided(self) -> bool:
        """Whether every exact value is known well enough to say where it lies."""
        outside = ~self.contained
        part = (array[outside] for array in (self.mid, self.low, self.rad, self.exact))
        return not outside.any() or bool(direct.excludes(*part).all())


def decided_pairs(inputs: Inputs) -> list[Pair]:
    """The pairs of one set of inputs, the oracle's values with as many bits as the enclosure's radii ask for.

    Enclosures by arb are so narrow that an oracle of 120 bits could not tell what they contain.
    """
    truth = Truth(inputs)
    for bits in (120, 400, 1200, 2400):
        found = list(pairs(truth, direct.evaluate(inputs, bits)))
        if all(pair.is_decided() for pair in found):
            break
    return found


def pairs(truth: Truth, exact: dict[str, np.ndarray]) -> Iterator[Pair]:
    """Yield the output and the gradient (of every unit, for a Jacobian) beside the exact ones."""
    blocks = list(truth.blocks())
    if truth.reduced:
        yield _pair("output", [truth.reduced_output()], exact["output"].reshape(1, 1))
    else:
        yield _pair("output", [block.output for block in blocks], output_rows(truth, exact["output"]))
    for index, unit in enumerate(truth.units):
        found = [truth.gradient(block, unit) for block in blocks]
        yield _pair("gradient", found, gradient_rows(truth, exact, index))


def output_rows(truth: Truth, output: np.ndarray) -> np.ndarray:
    """An unreduced output as [rows, active classes or 1]."""
    if not truth.elementwise:
        return output.reshape(-1, 1)
    return _active_rows(truth, output)


def gradient_rows(truth: Truth, exact: dict[str, np.ndarray], index: int) -> np.ndarray:
    """The gradient, or line `index` (counted among active classes) of the Jacobian, as [rows, active classes]."""
    if "gradient" in exact:
        return _active_rows(truth, exact["gradient"])
    active = truth.layout.active
    return _active_rows(
        truth, exact["jacobian"][index if active is None or len(exact["jacobian"]) == 1 else active[index]]
    )


def _active_rows(truth: Truth, array: np.ndarray) -> np.ndarray:
    rows = truth.layout.as_rows(array)
    return rows if truth.layout.active is None else rows[:, truth.layout.active]


def _pair(quantity: str, parts: list[Enclosed], exact: np.ndarray) -> Pair:
    mid = np.concatenate([part.mid for part in parts])
    zeros = np.zeros_like(mid)
    low = zeros if parts[0].low is None else np.concatenate([part.low for part in parts])
    rad = np.concatenate([np.broadcast_to(part.rad, part.mid.shape) for part in parts])
    assert mid.shape == exact.shape, f"{quantity}: {mid.shape} beside {exact.shape}"
    return Pair(quantity, mid, low, rad, exact)
