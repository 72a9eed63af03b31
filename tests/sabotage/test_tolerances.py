"""Errors of three tolerances are caught, and a tolerance is what the textbook says, not a million times that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from gradaudit.numerics import formats
from gradaudit.records.measurement import Measurement, Quantity
from gradaudit.records.report import CaseReport, Report
from gradaudit.reference.tolerance import Allowance, Tolerance
from tests.sabotage.conftest import Audit, run
from tests.sabotage.textbook import Row

FUNCTIONS = ("softmax", "log_softmax", "logsumexp", "cross_entropy")
DTYPES = ("float16", "bfloat16", "float32", "float64")


def spec(function: str) -> str:
    targets = "targets: [0, 3, 2, 6, 4, 1]" if function == "cross_entropy" else ""
    return f"""
        version: 1
        name: {function}
        function: {function}
        logits: {{random: {{distribution: normal, shape: [6, 7], scale: 2.0, seed: 8}}}}
        {targets}
        upstream: random
        dtypes: [{", ".join(DTYPES)}]
        backends: [lying]
    """


SPECS = tuple(spec(function) for function in FUNCTIONS)
Plants = dict[str, list[tuple[str, int, float]]]


@pytest.fixture(scope="module")
def honest() -> Report:
    """NumPy's results on every function and dtype, with their tolerances."""
    return run(SPECS)


def measurements(report: Report) -> Iterator[tuple[CaseReport, Measurement]]:
    for case in report.cases:
        for measurement in case.measurements:
            yield case, measurement


def quantity_of(measurement: Measurement, name: str) -> Quantity:
    found = measurement.output if name == "output" else measurement.gradient
    assert found is not None
    assert found.values is not None
    return found


def thrice(quantity: Quantity, tolerance: np.ndarray, dtype: str) -> tuple[int, float]:
    """The index of the largest element, and that element off by three tolerances, in the dtype."""
    values = quantity.values
    at = int(np.argmax(np.abs(values.reference)))
    wrong = formats.dtype(dtype).type(values.reference[at] + 3.0 * tolerance[at])
    assert abs(float(wrong) - values.reference[at]) > 2.0 * tolerance[at]
    return at, float(wrong)


def plants(report: Report, name: str) -> Plants:
    """One element of each evaluation's output or gradient, off by three of the audit's own tolerances."""
    return {
        f"{case.case.function.name} {m.key.dtype}": [
            (name, *thrice(quantity_of(m, name), quantity_of(m, name).values.tolerance, m.key.dtype))
        ]
        for case, m in measurements(report)
    }


def missed(report: Report) -> list[str]:
    """The evaluations of which nothing is said."""
    accused = {
        (f.location, f.dtype) for case in report.cases for f in case.findings if f.code in ("DIV301", "DIV304")
    }
    return [
        f"{case.case.function.name} {m.key.dtype}"
        for case, m in measurements(report)
        if (case.case.source, m.key.dtype) not in accused
    ]


def test_honest_results_are_within_their_tolerances(honest: Report) -> None:
    assert len(missed(honest)) == len(FUNCTIONS) * len(DTYPES)


@pytest.mark.parametrize("name", ["output", "gradient"])
def test_one_element_three_tolerances_off_is_caught(honest: Report, audit: Audit, name: str) -> None:
    report = audit(*SPECS, LIE="planted", PLANTED=json.dumps(plants(honest, name)))
    assert missed(report) == []
    for case in report.cases:
        narrowest = [f for f in case.findings if f.dtype == "bfloat16" and f.severity == "error"]
        assert [f.code for f in narrowest] == ["DIV301"], "no lower precision is left to explain it"


# ------------------------------------------------------------------------------------ slack tolerances

LOGITS = np.round(np.random.default_rng(8).standard_normal((6, 7)) * 2.0, 3)
UPSTREAM = np.random.default_rng(9).integers(-16, 17, size=(6, 7)) / 8.0
LABELS = (0, 3, 2, 6, 4, 1)


