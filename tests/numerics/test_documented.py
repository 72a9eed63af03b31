"""docs/numerics.md shows what the code has."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradaudit.numerics import formats
from tests.numerics import documented
from tests.numerics.documented import THRESHOLDS
from tests.reference.row_shares import STEPS


@pytest.mark.parametrize("name", ["formats", "thresholds", "special values"])
def test_a_table_is_the_codes_own(name: str) -> None:
    assert documented.between(name) == documented.TABLES[name](), "run python -m tests.numerics.documented"


def test_every_order_that_is_tested_is_shown_with_its_share() -> None:
    """Shares depend on NumPy's random numbers: those shown were measured, and lie where the tests want them."""
    lines = documented.between("rows").splitlines()[2:]
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [(*row[:3], row[3].strip("`")) for row in shown] == list(STEPS)
    for row in shown:
        assert 0.0 < float(row[4]) <= 1.0
        assert 0.5 <= float(row[5]) <= 1.0


def test_every_section_of_the_page_is_named_once() -> None:
    headings = re.findall(r"^#+ (.+)$", documented.PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(set(headings)) == len(headings)


HAPPENS: dict[str, Callable[[float, Any], bool]] = {
    "1 + e^−g": lambda g, stored: float(np.asarray(1.0 + math.exp(-g)).astype(stored)) == 1.0,
    "1/p overflows": lambda g, stored: math.isinf(float(np.asarray(math.exp(g)).astype(stored))),
    "zero": lambda g, stored: float(np.asarray(math.exp(-g)).astype(stored)) == 0.0,
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("what", HAPPENS)
def test_thresholds_of_arithmetic(dtype: str, what: str) -> None:
    """Just below one it does not happen, just above it does."""
    (value,) = (value for name, (_, value) in THRESHOLDS.items() if name.startswith(what))
    threshold, aside = value(formats.get(dtype)), max(1e-3, formats.get(dtype).unit_roundoff)
    with np.errstate(over="ignore"):
        assert not HAPPENS[what](threshold - aside, formats.dtype(dtype))
        assert HAPPENS[what](threshold + aside, formats.dtype(dtype))
