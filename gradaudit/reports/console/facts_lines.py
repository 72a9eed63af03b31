"""The facts of the inputs, a line for each matter."""

from __future__ import annotations

from collections.abc import Iterator

from rich.padding import Padding

from gradaudit.records.measurement import InputFacts
from gradaudit.reports.console.styled import indented, safe
from gradaudit.reports.facts_statements import facts_statements
from gradaudit.reports.findings import setting
from gradaudit.reports.number_format import number


def facts_lines(facts: InputFacts) -> Iterator[Padding]:
    """The facts of one dtype and scale, a heading and a line for each matter; what does not apply is left out."""
    heading = f"inputs {setting(facts.dtype, facts.scale)}"
    yield indented(safe((heading, "bold"), f" (unit roundoff u = {number(facts.unit_roundoff, 3)})"))
    for matter, statement in facts_statements(facts):
        yield indented(safe((f"{matter}: ", "dim"), statement), 2)
