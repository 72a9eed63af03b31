"""What the inputs themselves do to the function: how near saturation they are, and what cancels."""

from __future__ import annotations

import math

from gradaudit.records.measurement import InputFacts
from gradaudit.reports.number_format import number


def facts_statements(facts: InputFacts) -> tuple[tuple[str, str], ...]:
    """(matter, statement) for each matter of which there is something to say at this dtype and scale."""
    statements = (
        ("saturation", _saturation(facts)),
        ("Jacobian", _jacobian(facts)),
        ("underflow", _underflow(facts)),
        ("cancellation", _cancellation(facts)),
        ("conditioning", _conditioning(facts)),
        ("special values", _special(facts)),
    )
    return tuple((matter, statement) for matter, statement in statements if statement)


def _saturation(facts: InputFacts) -> str:
    if _says_nothing(facts.max_probability):
        return ""
    return (
        f"largest probability {_probability(facts.max_probability, facts.complement)}, "
        f"1 - p = {number(facts.complement)} = {_in_units(facts.complement, facts)}, "
        f"and from u/2 down p rounds to 1: {_rows(facts.saturated_rows, facts)}"
    )


def _jacobian(facts: InputFacts) -> str:
    if _says_nothing(facts.max_probability):
        return ""
    return (
        f"largest entry {number(facts.largest_jacobian_entry)} = {_in_units(facts.largest_jacobian_entry, facts)}, "
        f"and below u it vanishes: {_rows(facts.vanished_rows, facts)}"
    )


def _underflow(facts: InputFacts) -> str:
    if _says_nothing(facts.max_probability):
        return ""
    text = f"smallest probability {number(facts.smallest_probability, 3)}"
    if facts.underflowed:
        text += f"; {facts.underflowed:,} below the normal range, {facts.zero:,} of them round to 0"
    return text


def _cancellation(facts: InputFacts) -> str:
    if not facts.sums_outputs or _says_nothing(facts.max_probability):
        return ""
    if facts.cancelled_rows == 0:
        return "the per-output gradients cancel in no row"
    return (
        f"the per-output gradients cancel in {_rows(facts.cancelled_rows, facts)}: they add up to "
        f"{number(facts.cancelled_sum, 3)}, their magnitudes to {number(facts.cancelled_magnitude)}"
    )


def _conditioning(facts: InputFacts) -> str:
    if _says_nothing(facts.max_probability):
        return ""
    statements = [] if math.isnan(facts.condition) else [f"condition number {number(facts.condition, 3)}"]
    if math.isinf(facts.offset):
        statements.append("a common offset beside logits that are all equal")
    elif not math.isnan(facts.offset):
        statements.append(f"common offset {number(facts.offset, 3)} times the spread of the row")
    return ", ".join(statements)


def _special(facts: InputFacts) -> str:
    if not facts.special_rows:
        return ""
    return f"NaN, infinite or wholly masked logits: {_rows(facts.special_rows, facts)}"


def _says_nothing(largest_probability: float) -> bool:
    """Whether no row has two finite logits: the largest probability of one that has is above 0."""
    return not largest_probability > 0


def _probability(p: float, complement: float) -> str:
    text = number(p)
    return f"1 - {number(complement, 3)}" if text == "1" and complement > 0 else text


def _in_units(value: float, facts: InputFacts) -> str:
    return f"{number(value / facts.unit_roundoff, 3)} u"


def _rows(amount: int, facts: InputFacts) -> str:
    if amount == 0:
        return "no row"
    if amount == facts.rows:
        return "the only row" if amount == 1 else f"all {amount:,} rows"
    return f"{amount:,} of {facts.rows:,} rows"
