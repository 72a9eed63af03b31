"""What the audit says of each subject: one line over all of its dtypes, scales and probes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gradaudit.records.measurement import Measurement
from gradaudit.records.report import CaseReport
from gradaudit.records.subject import Subject
from gradaudit.reports.evaluation_rows import Told
from gradaudit.reports.evaluations import ordered
from gradaudit.reports.verdicts import is_sound

DIGITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""Bits of the significand, by which dtypes are wide or narrow."""


def subject_verdicts(report: CaseReport) -> Iterator[Told]:
    """One sentence for each subject; a dtype that passes where a wider one is wrong has not acquitted it.

    What was not audited is "doubtful": nobody knows whether it is right.
    """
    for subject in report.case.subjects:
        wrong = {dtype: _wrong(report, subject, dtype) for dtype in report.case.dtypes}
        words: dict[str, list[str]] = {}
        for dtype, names in wrong.items():
            words.setdefault(_said(report, subject, dtype, names, wrong), []).append(dtype)
        text = "; ".join(f"{', '.join(dtypes)}: {said}" for said, dtypes in words.items())
        audited = all(_audited(report, subject, dtype) for dtype in report.case.dtypes)
        tone = "wrong" if any(wrong.values()) else "good" if audited else "doubtful"
        yield Told(f"{subject.name} ({subject.backend}): {text}", tone)


def _said(
    report: CaseReport, subject: Subject, dtype: str, names: tuple[str, ...], wrong: dict[str, tuple[str, ...]]
) -> str:
    if names:
        return f"wrong ({', '.join(names)})"
    if not _audited(report, subject, dtype):
        return "not audited"
    if not any(True for _ in _measured(report, subject, dtype)):
        return "consistent with its own values"
    wider = [other for other in wrong if wrong[other] and DIGITS.get(other, 0) > DIGITS.get(dtype, 0)]
    if wider:
        return f"within tolerance, though {wider[0]} is wrong: {dtype} is too coarse to tell"
    return "within tolerance"


def _wrong(report: CaseReport, subject: Subject, dtype: str) -> tuple[str, ...]:
    """The codes of errors in values or conduct; the names of faults whose rules are not shown."""
    codes = _unique(
        finding.code
        for finding in report.findings
        if (finding.subject, finding.backend) == (subject.name, subject.backend)
        and finding.severity == "error"
        and finding.dtype in (None, dtype)
        and not finding.code.startswith("RUN")
    )
    if codes:
        return codes
    own = (subject.name, subject.backend, dtype)
    named = (each for each in report.faults if (each.key.subject, each.key.backend, each.key.dtype) == own)
    faults = _unique(each.fault for each in named)
    unsound = any(not is_sound(each) and not each.special_probe for each in _measured(report, subject, dtype))
    return faults or (("apart from the exact values",) if unsound else ())


def _audited(report: CaseReport, subject: Subject, dtype: str) -> bool:
    said = any((each.key.subject, each.key.dtype) == (subject.name, dtype) for each in report.self_consistency)
    return said or any(True for _ in _measured(report, subject, dtype))


def _measured(report: CaseReport, subject: Subject, dtype: str) -> Iterator[Measurement]:
    for item in ordered(report):
        if isinstance(item, Measurement) and (item.key.subject, item.key.backend, item.key.dtype) == (
            subject.name,
            subject.backend,
            dtype,
        ):
            yield item


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
