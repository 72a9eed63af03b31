"""What the audit says of each evaluation in plain words: agrees in all elements, or differs in so many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradaudit.records.case import SELF
from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.measurement import Measurement, NamedFault, Quantity
from gradaudit.records.report import CaseReport
from gradaudit.records.subject import CUSTOM
from gradaudit.reports.evaluations import ordered
from gradaudit.reports.findings import setting

NO_VALUES = frozenset({"undiagnosed", "detached-path"})
"""Faults by which no values are explained."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence, and whether all that it speaks of is sound."""

    text: str
    sound: bool


def verdicts(report: CaseReport) -> tuple[Verdict, ...]:
    """One sentence for each dtype and scale and all evaluations of the case's own inputs that share its words."""
    several = len({item.key.formulation for item in ordered(report)} - {CUSTOM}) > 1
    speakers: dict[tuple[str, str, bool], list[str]] = {}
    for item in ordered(report):
        if isinstance(item, Measurement) and item.key.probe is None:
            words = (setting(item.key.dtype, item.key.scale), _statement(item), is_sound(item))
            speakers.setdefault(words, []).append(name(item.key, with_formulation=several))
    found = [
        Verdict(f"{_listed(names)}, {where}: {statement}", sound)
        for (where, statement, sound), names in speakers.items()
    ]
    return (*found, *_second_order(report), *_unmeasured(report))


def is_sound(measurement: Measurement) -> bool:
    """Whether one row of the precision that is due explains every element, and every special value is as due."""
    return measurement.explanation.explains and not measurement.explanation.weaker and not _special(measurement)


def name(key: EvaluationKey, *, with_formulation: bool = False) -> str:
    """The subject with its backend, and with its formulation where one is claimed."""
    parts = [key.subject, None if key.says_backend else f"({key.backend})"]
    parts += [key.formulation if with_formulation and key.formulation != CUSTOM else None]
    return " ".join(part for part in parts if part)


def named_faults(report: CaseReport, key: EvaluationKey) -> tuple[NamedFault, ...]:
    """The faults that explain the values of this subject at this dtype."""
    return tuple(
        fault
        for fault in report.faults
        if fault.fault not in NO_VALUES
        and (fault.key.subject, fault.key.backend, fault.key.formulation, fault.key.dtype)
        == (key.subject, key.backend, key.formulation, key.dtype)
    )


def _statement(measurement: Measurement) -> str:
    derivative = measurement.gradient or measurement.jacobian
    assert derivative is not None
    noun = "Jacobian" if measurement.jacobian is not None else "gradient"
    forward, backward = _wrong(measurement, measurement.output), _wrong(measurement, derivative)
    if not forward and not backward:
        return f"{_agreement(noun, derivative)}{_under(measurement)}"
    clauses = []
    if backward:
        clauses.append(f"{noun} apart from the exact one in {backward:,} of {derivative.elements:,} elements")
    if forward:
        of = f" in {forward:,} of {measurement.output.elements:,} elements" if measurement.output.elements > 1 else ""
        clauses.append(f"{measurement.output.name} apart from the exact one{of}")
    if not backward:
        clauses.append(_agreement(noun, derivative))
    return ", ".join(clauses)


def _agreement(noun: str, derivative: Quantity) -> str:
    decided = derivative.elements - derivative.undecided
    if decided == 0:
        return f"{noun} undecided: the tolerance is as large as each of its elements"
    agreement = f"agreement with the exact {noun} in"
    if derivative.elements == 1:
        return f"{agreement} its only element"
    if decided == derivative.elements:
        return f"{agreement} all {decided:,} elements"
    return f"{agreement} all {decided:,} elements that their tolerance decides, of {derivative.elements:,}"


def _under(measurement: Measurement) -> str:
    explanation = measurement.explanation
    if explanation.weaker:
        return f", at a lower precision alone ({explanation.precision})"
    return f" (under a formulation that loses digits: {explanation.formulation})" if explanation.looser else ""


def _wrong(measurement: Measurement, measured: Quantity) -> int:
    beyond = 0 if measurement.explanation.explains else measured.beyond
    return beyond + measured.non_finite + measured.special_mismatch


def _special(measurement: Measurement) -> bool:
    quantities = (measurement.output, measurement.gradient, measurement.jacobian)
    return any(each.non_finite or each.special_mismatch for each in quantities if each is not None)


def _second_order(report: CaseReport) -> Iterator[Verdict]:
    """One sentence for each further derivative of the case's own inputs, and for what is wrong on probes alone."""
    own = {(each.key.subject, each.key.dtype, each.verdict) for each in report.second_order if each.key.probe is None}
    for said in report.second_order:
        key, sound = said.key, said.verdict not in {"wrong", "cut"}
        if key.probe is None or (not sound and (key.subject, key.dtype, said.verdict) not in own):
            probe = "" if key.probe is None else f", probe {key.probe}"
            yield Verdict(f"{name(key)}, {setting(key.dtype, key.scale)}{probe}: {said.statement}", sound)


def _unmeasured(report: CaseReport) -> list[Verdict]:
    """Subjects that returned something which no exact values stand beside."""
    known = {(item.key.subject, item.key.dtype) for item in ordered(report) if item.key.probe is None}
    found = []
    for said in report.self_consistency:
        key = said.key
        known.add((key.subject, key.dtype))
        # What no difference can tell is told by the exact values, where there are any.
        sound = said.verdict in {"agrees", "kink"} or (report.case.function.name != SELF and said.verdict != "wrong")
        # What every probe repeats is said of the own inputs alone.
        if key.probe is None or not sound:
            probe = "" if key.probe is None else f", probe {key.probe}"
            where = setting(key.dtype, key.scale)
            found.append(Verdict(f"{name(key)}, {where}{probe}: {said.statement}", sound))
    for subject in report.case.subjects:
        for dtype in report.case.dtypes:
            if (subject.name, dtype) in known:
                continue
            wrong = [
                finding.code
                for finding in report.findings
                if finding.subject == subject.name and finding.dtype in (None, dtype) and finding.severity == "error"
            ]
            what = "held against its own forward" if report.case.function.name == SELF else "not compared"
            told = f"see {', '.join(dict.fromkeys(wrong))}" if wrong else "nothing was found"
            found.append(Verdict(f"{subject.name} ({subject.backend}), {dtype}: {what}; {told}", not wrong))
    return found


def _listed(names: Sequence[str]) -> str:
    unique = list(dict.fromkeys(names))
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} and {unique[-1]}"
