"""Amounts as they stand on the command line and in pyproject.toml."""

from __future__ import annotations

import math
import re

from gradaudit.errors import FlagError

_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)\s*")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def byte_count(text: str, flag: str) -> int:
    """`2GB` is 2 * 10**9 bytes, `512MiB` 512 * 2**20, `1024` 1024; FlagError for anything else, and for 0."""
    match = _SIZE.fullmatch(text)
    unit = match[2].lower().removesuffix("b") if match else ""
    base = 1024 if unit.endswith("i") else 1000
    power = _POWERS.get(unit.removesuffix("i"))
    if match is None or power is None or unit == "i":
        raise FlagError(f"{flag} {text!r}: not a size; give bytes, or a number with a unit such as 2GB or 512MiB")
    count = int(float(match[1]) * base**power)
    if count < 1:
        raise FlagError(f"{flag} {text!r}: at least one byte is needed; give for example 2GB")
    return count


def seconds(value: float, flag: str) -> float:
    """A finite time above 0; FlagError otherwise."""
    if not (math.isfinite(value) and value > 0):
        raise FlagError(f"{flag} {value:g}: expected a number of seconds above 0, for example 60")
    return value


def whole(value: int, least: int, flag: str) -> int:
    """A whole number from `least` on; FlagError otherwise."""
    if value < least:
        raise FlagError(f"{flag} {value}: expected {least} or more")
    return value


def codes(values: list[str] | tuple[str, ...] | None) -> tuple[str, ...]:
    """Prefixes of codes, given one by one or separated by commas."""
    parts = (part.strip() for value in values or () for part in value.split(","))
    return tuple(part for part in parts if part)


def severity(value: str, flag: str) -> str:
    """One of the severities; FlagError otherwise."""
    from gradaudit.records.finding import SEVERITIES

    if value not in SEVERITIES:
        raise FlagError(f"{flag} {value!r}: expected {', '.join(reversed(SEVERITIES))}")
    return value
