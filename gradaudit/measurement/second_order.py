"""Second derivatives and derivatives by soft targets: paths that a subject cuts off without saying so.

A gradient that was computed in the forward and saved is right, and a constant: differentiating it again gives 0. Only
that is judged: where every element came back as 0, or no graph leads there, the exact values must not be 0. A subject
that refuses (once_differentiable) is honest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from gradaudit.measurement.audited import Audited
from gradaudit.numerics import formats
from gradaudit.records.measurement import NamedFault
from gradaudit.reference import second_order
from gradaudit.reference.second_order import Enclosure

FAULT = "detached-path"
CUT = ("no graph", "no path")
"""Notes of the adapter: autograd found no way from the derivative back to the inputs."""


def faults(entries: Sequence[Audited]) -> tuple[NamedFault, ...]:
    """The cut paths of one subject at one dtype, each kind by the first evaluation that shows it."""
    found: dict[str, NamedFault] = {}
    for entry in entries:
        if entry.truth is not None and not entry.inputs.special and not entry.inputs.per_output:
            for kind, fault in _of(entry):
                found.setdefault(kind, fault)
    return tuple(found.values())


def _of(entry: Audited) -> Iterator[tuple[str, NamedFault]]:
    truth, kept = entry.truth, entry.evaluation.experiments
    assert truth is not None
    direction = kept.get("second_order.direction")
    if direction is not None and direction.shape == truth.layout.shape:
        shown = _cut(entry, "second_order", "hessian", lambda: second_order.hessian_product(truth, direction))
        if shown is not None:
            how, (place, value) = shown
            statement = (
                f"the second derivative is cut off: {how}, where the exact product of the Hessian with a random "
                f"direction is {value:.6g} at {list(place)}"
            )
            advice = (
                "compute the gradient in backward from saved inputs by differentiable operations, or mark backward "
                "@once_differentiable, so that a second derivative is refused and not 0"
            )
            yield "second derivative", _fault(entry, statement, advice, value)
    if "of_targets" in entry.evaluation.notes:
        shown = _cut(entry, "of_targets", "gradient", lambda: second_order.target_gradient(truth))
        if shown is not None:
            how, (place, value) = shown
            statement = (
                f"the soft targets are cut off: {how} for them, where the exact derivative is {value:.6g} at "
                f"{list(place)}"
            )
            advice = "return the derivative by the targets as well (-log p times upstream), or take detach() away"
            yield "targets", _fault(entry, statement, advice, value)


def _cut(
    entry: Audited, experiment: str, quantity: str, exact: Callable[[], Enclosure]
) -> tuple[str, tuple[tuple[int, ...], float]] | None:
    """How a path is cut, and the exact element that is furthest from 0; None where it is not, or 0 is right."""
    got = entry.evaluation.experiments.get(f"{experiment}.{quantity}")
    if got is not None and not (np.asarray(got).astype(np.float64) == 0.0).all():
        return None
    if got is None and entry.evaluation.notes.get(experiment) not in CUT:
        return None
    how = "every derivative is 0" if got is not None else "autograd finds no way back to the inputs"
    enclosure = exact()
    # Below the smallest normal number a candidate may be left with 0 though its path is whole.
    certain = np.nan_to_num(np.abs(enclosure.mid) - enclosure.rad, nan=0.0)
    index = np.unravel_index(int(np.argmax(certain)), certain.shape)
    if not certain[index] > formats.get(entry.inputs.dtype).smallest_normal:
        return None
    return how, (tuple(int(i) for i in index), float(enclosure.mid[index]))


def _fault(entry: Audited, statement: str, advice: str, value: float) -> NamedFault:
    defined = entry.evaluation.notes.get("defined")
    place = f" ({defined})" if defined else ""
    return NamedFault(FAULT, entry.evaluation.key, f"{statement}{place}", advice, (("exact", value),))
