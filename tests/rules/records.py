"""Measured cases built by hand: a sound evaluation of a softmax, of which each test changes a few fields."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gradaudit.records.case import Case, InlineArray, Upstream
from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.finding import Finding
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.location import Location
from gradaudit.records.measurement import (
    HISTOGRAM_EDGES,
    Breach,
    Diagnosis,
    Element,
    Explanation,
    Exposure,
    InputFacts,
    MeasuredCase,
    Measurement,
    NamedFault,
    Quantity,
    SelfConsistency,
    Sums,
    Values,
)
from gradaudit.records.profile import Profile
from gradaudit.records.subject import Subject
from gradaudit.rules.interface import Rule

U32 = 2.0**-24


def case(function: str = "softmax", **changes: object) -> Case:
    plain = Case(
        name="by hand",
        function=FunctionCall(function),
        logits=InlineArray(np.array([0.1, 2.0])),
        shape=(2,),
        axis=(0,),
        backends=("numpy", "torch"),
        formulations=("fused", "unfused"),
        dtypes=("float32", "float16"),
        source=Location("case.yaml", 3, 1),
    )
    return replace(plain, **changes)


def upstream(*values: float) -> Upstream:
    return Upstream("values", InlineArray(np.array(values)))


def key(**changes: object) -> EvaluationKey:
    return replace(EvaluationKey("numpy", "numpy", "fused", "float32", 1.0), **changes)


def facts(**changes: object) -> InputFacts:
    plain = InputFacts(
        dtype="float32",
        scale=1.0,
        unit_roundoff=U32,
        rows=3,
        classes=2,
        saturated_rows=0,
        max_probability=0.87,
        complement=0.13,
        vanished_rows=0,
        largest_jacobian_entry=0.113,
        underflowed=0,
        zero=0,
        smallest_probability=0.13,
        sums_outputs=False,
        cancelled_rows=0,
        cancelled_sum=0.0,
        cancelled_magnitude=0.0,
        condition=1.5,
        offset=1.0,
        special_rows=0,
    )
    return replace(plain, **changes)


def element(got: float, reference: float, ratio: float, index: tuple[int, ...] = (1,)) -> Element:
    return Element(index=index, got=got, reference=reference, tolerance=1e-8, ratio=ratio)


def values(*reference: float) -> Values:
    exact = np.array(reference)
    return Values(exact.shape, exact, exact, np.full(exact.shape, 1e-8))


def sums(**changes: object) -> Sums:
    plain = Sums(
        row=0,
        got=0.0,
        expected=0.0,
        residual=0.0,
        tolerance=1e-8,
        rows_beyond=0,
        total=0.0,
        total_magnitude=0.2,
    )
    return replace(plain, **changes)


def quantity(name: str = "gradient", **changes: object) -> Quantity:
    plain = Quantity(
        name=name,
        dtype="float32",
        shape=(2,),
        elements=2,
        max_error_over_tolerance=0.4,
        max_ulp=1.0,
        max_abs_error=1e-9,
        max_rel_error=1e-8,
        worst=(element(0.1, 0.1, 0.4),),
        histogram=(0,) * (len(HISTOGRAM_EDGES) - 1),
        beyond=0,
        undecided=0,
        vacuous=0,
        non_finite=0,
        special_mismatch=0,
        cancelled=0,
        worst_cancelled=None,
        escalated=0,
        spot_checked=0,
        sums=sums(),
        values=None,
    )
    return replace(plain, **changes)


def explanation(**changes: object) -> Explanation:
    plain = Explanation(
        formulation="fused",
        precision="declared",
        explains=True,
        weaker=False,
        looser=False,
        common_offset=False,
        rows_tried=("fused",),
    )
    return replace(plain, **changes)


def measurement(**changes: object) -> Measurement:
    plain = Measurement(
        key=key(),
        profile=Profile("float32", "float32", "float32", "float32"),
        explanation=explanation(),
        output=quantity("output", sums=None),
        gradient=quantity("gradient"),
        jacobian=None,
        diagnoses=(),
        seconds=0.01,
        upstream="ones",
    )
    return replace(plain, **changes)


def diagnosis(fault: str, **evidence: float | str) -> Diagnosis:
    return Diagnosis(fault, tuple(evidence.items()))


def named_fault(fault: str, **changes: object) -> NamedFault:
    plain = NamedFault(
        fault=fault,
        key=key(subject="losses.py:f", backend="torch", formulation="custom"),
        statement="gradient = reference x 0.714286 = 5/7: the mean also counts the 2 ignored rows",
        advice="divide by the number of rows whose target is not -100",
        evidence=(("factor", 5 / 7), ("rows", 7)),
    )
    return replace(plain, **changes)


def failure(kind: str, message: str = "it did not go well", **where: object) -> EvaluationFailure:
    return EvaluationFailure(key(**where), kind, message)


def subject(name: str = "losses.py:f", **changes: object) -> Subject:
    return replace(Subject(name, "torch", name, location=Location("case.yaml", 9, 5)), **changes)


def measured(*parts: object, of: Case | None = None) -> MeasuredCase:
    """The case with the facts, measurements, failures, ... among `parts`, in their order."""
    return MeasuredCase(
        case=of or case(),
        facts=tuple(part for part in parts if isinstance(part, InputFacts)),
        measurements=tuple(part for part in parts if isinstance(part, Measurement)),
        failures=tuple(part for part in parts if isinstance(part, EvaluationFailure)),
        faults=tuple(part for part in parts if isinstance(part, NamedFault)),
        breaches=tuple(part for part in parts if isinstance(part, Breach)),
        exposures=tuple(part for part in parts if isinstance(part, Exposure)),
        self_consistency=tuple(part for part in parts if isinstance(part, SelfConsistency)),
    )


def found(rule: Rule, *parts: object, of: Case | None = None) -> list[Finding]:
    """What one rule says, each message checked to be one plain line."""
    findings = list(rule.check(measured(*parts, of=of)))
    for finding in findings:
        assert (finding.code, finding.name) == (rule.code, rule.name)
        assert finding.message == " ".join(finding.message.split())
        assert finding.message.isprintable()
        spoken_of = next((each for each in (of or case()).subjects if each.name == finding.subject), None)
        of_inputs = spoken_of is None or rule.code == "POW702"
        assert finding.location == ((of or case()).source if of_inputs else spoken_of.location)
    return findings
