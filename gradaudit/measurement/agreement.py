"""A subject is one algorithm: what explains some of its evaluations has to explain the others as well.

docs/numerics.md, "A user's own code". The formulations under which small probabilities vanish have tolerances so wide
that they explain many a fault on some inputs. Whoever computes so, computes so on all inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.evaluation import measure
from gradaudit.measurement.rejection import rejected
from gradaudit.records.measurement import Measurement
from gradaudit.reference.ladder import ToleranceRow


def agreeing(entries: Sequence[Audited], rows: tuple[ToleranceRow, ...]) -> tuple[Audited, ...]:
    """`entries`, where what explains some must not be refuted by the others.

    A formulation that hides small probabilities counts as an explanation only if one and the same row explains every
    ordinary evaluation; and a precision below the declared one only where no ordinary evaluation is left without any
    explanation. Else what only such rows explain is measured without them.
    """
    ordinary = [each for each in entries if each.measurement is not None and not each.inputs.special]
    rowed = {id(each): _row_of(each.measurement, rows) for each in ordinary}
    if any(row is None for row in rowed.values()):
        refuted = [row for row in rows if row.weaker]
    else:
        refuted = _hiding(rows)
        needed = [row for row in rowed.values() if row in refuted]
        if any(_explains_all(row, ordinary, rows) for row in _candidates(needed, refuted)):
            return tuple(entries)
    doubtful = {key for key, row in rowed.items() if row is not None and row in refuted}
    if not doubtful:
        return tuple(entries)
    strict = tuple(row for row in rows if row not in refuted)
    return tuple(_without(each, strict) if id(each) in doubtful else each for each in entries)


def _candidates(needed: Sequence[ToleranceRow | None], hiding: Sequence[ToleranceRow]) -> list[ToleranceRow]:
    """The rows that may be the subject's own, those first that were needed: no row tighter than all of these is."""
    if not needed:
        return []
    return [row for row in hiding if row in needed] + [row for row in hiding if row not in needed]


def _hiding(rows: Sequence[ToleranceRow]) -> list[ToleranceRow]:
    return [row for row in rows if row.primitives is not None and row.primitives.hides_tail]


def _row_of(measurement: Measurement | None, rows: Sequence[ToleranceRow]) -> ToleranceRow | None:
    """The row that explains a measurement."""
    if measurement is None or not measurement.explanation.explains:
        return None
    name = (measurement.explanation.formulation, measurement.explanation.precision)
    return next((row for row in rows if (row.formulation, row.precision) == name), None)


def _explains_all(row: ToleranceRow, entries: Sequence[Audited], rows: Sequence[ToleranceRow]) -> bool:
    return all(
        _row_of(each.measurement, rows) == row
        or (each.truth is not None and not rejected(each.truth, each.evaluation, row))
        for each in entries
    )


def _without(entry: Audited, rows: tuple[ToleranceRow, ...]) -> Audited:
    known = entry.measurement
    assert known is not None
    assert entry.truth is not None
    again = measure(entry.truth, entry.evaluation, known.profile, known.upstream, rows)
    return replace(entry, measurement=replace(again, special_probe=known.special_probe))
