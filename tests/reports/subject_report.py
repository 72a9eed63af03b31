"""A case of users' own losses by hand: one right, one wrong, one that returns nothing to compare."""

from dataclasses import replace

import numpy as np

from gradaudit.records.case import Case, RandomArray
from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.finding import Finding
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.location import Location
from gradaudit.records.measurement import Breach, Explanation, Exposure, NamedFault
from gradaudit.records.report import CaseReport
from gradaudit.records.subject import Subject
from tests.reports import sample_report

SPEC = Location("specs/losses.yaml", 2, 1)
SHIFTED = Explanation("shifted", "declared", True, False, False, False, ("shifted",))
UNEXPLAINED = Explanation("shifted", "declared", False, False, False, False, ("shifted", "p = exp(log p)"))
GRADIENT = np.array([[-0.31, 0.2, 0.11], [0.1, 0.3, -0.4]])


def subject(name, **changes):
    return replace(Subject(name, "torch", f"losses.py:{name}", location=replace(SPEC, line=9)), **changes)


def key(name, probe=None):
    return EvaluationKey(name, "torch", "custom", "float32", 1.0, probe)


def measured(name, probe=None, *, factor=1.0, special=False, **changes):
    """An evaluation whose gradient is `factor` times the exact one."""
    right = factor == 1.0
    return replace(
        sample_report.measurement(
            name,
            sample_report.quantity("loss", 1.25 * factor, 1.25, 1e-6),
            gradient=sample_report.quantity("gradient", GRADIENT * factor, GRADIENT, 1e-7, **changes),
            explanation=SHIFTED if right else UNEXPLAINED,
            backend="torch",
            formulation="custom",
            probe=probe,
        ),
        special_probe=special,
    )


def subject_case():
    probes = ("ordinary", "ignored-rows", "ones", "length-1", "micro-batches", "one-row", "all-ignored")
    case = Case(
        name="two losses of our own",
        function=FunctionCall("cross_entropy", {"reduction": "mean", "softcap": None}),
        logits=RandomArray("normal", (2, 3), 1),
        shape=(2, 3),
        axis=(1,),
        backends=(),
        source=SPEC,
        subjects=(subject("Right"), subject("Wrong", input="probabilities"), subject("Short")),
        probes=probes,
    )
    right = [measured("Right", probe) for probe in (None, *probes[:3], *probes[4:6])]
    wrong = [measured("Wrong", probe, factor=5 / 7) for probe in (None, *probes[:6])]
    special = [
        measured("Right", "all-ignored", special=True),
        measured("Wrong", "all-ignored", special=True, special_mismatch=2),
    ]
    refused = EvaluationFailure(key("Right", "length-1"), "refused", "IndexError: one class", "Traceback ...")
    fault = NamedFault(
        "mean-denominator",
        key("Wrong", "ignored-rows"),
        "gradient = reference x 0.714286 = 5/7: the mean also counts the 2 ignored rows",
        "divide by the number of rows whose target is not -100",
        (("factor", 5 / 7), ("rows", 7)),
        (("gradient = reference x V/N of another count", "micro-batches"), ("a learning rate", "")),
    )
    breach = Breach("wrong-shape-or-dtype", key("Short"), "it returns shape [1] where [] is due", (("due", "[]"),))
    findings = (
        Finding(
            "BUG402",
            "mean-denominator",
            "error",
            f"Wrong (torch) float32 (shown by probe ignored-rows): {fault.statement}",
            Location("specs/losses.py", 12),
            subject="Wrong",
            backend="torch",
            formulation="custom",
            dtype="float32",
            scale=1.0,
            probe="ignored-rows",
        ),
        Finding(
            "CON505",
            "wrong-shape-or-dtype",
            "error",
            f"Short (torch) float32: {breach.statement}",
            SPEC,
            subject="Short",
            backend="torch",
            formulation="custom",
            dtype="float32",
            scale=1.0,
        ),
    )
    exposures = (
        Exposure("Right", "float32", ("wrong-axis", "sign-flipped"), ("mean-denominator",), ("clamped",)),
        Exposure("Wrong", "float32", ("wrong-axis",), ("mean-denominator",), ("clamped",), ("wrong-axis",)),
    )
    return CaseReport(case, (), (*right, *wrong, *special), (refused,), findings, (), (fault,), (breach,), exposures)
