"""One report by hand, with something of everything: dtypes, failures, non-finite values, hostile names.

Values are chosen, not measured: renderers must print what stands in the record, whatever it is.
"""

import dataclasses
import math

import numpy as np

from gradaudit.records.case import Case, Expectation, InlineArray, RandomArray, Upstream
from gradaudit.records.evaluation import BackendState, EvaluationFailure, EvaluationKey
from gradaudit.records.finding import Finding, RuleSummary
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.location import Location
from gradaudit.records.measurement import (
    HISTOGRAM_EDGES,
    Diagnosis,
    Element,
    Explanation,
    InputFacts,
    Measurement,
    Quantity,
    Sums,
    Values,
)
from gradaudit.records.profile import Profile
from gradaudit.records.report import CaseReport, Environment, Report

HOSTILE = "\x1b[31mred\x1b[0m[/foo] \u202eevil\u202c\n::error::pwned\x9b2J ##[add-path]/tmp"
"""ESC and C1 sequences, Rich markup, a bidirectional override, and commands to two CI systems."""

PROFILE = Profile(compute="float32", accumulate="float32", storage="float32", statistics="float32")
FLOAT32 = 2.0**-24


def quantity(name, got, reference, tolerance, dtype="float32", *, sums=None, listed=True, **changes):
    """A Quantity of arrays, with the counts that follow from them."""
    got, reference = (np.asarray(array, dtype=np.float64) for array in (got, reference))
    tolerance = np.broadcast_to(np.asarray(tolerance, dtype=np.float64), got.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(got - reference)
        ratio = np.where(np.isfinite(error), error / tolerance, np.inf)
    order = np.argsort(-ratio.reshape(-1), kind="stable")[:3]
    worst = tuple(
        Element(
            tuple(int(i) for i in np.unravel_index(flat, got.shape)),
            float(got.reshape(-1)[flat]),
            float(reference.reshape(-1)[flat]),
            float(tolerance.reshape(-1)[flat]),
            float(ratio.reshape(-1)[flat]),
        )
        for flat in order
    )
    finite = ratio[np.isfinite(ratio)]
    histogram, _ = np.histogram(ratio, [-np.inf, *HISTOGRAM_EDGES[1:-1], np.inf])
    fields = {
        "name": name,
        "dtype": dtype,
        "shape": got.shape,
        "elements": got.size,
        "max_error_over_tolerance": float(finite.max()) if finite.size else math.nan,
        "max_ulp": 1.25,
        "max_abs_error": float(np.nanmax(np.where(np.isfinite(error), error, np.nan))) if finite.size else math.nan,
        "max_rel_error": 3e-7,
        "worst": worst,
        "histogram": tuple(int(n) for n in histogram),
        "beyond": int((ratio > 1).sum()),
        "undecided": 0,
        "vacuous": 0,
        "non_finite": int((~np.isfinite(got)).sum()),
        "special_mismatch": 0,
        "cancelled": 0,
        "worst_cancelled": None,
        "escalated": 0,
        "spot_checked": 1,
        "sums": sums,
        "values": Values(got.shape, got.reshape(-1), reference.reshape(-1), tolerance.reshape(-1))
        if listed
        else None,
    }
    return Quantity(**{**fields, **changes})


def facts(dtype="float32", scale=1.0, **changes):
    given = {
        "dtype": dtype,
        "scale": scale,
        "unit_roundoff": {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24}[dtype],
        "rows": 1,
        "classes": 2,
        "saturated_rows": 0,
        "max_probability": 0.8698915256370022,
        "complement": 0.13010847436299786,
        "vanished_rows": 0,
        "largest_jacobian_entry": 0.11318025926612263,
        "underflowed": 0,
        "zero": 0,
        "smallest_probability": 0.13010847436299786,
        "sums_outputs": True,
        "cancelled_rows": 1,
        "cancelled_sum": 0.0,
        "cancelled_magnitude": 0.4527210370644905,
        "condition": 1.74,
        "offset": 0.55,
        "special_rows": 0,
    }
    return InputFacts(**{**given, **changes})


def measurement(subject, output, *, gradient=None, jacobian=None, upstream="ones", explanation=None, **key):
    where = {"backend": subject, "formulation": "fused", "dtype": "float32", "scale": 1.0, **key}
    return Measurement(
        key=EvaluationKey(subject, **where),
        profile=PROFILE,
        explanation=explanation
        or Explanation(where["formulation"], "declared", True, False, False, False, ("fused",)),
        output=output,
        gradient=gradient,
        jacobian=jacobian,
        diagnoses=(),
        seconds=0.001,
        upstream=upstream,
    )


def forum_case():
    """The two logits whose per-output gradients cancel, over three backends; every expectation is met."""
    p = 0.13010847436299786
    entry = p * (1 - p)
    exact = np.array([[entry, -entry], [-entry, entry]])
    location = Location("specs/forum.yaml", 3, 5)
    case = Case(
        name="the forum's cancelling sum",
        function=FunctionCall("softmax", {"temperature": 1.0, "logit_scale": 1.0, "masked_classes": ()}),
        logits=InlineArray(np.array([0.1, 2.0])),
        shape=(2,),
        axis=(0,),
        upstream=Upstream("per_output"),
        expect=(Expectation("CAN101", location=location),),
        source=location,
    )
    sums = Sums(0, 0.0, 0.0, 0.0, 3.1e-8, 0, 0.0, 0.452721)
    measured = []
    for subject, off in (("numpy", 7.4e-9), ("torch", 0.0), ("onnxruntime", -3.7e-9)):
        jacobian = exact.astype(np.float32).astype(np.float64)
        jacobian[0, 1] += off
        measured.append(
            measurement(
                subject,
                quantity("output", [0.13010848, 0.8698915], [p, 1 - p], [3e-8, 1.6e-7]),
                jacobian=quantity("jacobian", jacobian, exact, 3.2e-8, sums=sums),
                upstream="per_output",
            )
        )
    finding = Finding(
        "CAN101",
        "summed-outputs-cancel",
        "warning",
        "the per-output gradients add up to exactly 0",
        location,
        dtype="float32",
        scale=1.0,
        evidence={"sum": 0.0, "magnitudes": 0.4527210370644905, "row": 0},
        expected=True,
    )
    return CaseReport(case, (facts(),), tuple(measured), (), (finding,), ())


def wrong_case():
    """Cross entropy in two dtypes: a value beyond its tolerance, a NaN, a crash, a skip, a missing expectation."""
    location = Location("specs/[/foo] wrong.yaml", 12, 1)
    case = Case(
        name="smoothed cross entropy",
        function=FunctionCall(
            "cross_entropy",
            {
                "temperature": 1.0,
                "logit_scale": 1.0,
                "masked_classes": (),
                "reduction": "mean",
                "label_smoothing": 0.1,
                "weight": (1.0, 2.0, 0.5),
                "ignore_index": -100,
            },
        ),
        logits=RandomArray("normal", (2, 3), 42, scale=3.0, generator="torch"),
        shape=(2, 3),
        axis=(1,),
        targets=InlineArray(np.array([0, 2])),
        dtypes=("float32", "bfloat16"),
        scale=(1.0, 100.0),
        backends=("torch", "onnxruntime"),
        backends_named=True,
        formulations=("fused", "unfused"),
        expect=(Expectation("SAT201", dtype="bfloat16", location=location),),
        source=location,
    )
    loss, gradient = 1.25, np.array([[-0.31, 0.2, 0.11], [0.1, 0.3, -0.4]])
    sums = Sums(1, 2e-7, 0.0, 2e-7, 1e-7, 1, 1e-7, 1.42)
    wrong = gradient.copy()
    wrong[1, 2] = -0.4002
    broken = gradient.copy()
    broken[0] = math.nan
    none = Explanation("fused", "declared", False, False, False, False, ("fused", "log_softmax"))
    weaker = Explanation("fused", "bfloat16 statistics", True, True, False, False, ("fused", "bfloat16 statistics"))
    fine = measurement(
        "torch", quantity("output", loss, loss, 1e-6), gradient=quantity("gradient", gradient, gradient, 1e-7)
    )
    beyond = measurement(
        "onnxruntime",
        quantity("output", loss, loss, 1e-6),
        gradient=quantity("gradient", wrong, gradient, 1e-7, sums=sums),
        explanation=none,
    )
    nan = dataclasses.replace(
        measurement(
            "torch",
            quantity("output", math.inf, 120.5, 1e-4),
            gradient=quantity("gradient", broken, gradient, 1e-7, sums=None),
            explanation=none,
            formulation="unfused",
            scale=100.0,
        ),
        diagnoses=(Diagnosis("unfused-logarithm", (("zeros", 3), ("smallest", 0.0))),),
    )
    low = measurement(
        "torch",
        quantity("output", loss, loss, 1e-2, dtype="bfloat16"),
        gradient=quantity("gradient", gradient, gradient, 1.0, dtype="bfloat16", undecided=6, vacuous=6),
        explanation=weaker,
        dtype="bfloat16",
    )
    crash = EvaluationFailure(
        EvaluationKey("onnxruntime", "onnxruntime", "fused", "bfloat16", 1.0),
        "crashed",
        "the worker died of signal 11 (SIGSEGV)",
        "last lines of stderr:\nSegmentation fault",
    )
    skip = EvaluationFailure(
        EvaluationKey("onnxruntime", "onnxruntime", "unfused", "bfloat16", 1.0),
        "unsupported",
        "onnxruntime has no unfused bfloat16 graph",
    )
    named = {"subject": "onnxruntime", "backend": "onnxruntime", "formulation": "fused", "scale": 1.0}
    findings = (
        Finding(
            "DIV301",
            "beyond-tolerance",
            "error",
            "1 of 6 gradient elements lies outside every admissible formulation",
            location,
            **named,
            dtype="float32",
            evidence={"error_over_tolerance": 2000.0, "got": -0.4002, "exact": -0.4},
        ),
        Finding(
            "RUN601",
            "crashed",
            "error",
            "the worker died of signal 11 (SIGSEGV)",
            location,
            **named,
            dtype="bfloat16",
        ),
        Finding(
            "DIV303",
            "non-finite",
            "error",
            "3 gradient elements are NaN",
            location,
            subject="torch",
            backend="torch",
            formulation="unfused",
            dtype="float32",
            scale=100.0,
            evidence={"nan": 3, "largest": math.inf, "smallest": -math.inf, "mean": math.nan, "all": False},
        ),
    )
    inputs = (
        facts(rows=2, classes=3, sums_outputs=False, cancelled_sum=math.nan, cancelled_magnitude=math.nan),
        facts(
            "bfloat16",
            rows=2,
            classes=3,
            saturated_rows=1,
            max_probability=1.0,
            complement=4.5e-7,
            vanished_rows=1,
            largest_jacobian_entry=4.5e-7,
            underflowed=3,
            zero=2,
            smallest_probability=0.0,
            sums_outputs=False,
            condition=math.nan,
            offset=math.nan,
            special_rows=1,
        ),
    )
    return CaseReport(case, inputs, (low, nan, beyond, fine), (skip, crash), findings, case.expect)


def hostile_case():
    """Every string that a stranger can choose holds escape sequences, markup and line ends."""
    location = Location(f"::error::{HOSTILE}.yaml", 1)
    case = Case(
        name=HOSTILE,
        function=FunctionCall("softmax", {"note": HOSTILE}),
        logits=RandomArray("normal", (1024, 32000), 7),
        shape=(1024, 32000),
        axis=(1,),
        backends=(HOSTILE,),
        source=location,
    )
    output = quantity("output", [1.0], [1.0], 1e-7, listed=False, shape=(1024, 32000), elements=1024 * 32000)
    printed = dataclasses.replace(
        measurement(HOSTILE, output, gradient=output, backend=HOSTILE, probe=HOSTILE), captured=HOSTILE
    )
    failure = EvaluationFailure(EvaluationKey(HOSTILE, HOSTILE, HOSTILE, "float32", 2.0), "raised", HOSTILE, HOSTILE)
    finding = Finding("XYZ999", HOSTILE, "info", HOSTILE, location, subject=HOSTILE, evidence={HOSTILE: HOSTILE})
    return CaseReport(case, (), (printed,), (failure,), (finding,), (Expectation("ABC123", backend=HOSTILE),))


def sample_report(*cases):
    torch = BackendState("torch", True, "2.13.0", "3.11.9", (("torch", "2.13.0"),), 1, False)
    missing = BackendState("mxnet", False, reason="no module named mxnet", remedy="gradaudit backends install mxnet")
    return Report(
        version="0.1.0",
        command=("gradaudit", "check", "specs"),
        environment=Environment("3.11.9", "Linux-x86_64", (("numpy", "2.4.6"),), (torch, missing), 0, 1),
        cases=cases or (forum_case(), wrong_case(), hostile_case()),
        rules=(
            RuleSummary(
                "CAN101", "summed-outputs-cancel", "warning", "sums cancel", "Read the Jacobian: per_output."
            ),
            RuleSummary("DIV301", "beyond-tolerance", "error", "values apart", "Compare the worst element by hand."),
            RuleSummary("XYZ999", HOSTILE, "info", HOSTILE, HOSTILE),
        ),
        exit_status=3,
    )
