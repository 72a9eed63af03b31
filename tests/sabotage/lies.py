"""The lies of `adapters/lying.py`: where each is told, and what has to be found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gradaudit.records.finding import Finding
from gradaudit.records.report import Report


@dataclass(frozen=True)
class Lie:
    """A lie, the case in which it is told, and the finding it must lead to: its code and parts of its evidence."""

    name: str
    spec: str
    code: str
    evidence: Mapping[str, object] = field(default_factory=dict)


def spec(function: str, logits: str, **fields: str) -> str:
    """A case for the lying backend."""
    lines = {"function": function, "logits": logits, "backends": "[lying]", **fields}
    return "\n".join(["version: 1", "name: a lie", *(f"{key}: {value}" for key, value in lines.items())])


NORMAL = "{random: {distribution: normal, shape: [6, 5], seed: 3}}"
SQUARE = "{random: {distribution: normal, shape: [5, 5], seed: 3}}"
LONG = "{random: {distribution: normal, shape: [8, 700], seed: 4}}"
LABELS = "[0, 1, 2, 3, 4, 0]"
SOFTMAX = spec("softmax", NORMAL, upstream="per_output")
LOSS = spec("cross_entropy", NORMAL, targets=LABELS)
DOUBLE = spec("softmax", NORMAL, upstream="random", dtypes="[float64]")
HALF = spec("log_softmax", LONG, upstream="random", dtypes="[float16]")

LIES = (
    Lie("one_sign", SOFTMAX, "DIV301", {"quantity": "jacobian", "index": "[0, 0, 0]", "beyond": 1}),
    Lie("one_sign", LOSS, "DIV301", {"quantity": "gradient", "index": "[0, 0]", "beyond": 1}),
    Lie("one_sign", DOUBLE, "DIV301", {"quantity": "gradient", "index": "[0, 0]", "beyond": 1}),
    Lie("one_sign_of_the_output", SOFTMAX, "DIV301", {"quantity": "output", "index": "[0, 1]", "beyond": 1}),
    Lie("all_signs", SOFTMAX, "BUG481", {"factor": -1.0}),
    Lie("all_signs", LOSS, "BUG481", {"factor": -1.0}),
    Lie("two_classes_swapped", LOSS, "DIV301", {"quantity": "gradient", "beyond": 2}),
    Lie("a_thousandth_more", LOSS, "DIV304", {"precision_needed": "float16 inside"}),
    Lie("a_thousandth_more", DOUBLE, "DIV304", {"quantity": "gradient"}),
    Lie("zeros", SOFTMAX, "BUG471"),
    Lie("other_axis", spec("softmax", SQUARE, upstream="random"), "BUG454"),
    Lie(
        "upstream_of_ones",
        spec("cross_entropy", NORMAL, targets=LABELS, upstream="{values: -2.0}"),
        "BUG411",
        {"constant": "1/u"},
    ),
    Lie("the_answer_before", spec("softmax", NORMAL, upstream="per_output", scale="[1, 3]"), "DIV301"),
    Lie("float32_for_float64", DOUBLE, "DIV304", {"precision_needed": "float32 inside"}),
    Lie("float16_for_float32", spec("softmax", NORMAL, upstream="random"), "DIV304"),
    Lie("sums_in_float16", HALF, "DIV304", {"precision_needed": "float16 sums"}),
    Lie("one_nan", SOFTMAX, "DIV303", {"non_finite_jacobian": 1, "index": "[0, 0, 2]"}),
    Lie("one_nan", LOSS, "DIV303", {"non_finite_gradient": 1, "index": "[0, 2]"}),
    Lie("one_nan", DOUBLE, "DIV303", {"non_finite_gradient": 1, "index": "[0, 2]"}),
    Lie("one_infinity", LOSS, "DIV303", {"non_finite_gradient": 1, "index": "[0, 2]"}),
    Lie("nan_in_the_output", LOSS, "DIV303", {"quantity": "loss", "non_finite_loss": 1}),
    Lie(
        "unfused_inside",
        spec("cross_entropy", "[[100.0, 0.0, -100.0]]", targets="[2]"),
        "BUG461",
        {"format": "float32", "row": 0},
    ),
    Lie(
        "unshifted_inside",
        spec("softmax", "[100.0, 99.0, 98.0]", upstream="per_output"),
        "BUG463",
        {"format": "float32", "largest_logit": 100.0},
    ),
    Lie(
        "ignored_rows_leak",
        spec("cross_entropy", NORMAL, targets="[0, 1, -100, 3, 4, 0]"),
        "DIV301",
        {"quantity": "gradient", "beyond": 5, "reference": 0.0, "tolerance": 0.0},
    ),
    Lie(
        "masked_classes_leak",
        spec("{name: softmax, masked_classes: [1]}", NORMAL, upstream="random"),
        "DIV305",
        {"quantity": "gradient", "index": "[0, 1]", "got": 0.25, "reference": 0.0},
    ),
    Lie(
        "nan_at_masked_classes",
        spec("{name: softmax, masked_classes: [1]}", NORMAL, upstream="random"),
        "DIV305",
        {"quantity": "gradient", "index": "[0, 1]", "reference": 0.0},
    ),
    Lie(
        "ignored_rows_are_nan",
        spec("cross_entropy", NORMAL, targets="[0, 1, -100, 3, 4, 0]"),
        "DIV303",
        {"non_finite_gradient": 5, "index": "[2, 0]", "reference": 0.0},
    ),
    Lie(
        "flushes_to_zero",
        spec("softmax", "[[0.0, -88.5, -95.0, -100.0]]", upstream="random"),
        "DIV304",
        {"precision_needed": "subnormals flushed to 0"},
    ),
    Lie(
        "the_last_of_many",
        spec("softmax", "{random: {distribution: normal, shape: [3000, 300], seed: 5}}", upstream="random"),
        "DIV301",
        {"beyond": 1, "elements": 900_000, "index": "[2999, 299]"},
    ),
    Lie("wrong_shape", spec("softmax", NORMAL, upstream="random"), "RUN605"),
    Lie("zeros", spec("softmax", NORMAL, upstream="ones"), "POW701", {"quantity": "gradient", "vacuous": 30}),
)


def ids(lie: Lie) -> str:
    """The lie and what finds it."""
    return f"{lie.name}-{lie.code}"


def findings(report: Report, code: str | None = None) -> list[Finding]:
    """All findings of a report, or those with the code."""
    return [f for case in report.cases for f in case.findings if code in (None, f.code)]


def assert_caught(report: Report, lie: Lie) -> None:
    """The lie is among the findings, by its code, with the evidence, against the one who told it."""
    found = findings(report, lie.code)
    said = [f"{f.code} {f.message} {dict(f.evidence)}" for f in findings(report)]
    assert found, f"{lie.name}: {lie.code} was not found, but {said}"
    assert any(lie.evidence.items() <= f.evidence.items() for f in found), f"{lie.name}: {lie.evidence} not in {said}"
    assert all(f.backend in ("lying", None) for f in found), f"{lie.name}: somebody else is accused: {said}"


def assert_nothing_is_wrong(report: Report) -> None:
    """Everything was evaluated, and no error was found."""
    assert not [f for case in report.cases for f in case.failures]
    assert not [f"{f.code} {f.message}" for f in findings(report) if f.severity == "error"]
    assert report.exit_status == 0
