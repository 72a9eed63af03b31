"""What all checks of the contract read of an evaluation, and how they say what they found."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from gradaudit.measurement.allowances import Difference
from gradaudit.measurement.audited import Audited
from gradaudit.numerics import formats
from gradaudit.records.measurement import Breach


def pair(entry: Audited, experiment: str, quantity: str) -> np.ndarray | None:
    """The "output" or "gradient" of a further run; None where there was none."""
    return entry.evaluation.experiments.get(f"{experiment}.{quantity}")


def raised(entry: Audited) -> Mapping[str, str]:
    """What further runs raised, by their names."""
    found = entry.evaluation.notes.get("raised")
    return found if isinstance(found, Mapping) else {}


def texts(notes: Mapping[str, object], name: str) -> list[str]:
    """A note that is a list of texts; empty where there is none."""
    value = notes.get(name)
    return [str(each) for each in value] if isinstance(value, list) else []


def row_text(place: tuple[int, ...]) -> str:
    """A row by its number, or by its numbers where there are several axes."""
    return str(place[0]) if len(place) == 1 else str(list(place))


def shown(difference: Difference, entry: Audited, quantity: str) -> str:
    """Both numbers to the digits of their dtype, where they stand, and how many more there are."""
    place = f" at {list(difference.index)}" if difference.index else ""
    allowed = f", and may differ by {difference.allowed:.2g}" if difference.allowed else ""
    more = f", {difference.count} elements in all" if difference.count > 1 else ""
    dtype = entry.evaluation.output.dtype if quantity == "output" else entry.inputs.logits.dtype
    digits = math.ceil(formats.get(dtype.name).precision * math.log10(2.0)) + 1
    return f"{difference.first:.{digits}g} and {difference.second:.{digits}g}{place}{allowed}{more}"


def breach(fault: str, entry: Audited, statement: str, **evidence: float | int | str) -> Breach:
    """A breach that `entry` shows, with the place where the subject is defined."""
    defined = entry.evaluation.notes.get("defined")
    place = f" ({defined})" if defined else ""
    return Breach(fault, entry.evaluation.key, f"{statement}{place}", tuple(evidence.items()))
