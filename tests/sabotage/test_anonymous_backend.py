"""torch's 16-bit log_softmax is found out by its values, also under another name; along axis 0 it is not accused."""

from __future__ import annotations

import pytest

from gradaudit.records.report import CaseReport
from gradaudit.reference import ladder
from tests.sabotage.conftest import run

BACKENDS = ("anonymous", "torch")
DTYPES = ("float16", "bfloat16")


def spec(axis: int) -> str:
    return f"""
        version: 1
        name: log_softmax over axis {axis}
        function: log_softmax
        logits: {{random: {{distribution: normal, shape: [40, 48], seed: 5}}}}
        upstream: random
        axis: {axis}
        dtypes: [float16, bfloat16]
        backends: [anonymous, torch, numpy]
    """


def accused(case: CaseReport) -> list[tuple[str, str | None, str | None, object]]:
    """Every error: its code, whom it is about, and the precision that would explain the values."""
    return [
        (f.code, f.backend, f.dtype, f.evidence.get("precision_needed"))
        for f in case.findings
        if f.severity == "error"
    ]


FOUND_OUT = [("DIV304", backend, dtype, f"{dtype} row statistics") for dtype in DTYPES for backend in BACKENDS]


@pytest.fixture(scope="module")
def cases() -> dict[int, CaseReport]:
    last, first = run((spec(1), spec(0))).cases
    return {1: last, 0: first}


def test_it_is_found_out_over_the_last_axis(cases: dict[int, CaseReport]) -> None:
    assert sorted(accused(cases[1])) == sorted(FOUND_OUT)


def test_it_is_not_accused_over_the_first_axis(cases: dict[int, CaseReport]) -> None:
    assert accused(cases[0]) == []
    assert len(cases[0].measurements) == 6


def test_both_names_return_the_same(cases: dict[int, CaseReport]) -> None:
    for case in cases.values():
        by_key = {(m.key.backend, m.key.dtype): m for m in case.measurements}
        for dtype in DTYPES:
            first, second = (by_key[backend, dtype] for backend in BACKENDS)
            assert (first.output.values.got == second.output.values.got).all()
            assert first.explanation == second.explanation


@pytest.mark.slow
def test_who_believes_in_row_statistics_of_16_bits_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first test fails when the ladder takes the lower precision for the declared one."""
    right = ladder.precisions
    monkeypatch.setattr(ladder, "precisions", lambda profile: tuple(("declared", p) for _, p in right(profile)))
    (case,) = run((spec(1),)).cases
    assert accused(case) == []
