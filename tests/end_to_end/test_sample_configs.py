"""Every sample is found to be what its first comment says."""

import json
import math

import pytest

from gradaudit import plugins
from gradaudit.reports import json_document
from gradaudit.reports.read_document import report_of
from tests.end_to_end.conftest import PROJECT
from tests.reports import judges

LARGEST_OF_SEED_42 = 0.143783
"""The largest probability of `torch.manual_seed(42); torch.randn(128, 256).softmax(-1)`, rounded."""

FINDINGS = {
    "batch.yaml": {"128 x 256, seed 42, an upstream gradient a row": []},
    "cancelling_sum.yaml": {
        "all outputs at once, as backward() does": [
            ("CAN101", None, None, "float32", 1.0),
            ("POW701", None, None, "float32", 1.0),
        ],
        "each output by itself": [],
    },
    "custom_loss.yaml": {
        "smoothed cross entropy with padding": [("BUG402", "torch", "custom", "float32", 1.0)],
    },
    "exported_loss.yaml": {
        "a loss that was exported": [
            ("BUG431", "onnxruntime", "custom", "float32", 1.0),
            ("DIV305", "onnxruntime", "custom", "float32", 1.0),
        ],
        "a training graph": [("DIV305", "onnxruntime", "custom", "float32", 1.0)],
    },
    "fused_and_unfused.yaml": {
        "softmax and log, fused and apart": [
            ("BUG461", "numpy", "unfused", "float32", 1.0),
            ("BUG461", "onnxruntime", "unfused", "float32", 1.0),
            ("BUG461", "torch", "unfused", "float32", 1.0),
            ("SAT201", None, None, "float32", 1.0),
            ("SAT201", None, None, "float64", 1.0),
            ("SAT202", None, None, "float32", 1.0),
            ("SAT202", None, None, "float64", 1.0),
            ("SAT203", None, None, "float32", 1.0),
        ]
    },
    "half_precision.yaml": {
        "cross entropy, labels that win by 8 and by 6": [
            ("CAN103", "numpy", "fused", "bfloat16", 1.0),
            ("CAN103", "torch", "fused", "bfloat16", 1.0),
            ("CAN103", "torch", "fused", "float16", 1.0),
            ("DIV304", "torch", "fused", "bfloat16", 1.0),
            ("DIV304", "torch", "fused", "float16", 1.0),
            ("SAT201", None, None, "bfloat16", 1.0),
            ("SAT202", None, None, "bfloat16", 1.0),
            ("SAT202", None, None, "float16", 1.0),
        ],
        "log_softmax along the last axis": [
            ("DIV304", "torch", "fused", "bfloat16", 1.0),
            ("DIV304", "torch", "fused", "float16", 1.0),
        ],
        "log_softmax along the first axis": [],
        "softmax along the last axis": [],
    },
    "masked_logits.yaml": {
        "softmax": [],
        "softmax with a row that is masked as a whole": [],
        "cross entropy": [],
        "cross entropy, masked by number": [],
        "cross entropy with probabilities as targets": [("DIV305", "torch", "fused", "float32", 1.0)],
    },
    "missing_max_shift.yaml": {
        "small logits": [],
        "large logits": [
            ("BUG463", "numpy", "unshifted", "float32", 1.0),
            ("BUG463", "onnxruntime", "unshifted", "float32", 1.0),
            ("BUG463", "torch", "unshifted", "float32", 1.0),
        ],
        "logits far below zero": [
            ("BUG463", "numpy", "unshifted", "float32", 1.0),
            ("BUG463", "onnxruntime", "unshifted", "float32", 1.0),
            ("BUG463", "torch", "unshifted", "float32", 1.0),
        ],
    },
    "mxnet_semantics.yaml": {
        "backward() of a softmax": [
            ("CAN101", None, None, "float32", 1.0),
            ("POW701", None, None, "float32", 1.0),
        ],
        "each output of it by itself": [],
        "a temperature, and rows of different lengths": [],
        "SoftmaxOutput with padding": [],
        "SoftmaxOutput with out_grad": [
            ("BUG411", "onnxruntime", "as_mxnet", "float32", 1.0),
            ("CAN102", "onnxruntime", "as_mxnet", "float32", 1.0),
        ],
        "softmax_cross_entropy, the wrong class ahead by 19": [
            ("BUG462", "onnxruntime", "as_mxnet", "float32", 1.0),
            ("SAT201", None, None, "float32", 1.0),
            ("SAT202", None, None, "float32", 1.0),
        ],
        "log_softmax": [("DIV304", "onnxruntime", "as_mxnet", "float32", 1.0)],
        "gluon's loss, a sequence a sample": [],
    },
    "saturation.yaml": {
        "softmax, gaps of 100": [
            ("SAT201", None, None, "float32", 1.0),
            ("SAT202", None, None, "float32", 1.0),
            ("SAT203", None, None, "float32", 1.0),
        ],
        "softmax, gaps of 5": [],
        "softmax, gaps of 0.05": [],
        "cross entropy, gaps of 100 and a label that loses": [
            ("SAT201", None, None, "float32", 1.0),
            ("SAT202", None, None, "float32", 1.0),
            ("SAT203", None, None, "float32", 1.0),
        ],
        "cross entropy, gaps of 5 and a label that loses": [],
        "cross entropy, gaps of 0.05 and a label that loses": [],
    },
    "two_class_field.yaml": {
        "field of the two-class gradient": [
            ("CAN103", "numpy", "fused", "float32", 1.0),
            ("CAN103", "onnxruntime", "fused", "float32", 1.0),
            ("CAN103", "torch", "fused", "float32", 1.0),
            ("SAT201", None, None, "float32", 1.0),
            ("SAT202", None, None, "float32", 1.0),
        ]
    },
}
"""File -> case -> every finding, warnings and infos too: (code, backend, formulation, dtype, scale)."""


