"""A reference that lies is found out by the auditor itself: no verdict, and exit status 3."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from gradaudit.cli.main import run
from gradaudit.measurement import spot_check
from gradaudit.numerics import exponentials
from gradaudit.numerics.ball import Ball
from gradaudit.reference import truth
from gradaudit.reference.special_values import Enclosed
from gradaudit.reference.truth import Truth

ARGUMENTS = (
    *("check", "--random", "normal,6x5,seed=3", "--function", "cross_entropy", "--targets", "random,seed=1"),
    *("--backend", "numpy", "--output-format", "concise"),
)
RADII = 10.0
"""By how many of its radii a lie is off: far below what any tolerance in float32 would notice."""

Break = Callable[[pytest.MonkeyPatch], None]


def moved(enclosed: Enclosed, row: int) -> Enclosed:
    """The enclosure with one row off by some radii."""
    mid = enclosed.mid.copy()
    mid[row] += RADII * enclosed.rad[row]
    return Enclosed(mid, enclosed.low, enclosed.rad, enclosed.open)


def gradient_off(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Truth.gradient
    monkeypatch.setattr(Truth, "gradient", lambda *a: moved(right(*a), 2))


def output_off(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Truth._truth

    def wrong(self: Truth, block: object) -> object:
        found = right(self, block)
        found.output = moved(found.output, 4)
        return found

    monkeypatch.setattr(Truth, "_truth", wrong)


def no_radius(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(truth, "INFLATION", 0.0)


def exponentials_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library whose exp is wrong in the twelfth digit."""
    right = exponentials.RowExponentials.__init__

    def wrong(self: exponentials.RowExponentials, z: object) -> None:
        right(self, z)
        self.weight[:, 1] *= 1.0 + 1e-12
        self.total = self.weight.sum(axis=-1, keepdims=True)

    monkeypatch.setattr(exponentials.RowExponentials, "__init__", wrong)


def products_off(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Ball.__mul__

    def wrong(self: Ball, other: Ball) -> Ball:
        found = right(self, other)
        return Ball(found.algebra, found.mid * (1.0 + 1e-12), found.rad)

    monkeypatch.setattr(Ball, "__mul__", wrong)


def mean_off(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Truth.reduced_output
    monkeypatch.setattr(Truth, "reduced_output", lambda self: moved(right(self), 0))


LIES: tuple[Break, ...] = (gradient_off, output_off, no_radius, exponentials_off, products_off, mean_off)
each_lie = pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)


def assert_gives_no_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    """The audit ends with exit status 3 and says why; it accuses nobody."""
    status = run(ARGUMENTS, {})
    out, _ = capsys.readouterr()
    assert "RUN606" in out, f"a verdict was given: {out}"
    assert "misses the exact value" in out
    assert not re.search("BUG|DIV|CAN", out)
    assert status == 3


@each_lie
def test_a_lying_reference_is_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lie: Break
) -> None:
    lie(monkeypatch)
    assert_gives_no_verdict(capsys)


# ------------------------------------------------------------------------------------ it can be seen to fail


def test_an_honest_reference_gives_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match="a verdict was given"):
        assert_gives_no_verdict(capsys)


@each_lie
def test_without_the_spot_check_the_lie_is_believed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lie: Break
) -> None:
    lie(monkeypatch)
    monkeypatch.setattr(spot_check, "_check", lambda _: 0)
    with pytest.raises(AssertionError, match="a verdict was given"):
        assert_gives_no_verdict(capsys)
