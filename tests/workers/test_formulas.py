"""Python formulas: recorded in a worker, and every way in which that goes wrong named by the user's file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradaudit.errors import SpecError, WorkerError
from gradaudit.functions.expressions import written
from gradaudit.records.case import Case
from gradaudit.specs.loading import load_text
from gradaudit.workers import WorkerSettings
from gradaudit.workers.formulas import resolved

FOLDER = Path(__file__).parent / "formulas"
LABELS = "targets: [0, 2]"
CONSTANTS = "{gamma: 2.0, prior: [0.5, 0.25, 0.25]}"

HEAD = "version: 1\nsubjects: {torch: losses:loss}\n"


def of(name: str, targets: str = LABELS) -> Case:
    """The case of the formula `name`, resolved."""
    text = (
        f"{HEAD}function: {{formula: 'losses.py:{name}', constants: {CONSTANTS}}}\n"
        f"logits: [[0.1, 2, 3], [1, 2, 3]]\nupstream: random\n{targets}\n"
    )
    (case,) = resolved(load_text(text, "spec.yaml", str(FOLDER)), WorkerSettings(timeout=5.0))
    return case


@pytest.mark.parametrize(
    ("name", "targets", "meaning"),
    [
        ("focal", LABELS, "(-((1 - take(softmax(z), y))**2)) * take(log(softmax(z)), y)"),
        ("adjusted", LABELS, "(logsumexp(z + log(prior)) - take(z + log(prior), y)) + 1"),
        ("activation", "", "softmax(z)"),
        ("Loss.formula", "targets: [[0.5, 0.5, 0], [0, 1, 0]]", "sum((-q) * log_softmax(z)) / n"),
    ],
)
def test_a_python_formula_is_what_it_does(name: str, targets: str, meaning: str) -> None:
    case = of(name, targets)
    assert case.function.expression is not None
    assert written(case.function.expression) == meaning


def test_shapes_are_those_of_the_formula() -> None:
    case = of("activation")
    assert case.function.parameters["reduction"] == "none"
    assert "output" not in case.function.parameters
    assert case.upstream.source is not None
    assert case.upstream.source.shape == (2, 3)  # type: ignore[union-attr]


WRONG = {
    "branches": "losses.py:28 in branches: a formula is recorded without values: it cannot compare, branch on,",
    "calls_numpy": "losses.py:34 in calls_numpy: np.exp cannot be recorded; use the functions of m, as in m.exp(z)",
    "sums_a_row": "losses.py:39: sum goes over the classes of a row, but its argument is one number per row",
    "asks_for_x": "asks_for_x has a parameter 'x', which stands for nothing here; did you mean 'z'?; name numbers",
    "misspells": "losses.py:47 in misspells: AttributeError: m has no 'softmaxx'; did you mean m.softmax?",
    "returns_none": "it returned None; expected what it made of z",
    "returns_a_number": "it returned the float 3.0; expected what it made of z",
    "returns_the_label": "the result is a label; expected one number per row, or one per class",
    "raises": "losses.py:63 in raises: ValueError: not today",
    "exits": "losses.py:67 in exits: SystemExit: 3",
    "loops_over_numbers": "losses.py:72 in loops_over_numbers: more than 1000 operations; a formula has no loop over",
    "by_position": "by_position takes 'z' by position only; remove the / from its parameters",
    "power_of_itself": "losses.py:86 in power_of_itself: an exponent is a number; write m.exp(b * m.log(a)) for a",
    "not_finite": "losses.py:90 in not_finite: inf is no finite number",
    "NUMBER": "losses.py:NUMBER is a int; a formula is a function, def loss(z, y, m): ...",
    "missing": "losses.py has no 'missing'; it has ",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_formula_is_said_by_file_and_line(name: str) -> None:
    with pytest.raises(SpecError) as refused:
        of(name)
    said = str(refused.value)
    assert said.startswith(f"spec.yaml:1:1: function.formula: losses.py:{name}: ")
    assert WRONG[name] in said


def test_labels_where_there_are_probabilities_are_refused() -> None:
    with pytest.raises(SpecError, match="y stands for labels, but the targets are probabilities; write q"):
        of("focal", "targets: [[0.5, 0.5, 0], [0, 1, 0]]")


def test_a_formula_that_never_returns_is_ended() -> None:
    text = f"{HEAD}function: {{formula: 'losses.py:loops'}}\nlogits: [[0.1, 2, 3]]\n{'targets: [0]'}\n"
    with pytest.raises(WorkerError, match=r"losses\.py:loops: no answer within 1 s while its formula was read"):
        resolved(load_text(text, "spec.yaml", str(FOLDER)), WorkerSettings(timeout=1.0))


def test_other_cases_pass_through() -> None:
    cases = load_text("version: 1\nfunction: softmax\nlogits: [[0.1, 2]]\n", "spec.yaml")
    assert resolved(cases, WorkerSettings()) == cases