def case(samples, name):
    """The one case of that name in the report."""
    (found,) = [case for case in samples[1]["cases"] if case["name"] == name]
    return found


def arrays(samples, name, quantity, *, dtype="float32", formulation="fused"):
    """(backend, returned numbers, exact numbers) of a quantity, flattened in C order; three backends."""
    found = [
        (each["backend"], [float(x) for x in values["got"]], [float(x) for x in values["reference"]])
        for each in case(samples, name)["evaluations"]
        if each["dtype"] == dtype and each["formulation"] == formulation
        for values in [each["values"][quantity]]
    ]
    assert [backend for backend, *_ in found] == ["numpy", "torch", "onnxruntime"]
    return found


def test_all_samples_are_clean(samples):
    outcome, report = samples
    assert outcome.status == 0, outcome.out
    assert outcome.err == ""
    assert report["counts"]["failures"] == report["counts"]["skipped"] == 0


def test_the_findings_are_exactly_these(samples):
    found = {}
    for each in samples[1]["cases"]:
        name = each["source"]["path"].removeprefix("sample_configs/")
        found.setdefault(name, {})[each["name"]] = sorted(
            ((f["code"], f["backend"], f["formulation"], f["dtype"], f["scale"]) for f in each["findings"]),
            key=str,
        )
    table = {file: {name: sorted(rows, key=str) for name, rows in cases.items()} for file, cases in FINDINGS.items()}
    assert found == table


def test_every_finding_is_expected_by_its_spec(samples):
    unexpected = [f["code"] for each in samples[1]["cases"] for f in each["findings"] if not f["expected"]]
    assert unexpected == []


def test_every_sample_asks_its_question_in_the_first_line():
    files = sorted(path for path in (PROJECT / "sample_configs").iterdir() if path.suffix == ".yaml")
    assert [path.name for path in files] == sorted(FINDINGS)
    for path in files:
        first, *rest = path.read_text(encoding="utf-8").splitlines()
        assert first.startswith("# "), path.name
        assert first.endswith("?"), path.name
        for section in ("# What to look at: ", "# The slip it guards against: "):
            assert any(line.startswith(section) for line in rest), (path.name, section)


def test_the_forums_outputs_have_gradients_and_their_sum_has_none(samples):
    for _, got, exact in arrays(samples, "each output by itself", "jacobian"):
        assert [round(value, 5) for value in got] == [0.11318, -0.11318, -0.11318, 0.11318]
        assert [round(value, 8) for value in exact] == [0.11318026, -0.11318026, -0.11318026, 0.11318026]
    for _, got, exact in arrays(samples, "all outputs at once, as backward() does", "gradient"):
        assert exact == [0.0, 0.0]
        assert max(map(abs, got)) < 2.0**-23


