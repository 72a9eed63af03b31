"""How rules put numbers, names and foreign text into one line of plain text."""

from __future__ import annotations

import math

from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.measurement import Element, Quantity
from gradaudit.records.profile import Profile
from gradaudit.records.subject import CUSTOM

LONGEST_QUOTE = 300
"""Characters of a foreign message that a finding quotes; the whole of it stands in the failure itself."""


def number(value: float) -> str:
    """A number to four significant digits, as the tables show them: `5.96e-8`, `NaN`; integers in full."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    mantissa, found, exponent = f"{value:.4g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if found else mantissa


def share(count: int, total: int, noun: str) -> str:
    """`1 of 3 rows`, `all 3 rows`, `the only row`."""
    if count == total:
        return f"the only {noun}" if total == 1 else f"all {total:,} {plural(noun, total)}"
    return f"{count:,} of {total:,} {plural(noun, total)}"


def plural(noun: str, count: int) -> str:
    """The noun as it stands after `count`; regular English plurals only."""
    return noun if count == 1 else f"{noun}s"


def setting(dtype: str, scale: float, probe: str | None = None) -> str:
    """Which dtype, and the scale and probe where they are not the plain ones: `float32 at scale 10`."""
    words = dtype if scale == 1.0 else f"{dtype} at scale {number(scale)}"
    return words if probe is None else f"{words}, probe {one_line(probe)}"


def label(key: EvaluationKey) -> str:
    """Which evaluation: `torch fused float32 at scale 10`; the backend of a named subject stands in brackets, and its
    formulation is told where its author claims one."""
    words = [one_line(key.subject) or key.backend]
    if not key.says_backend and key.backend not in words[0].split():
        words.append(f"({key.backend})")
    if key.formulation not in {"", CUSTOM, *words[0].split()}:
        words.append(key.formulation)
    return " ".join([*words, setting(key.dtype, key.scale, key.probe)])


def place(quantity: Quantity, element: Element) -> str:
    """Where an element stands: `gradient[0, 2]`, or `output` where it is a scalar."""
    return f"{quantity.name}{list(element.index) if element.index else ''}"


def declared(profile: Profile) -> str:
    """The formats of a profile: `compute float32, accumulate float32, ...`."""
    return (
        f"compute {profile.compute}, accumulate {profile.accumulate}, statistics {profile.statistics}, "
        f"storage {profile.storage}"
    )


def one_line(text: str) -> str:
    """Foreign text on one line: control characters and line breaks become spaces, the excess an ellipsis."""
    line = in_full(text)
    return line if len(line) <= LONGEST_QUOTE else f"{line[: LONGEST_QUOTE - 1]}…"


def in_full(text: str) -> str:
    """Text of our own that may quote names of others, on one line."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
