"""Reports by hand, in which every error, row and finding is chosen."""

from dataclasses import replace

import numpy as np

from gradaudit.records.case import Case, RandomArray
from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.finding import Finding
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.location import Location
from gradaudit.records.measurement import Explanation, SelfConsistency
from gradaudit.records.report import CaseReport
from tests.reports import sample_report

SPEC = Location("specs/losses.yaml", 2, 1)
LADDER = ("shifted (declared)", "unshifted (declared)", "shifted (bfloat16)")
TOLERANCE = 1e-6


def measured(subject="loss", gradient=0.25, *, loss=0.0, ulp=20.0, probe=None, row=0, dtype="float32", **changes):
    """An evaluation with these shares of the tolerance as errors, explained by that row of LADDER (None: by none).

    Its gradient is that of an array with many elements, and its loss is one number."""
    changes = {"elements": 100, **changes}
    gradient_ulp = 0.5 if gradient == 0.0 else ulp
    loss_ulp = 0.5 if loss == 0.0 else ulp
    reached = len(LADDER) if row is None else row + 1
    formulation, precision = LADDER[reached - 1].rstrip(")").split(" (")
    exact = np.array([[0.25, -0.25]])
    explanation = Explanation(formulation, precision, row is not None, False, False, False, LADDER[:reached])
    return replace(
        sample_report.measurement(
            subject,
            sample_report.quantity("loss", 1.0 + loss * TOLERANCE, 1.0, TOLERANCE, max_ulp=loss_ulp),
            gradient=sample_report.quantity(
                "gradient", exact + gradient * TOLERANCE, exact, TOLERANCE, max_ulp=gradient_ulp, **changes
            ),
            explanation=explanation,
            backend="torch",
            formulation="custom",
            dtype=dtype,
            probe=probe,
        )
    )


def alone(verdict="agrees", apart=1e-6, *, probe=None, dtype="float32", elements=100):
    """A subject that is held against its own values (`function: self`)."""
    key = EvaluationKey("loss", "torch", "custom", dtype, 1.0, probe)
    return SelfConsistency(key, verdict, "so and so", 5, "float64", 1e-9, 1e-10, apart, elements)


def failed(subject="loss", kind="crashed", probe=None):
    return EvaluationFailure(
        EvaluationKey(subject, "torch", "custom", "float32", 1.0, probe), kind, "exit status -11", ""
    )


def finding(code="BUG402", name="mean-denominator", severity="error", subject="loss", **changes):
    fields = {"backend": "torch", "formulation": "custom", "dtype": "float32", "scale": 1.0}
    message = f"{subject} (torch) float32: so and so"
    return Finding(code, name, severity, message, Location("losses.py", 7), subject=subject, **{**fields, **changes})


def crashed(subject="loss"):
    return finding("RUN601", "crashed", subject=subject)


def case_report(*evaluations, name="two losses", findings=(), failures=(), **changes):
    case = Case(
        name=name,
        function=FunctionCall("cross_entropy", {"reduction": "mean"}),
        logits=RandomArray("normal", (2, 3), 1),
        shape=(2, 3),
        axis=(1,),
        backends=(),
        source=SPEC,
    )
    return replace(CaseReport(case, (), tuple(evaluations), tuple(failures), tuple(findings), ()), **changes)


def report(*evaluations, status=0, findings=(), failures=(), name="two losses", **changes):
    """A report of one case."""
    return of_cases(
        case_report(*evaluations, name=name, findings=findings, failures=failures), status=status, **changes
    )


def of_cases(*cases, status=0, **changes):
    return replace(sample_report.sample_report(*cases), exit_status=status, **changes)