@pytest.mark.parametrize(
    ("gaps", "expected"),
    [
        ("gaps of 100", [-1.0, 0.0, 1.0]),
        ("gaps of 5", [-0.99995, 0.00669, 0.99326]),
        ("gaps of 0.05", [-0.68319, 0.33306, 0.35013]),
    ],
)
def test_the_gradient_at_a_losing_label_is_alive_and_is_p_minus_y(samples, gaps, expected):
    for _, got, exact in arrays(samples, f"cross entropy, {gaps} and a label that loses", "gradient"):
        assert [round(value, 5) for value in exact] == expected
        assert [round(value, 5) for value in got] == expected


def test_the_field_is_a_logistic_curve_across_the_diagonal_with_the_sign_of_p_minus_y(samples):
    report = case(samples, "field of the two-class gradient")
    assert report["shape"] == [1600, 2]
    grid = [-10.0 + 20.0 * k / 39.0 for k in range(40)]
    for _, got, exact in arrays(samples, "field of the two-class gradient", "gradient"):
        rows = list(zip(got[::2], got[1::2], exact[::2], strict=True))
        for (first, second), (at_label, other, due) in zip(
            ((first, second) for first in grid for second in grid), rows, strict=True
        ):
            probability = 1.0 / (1.0 + math.exp(first - second))
            assert abs(other - probability) < 1e-5 * probability
            assert abs(due + probability) < 1e-5 * probability  # p - y at the label: not y - p, not 1 - p
            assert -1.0 <= at_label <= 0.0


def test_the_unfused_loss_is_infinite_in_float32_only(samples):
    name = "softmax and log, fused and apart"
    for _, got, exact in arrays(samples, name, "loss", formulation="unfused"):
        assert (got, exact) == ([math.inf], [200.0])
    for formulation in ("fused", "log_softmax", "unfused"):
        for _, got, _ in arrays(samples, name, "gradient", formulation=formulation, dtype="float64"):
            assert [round(value, 12) for value in got] == [1.0, 0.0, -1.0]


def test_torch_returns_a_loss_of_zero_in_16_bits(samples):
    name = "cross entropy, labels that win by 8 and by 6"
    losses = {backend: got[0] for backend, got, _ in arrays(samples, name, "loss", dtype="float16")}
    assert losses["torch"] == 0.0
    assert 0.000335 < losses["numpy"] < 0.000336
    assert 0.000335 < losses["onnxruntime"] < 0.000336


def test_masked_classes_have_gradient_zero(samples):
    masked = {"cross entropy": (2, 4), "cross entropy, masked by number": (2, 5)}
    for name, places in masked.items():
        for _, got, _ in arrays(samples, name, "gradient"):
            assert [index for index, value in enumerate(got) if value == 0.0] == [*places]


def test_the_batch_is_that_of_torch_manual_seed(samples):
    report = case(samples, "128 x 256, seed 42, an upstream gradient a row")
    assert report["shape"] == [128, 256]
    assert round(report["facts"][0]["max_probability"], 6) == LARGEST_OF_SEED_42
    assert [each["gradient"]["elements"] for each in report["evaluations"]] == [32768] * 3


def test_mxnets_forum_case_and_its_softmax_output(samples):
    def only(name, quantity):
        (values,) = [each["values"][quantity] for each in case(samples, name)["evaluations"]]
        return [float(x) for x in values["got"]], [float(x) for x in values["reference"]]

    assert [round(value, 8) for value in only("backward() of a softmax", "loss")[1]] == [0.13010847, 0.86989153]
    assert only("backward() of a softmax", "gradient") == ([0.0, 0.0], [0.0, 0.0])
    _, exact = only("each output of it by itself", "jacobian")
    assert [round(value, 8) for value in exact] == [0.11318026, -0.11318026, -0.11318026, 0.11318026]
    got, _ = only("a temperature, and rows of different lengths", "loss")
    assert [index for index, value in enumerate(got) if value == 0.0] == [6, 7, 11]
    got, _ = only("SoftmaxOutput with padding", "gradient")
    assert sum(not any(got[row : row + 8]) for row in range(0, 96, 8)) == 3


def test_the_saved_report_is_read_without_loss(samples):
    _, report = samples
    assert json.loads(json_document.render(report_of(report))) == report


@pytest.mark.parametrize("name", sorted(judges.JUDGES))
def test_every_format_of_a_real_report_stands_before_its_judge(samples, name):
    _, report = samples
    # A strict parser of HTML in Python takes seconds for the page of all samples.
    cases = report["cases"][:8] if name == "html" else report["cases"]
    judges.JUDGES[name](plugins.get("gradaudit.reports", name)(report_of({**report, "cases": cases})))
