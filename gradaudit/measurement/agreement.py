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
    """`entries`, where a formulation that hides small probabilities counts as an explanation only if one and the same
    row explains every ordinary evaluation; else what only such a row explains is measured without them."""
    ordinary = [each for each in entries if each.measurement is not None and not each.inputs.special]
    doubtful = [each for each in ordinary if _row_of(each.measurement, rows) in _hiding(rows)]
    explained = all(each.measurement is not None and each.measurement.explanation.explains for each in ordinary)
    if (
        not doubtful
        or not explained
        or any(_explains_all(row, ordinary, rows) for row in _candidates(doubtful, rows))
    ):
        return tuple(entries)
    strict = tuple(row for row in rows if row not in _hiding(rows))
    return tuple(_without(each, strict) if each in doubtful else each for each in entries)


def _hiding(rows: Sequence[ToleranceRow]) -> list[ToleranceRow]:
    return [row for row in rows if row.primitives is not None and row.primitives.hides_tail]


def _candidates(doubtful: Sequence[Audited], rows: Sequence[ToleranceRow]) -> list[ToleranceRow]:
    """The rows that may be the subject's own, those first that were needed: no row tighter than all of these is."""
    needed = [_row_of(each.measurement, rows) for each in doubtful]
    hiding = _hiding(rows)
    return [row for row in hiding if row in needed] + [row for row in hiding if row not in needed]


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
