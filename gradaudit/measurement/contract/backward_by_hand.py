"""A loss that is right beside a gradient written by hand that is not: the place of the fault is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.contract.told import breach, texts
from gradaudit.records.measurement import Breach


def backward_alone(entries: Sequence[Audited]) -> Iterator[Breach]:
    """A loss that is right wherever it was tried, beside a gradient written by hand that is not that of it."""
    plain = [entry for entry in entries if entry.measurement is not None and not entry.inputs.special]
    hand = next((texts(each.evaluation.notes, "written_by_hand") for each in plain if _by_hand(each)), [])
    if not hand or any(each.measurement.output.beyond or each.measurement.output.non_finite for each in plain):  # type: ignore[union-attr]
        return
    wrong = [each for each in plain if _quantity_beyond(each) and not _non_finite(each)]
    if wrong and not any(_non_finite(each) for each in plain):
        what = "loss" if wrong[0].inputs.targets is not None else "result"
        statement = (
            f"the {what} is right on all {len(plain)} inputs, and the gradient is that of something else on "
            f"{len(wrong)} of them: the fault stands in the forward or backward written by hand of "
            f"{' or '.join(_named_place(each, wrong[0]) for each in hand[:3])}"
        )
        yield breach("forward-and-backward-disagree", wrong[0], statement, inputs=len(plain), wrong=len(wrong))


def _named_place(place: str, entry: Audited) -> str:
    """`losses.py:9 in Loss`, as the adapter tells it, with the name first; the name alone for the subject itself."""
    where, _, name = place.rpartition(" in ")
    if place == entry.evaluation.notes.get("defined"):
        return name  # every statement ends with that place
    return f"{name} ({where})" if where else place


def _by_hand(entry: Audited) -> bool:
    return bool(entry.evaluation.notes.get("written_by_hand"))


def _quantity_beyond(entry: Audited) -> bool:
    assert entry.measurement is not None
    quantity = entry.measurement.gradient or entry.measurement.jacobian
    return quantity is not None and quantity.beyond > 0 and not entry.measurement.explanation.explains


def _non_finite(entry: Audited) -> bool:
    assert entry.measurement is not None
    quantity = entry.measurement.gradient or entry.measurement.jacobian
    return quantity is not None and quantity.non_finite > 0