def textbook_spec(function: str) -> str:
    """Numbers that stand in the spec, so that the textbook knows them; three of its four functions have no labels."""
    loss = function == "cross_entropy"
    upstream = UPSTREAM[:, 0] if loss or function == "logsumexp" else UPSTREAM
    return f"""
        version: 1
        name: {function}
        function: {"{name: cross_entropy, reduction: none}" if loss else function}
        logits: {LOGITS.tolist()}
        {f"targets: {list(LABELS)}" if loss else ""}
        upstream: {{values: {upstream.tolist()}}}
        dtypes: [float32, float64]
        backends: [lying]
    """


TEXTBOOK = tuple(textbook_spec(function) for function in FUNCTIONS)
BOUNDS = {
    ("softmax", "output"): lambda row, _: row.softmax(),
    ("softmax", "gradient"): lambda row, i: row.softmax_gradient(UPSTREAM[i]),
    ("log_softmax", "output"): lambda row, _: row.log_softmax(),
    ("log_softmax", "gradient"): lambda row, i: row.log_softmax_gradient(UPSTREAM[i]),
    ("logsumexp", "output"): lambda row, _: np.array([row.logsumexp()]),
    ("logsumexp", "gradient"): lambda row, i: row.softmax() * abs(UPSTREAM[i, 0]),
    ("cross_entropy", "output"): lambda row, i: row.log_softmax()[[LABELS[i]]],
    ("cross_entropy", "gradient"): lambda row, i: row.loss_gradient(LABELS[i], UPSTREAM[i, 0]),
}


@pytest.fixture(scope="module")
def by_the_book() -> dict[str, Plants]:
    """One element of each output or gradient, off by three of the textbook's bounds."""
    found: dict[str, Plants] = {"output": {}, "gradient": {}}
    for case, m in measurements(run(TEXTBOOK)):
        function, dtype = case.case.function.name, m.key.dtype
        exact = LOGITS.astype(dtype).astype(np.float64)
        rows = [Row(row, formats.get(dtype).unit_roundoff) for row in exact]
        for name, plants_of in found.items():
            bounds = np.concatenate([BOUNDS[function, name](row, i) for i, row in enumerate(rows)])
            plants_of[f"{function} {dtype}"] = [(name, *thrice(quantity_of(m, name), bounds, dtype))]
    return found


@pytest.mark.parametrize("name", ["output", "gradient"])
def test_three_textbook_bounds_are_too_much(audit: Audit, by_the_book: dict[str, Plants], name: str) -> None:
    assert missed(audit(*TEXTBOOK, LIE="planted", PLANTED=json.dumps(by_the_book[name]))) == []


@contextmanager
def slack(monkeypatch: pytest.MonkeyPatch, factor: float) -> Iterator[None]:
    """All tolerances are so many times what they should be."""
    output, gradient, reduced = Tolerance.output, Tolerance.gradient, Tolerance.reduced
    with monkeypatch.context() as patch:
        patch.setattr(Tolerance, "output", lambda *a: Allowance(output(*a).values * factor, None))
        patch.setattr(Tolerance, "gradient", lambda *a: Allowance(gradient(*a).values * factor, None))
        patch.setattr(Tolerance, "reduced", lambda *a: reduced(*a) * factor)
        yield


@pytest.mark.parametrize("factor", [1e6, 10.0])
@pytest.mark.parametrize("name", ["output", "gradient"])
def test_slack_tolerances_are_seen(
    monkeypatch: pytest.MonkeyPatch,
    audit: Audit,
    honest: Report,
    by_the_book: dict[str, Plants],
    name: str,
    factor: float,
) -> None:
    """Both guards above fail when tolerances are slack: nothing that was planted is found."""
    with slack(monkeypatch, factor):
        for specs, found in ((SPECS, plants(honest, name)), (TEXTBOOK, by_the_book[name])):
            report = audit(*specs, LIE="planted", PLANTED=json.dumps(found))
            assert missed(report) == list(found)
