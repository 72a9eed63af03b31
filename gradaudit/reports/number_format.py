"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def number(value: float, digits: int = 6) -> str:
    """`value` with up to `digits` significant digits; "NaN", "inf" and "-inf" by name, and no negative zero."""
    if math.isnan(value):
        return "NaN"
    if value == 0:
        return "0"
    text = f"{value:.{digits}g}"
    mantissa, found, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if found else text


def quantity(value: object, digits: int = 6) -> str:
    """Any scalar of a finding's evidence as text, floats through `number`."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, float):
        return number(value, digits)
    return str(value)


def share(part: int, whole: int) -> str:
    """`part` of `whole` in percent; a share that is neither nothing nor all never reads as 0% or 100%."""
    if part == 0 or whole == 0:
        return "0%"
    if part == whole:
        return "100%"
    percent = 100.0 * part / whole
    if percent < 1:
        return "<1%"
    return ">99%" if percent > 99 else f"{percent:.0f}%"


def shape(dimensions: Sequence[int]) -> str:
    """`(128, 256)`; `()` for a scalar."""
    return f"({', '.join(map(str, dimensions))}{',' if len(dimensions) == 1 else ''})"


def count(amount: int, noun: str, plural: str | None = None) -> str:
    """`1 finding`, `2 findings`."""
    return f"{amount:,} {noun if amount == 1 else plural or noun + 's'}"
