"""Small results in full: forward and gradient by row, Jacobians side by side, with their sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from rich.console import Console, Group
from rich.measure import measure_renderables
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gradaudit.records.measurement import Measurement, Quantity
from gradaudit.records.report import CaseReport
from gradaudit.records.subject import CUSTOM
from gradaudit.reports.console.cells import WORST_MARK, Cells
from gradaudit.reports.console.styled import INDENT, add_name_column, add_values, indented, safe, table
from gradaudit.reports.evaluations import ordered
from gradaudit.reports.findings import setting
from gradaudit.reports.small_arrays import Laid, exact_row_sum, is_small, laid_out, row_sum
from gradaudit.reports.verdicts import name as name_of

MAX_GROUPS = 6
DIGITS = (6, 5, 4, 3, 2)
"""Significant digits, most first: the first that fits the page is taken."""
GAP = 3
"""Blank columns between two matrices."""
ENDLESS = 10_000
"""A page so wide that nothing needs to fold."""

Shown = tuple[str, Laid]


def value_tables(case: CaseReport, console: Console) -> Iterator[Padding]:
    """For a small case, the values of every evaluation beside the exact ones, dtype by dtype and scale by scale."""
    if not is_small(case.case):
        return
    measurements = [item for item in ordered(case) if isinstance(item, Measurement) and item.key.probe is None]
    # Subjects that are fed probabilities have exact values of their own.
    fed = {subject.name: subject.input for subject in case.case.subjects}
    sets: dict[tuple[str, float, str], list[Measurement]] = {}
    for measurement in measurements:
        key = measurement.key
        sets.setdefault((key.dtype, key.scale, fed.get(key.subject, "logits")), []).append(measurement)
    groups = list(sets.items())
    for (dtype, scale, reading), group in groups[:MAX_GROUPS]:
        heading = setting(dtype, scale) + ("" if reading == "logits" else f" at {reading.replace('_', ' ')}")
        forward = _shown(group, case, lambda m: m.output)
        gradients = _shown(group, case, lambda m: m.gradient)
        jacobians = _shown(group, case, lambda m: m.jacobian)
        # One output a row: its single Jacobian row is the gradient.
        gradients += [shown for shown in jacobians if shown[1].got.shape[0] == 1]
        jacobians = [shown for shown in jacobians if shown[1].got.shape[0] > 1]
        if forward:
            yield _fitted(
                partial(_rows, f"forward {heading}", forward, sums=False, color_system=console.color_system), console
            )
        if gradients:
            yield _fitted(
                partial(_rows, f"gradient {heading}", gradients, sums=True, color_system=console.color_system),
                console,
            )
        if jacobians:
            yield from _side_by_side(f"Jacobian {heading}", jacobians, console)
    if groups:
        yield indented(safe((f"{WORST_MARK} the largest error in units of its tolerance", "dim")))
    if len(groups) > MAX_GROUPS:
        left = len(groups) - MAX_GROUPS
        yield indented(safe((f"values at {left} more pairs of dtype and scale stand in the JSON report", "dim")))


def _shown(
    group: Sequence[Measurement], case: CaseReport, quantity: Callable[[Measurement], Quantity | None]
) -> list[Shown]:
    several = len({measurement.key.formulation for measurement in group} - {CUSTOM}) > 1
    shown = []
    for measurement in group:
        laid = laid_out(quantity(measurement), case.case)
        label = name_of(measurement.key, with_formulation=several)
        if laid is not None:
            shown.append((label, laid))
    return shown


def _rows(heading: str, shown: Sequence[Shown], digits: int, *, sums: bool, color_system: str | None) -> Table:
    """One line for each row and evaluation, the exact one first."""
    exact = shown[0][1]
    _, rows, classes = exact.reference.shape
    headers = ["row"] if rows > 1 else []
    headers += [f"[{index}]" for index in range(classes)] if classes > 1 else ["value"]
    headers += ["sum"] if sums else []
    cells = Cells(exact.reference, digits, color_system)
    lines: list[tuple[Text, list[Text]]] = []
    for row in range(rows):
        entries = exact.reference[0, row]
        totals = [cells.total(exact_row_sum(entries))] if sums else []
        lines.append((safe(("exact", "bold")), [*_label(row, rows), *map(cells.cell, entries), *totals]))
        for name, laid in shown:
            totals = [cells.total(row_sum(laid.got[0, row]))] if sums else []
            marked = map(cells.cell, laid.got[0, row], laid.worst[0, row])
            lines.append((safe(name), [*_label(row, rows), *marked, *totals]))
    result = table(gap=0)
    add_name_column(result, heading)
    add_values(result, headers, lines)
    return result


def _label(row: int, rows: int) -> list[Text]:
    return [safe(f"{row} ")] if rows > 1 else []


def _side_by_side(heading: str, shown: Sequence[Shown], console: Console) -> Iterator[Padding]:
    """The matrices of one row of logits after the other, as many abreast as the page is wide."""
    exact = shown[0][1]
    page = console.width - INDENT
    rows = exact.reference.shape[1]
    for row in range(rows):
        yield indented(safe((heading + (f" row {row}" if rows > 1 else ""), "bold")))
        for digits in DIGITS:
            cells = Cells(exact.reference[:, row], digits, console.color_system)
            matrices = [_matrix("exact", exact.reference[:, row], None, cells)]
            matrices += [_matrix(name, laid.got[:, row], laid.worst[:, row], cells) for name, laid in shown]
            widths = [_width(matrix, console) for matrix in matrices]
            if max(widths) <= page:
                break
        abreast: list[Group] = []
        used = 0
        for matrix, width in zip(matrices, widths, strict=True):
            if abreast and used + GAP + width > page:
                yield _abreast(abreast)
                abreast, used = [], 0
            used += width + (GAP if abreast else 0)
            abreast.append(matrix)
        yield _abreast(abreast)


def _matrix(name: str, entries: np.ndarray, worst: np.ndarray | None, cells: Cells) -> Group:
    """Outputs down, logits across; sums over the logits at the right, over the outputs below."""
    total = exact_row_sum if worst is None else row_sum
    marks = np.zeros(entries.shape, dtype=bool) if worst is None else worst
    lines = [
        (safe(f"[{index}]"), [*map(cells.cell, row, marked), cells.total(total(row))])
        for index, (row, marked) in enumerate(zip(entries, marks, strict=True))
    ]
    sums = [*(total(column) for column in entries.T), total(entries.reshape(-1))]
    lines.append((safe(("sum", "bold")), [*map(cells.total, sums)]))
    result = table(gap=0)
    add_name_column(result, "output")
    add_values(result, [*(f"d[{index}]" for index in range(entries.shape[1])), "sum"], lines)
    return Group(safe((name, "bold")), result)


def _abreast(matrices: Sequence[Group]) -> Padding:
    grid = Table.grid(padding=(0, GAP, 0, 0))
    grid.add_row(*matrices)
    return indented(grid)


def _fitted(build: Callable[[int], Table], console: Console) -> Padding:
    """The table with the most digits that the page has room for, and with the fewest where it has for none."""
    for digits in DIGITS:
        result = build(digits)
        if _width(result, console) <= console.width - INDENT:
            break
    return indented(result)


def _width(renderable: Group | Table, console: Console) -> int:
    """The width it would take on an endless page (Rich clips a measurement to the page it is given)."""
    return measure_renderables(console, console.options.update(max_width=ENDLESS), [renderable]).maximum
