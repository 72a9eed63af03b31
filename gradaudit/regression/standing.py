"""Report -> what is kept of it: the findings, and the errors of each evaluation, by names that last.

A name holds no line number, no time, no measured value and no order of the report's: the same thing has the same name
in the next report. Findings that the spec expects are left out, for the spec answers for them, and so is what could
not be audited (the errors of the family RUN), which no earlier audit can excuse.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from gradaudit.numerics import formats
from gradaudit.records.evaluation import EAGER, EvaluationFailure, names_backend
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import Measurement, Quantity, SelfConsistency
from gradaudit.records.report import Report
from gradaudit.records.subject import CUSTOM
from gradaudit.regression.levels import Error
from gradaudit.reports.case_labels import case_labels
from gradaudit.reports.evaluations import held_alone
from gradaudit.reports.findings import setting, shown_at_any_scale
from gradaudit.reports.issues import is_unaudited

OWN, PROBES = "own", "probes"
"""Which inputs an evaluation speaks of: the case's own, or all probes together."""

APART = "apart"
"""The quantity of a subject that is held against its own values: how far its gradient is from that in float64."""

QUANTITIES = ("loss", "gradient", "jacobian", APART)

VERDICTS = {"agrees": "agrees", "kink": "agrees", "too_noisy": "too noisy to tell", "not_tried": "not tried"}
"""What is said of such a subject, best first, in place of a tolerance that explains it; "" where it is wrong."""


@dataclass(frozen=True, slots=True)
class FindingName:
    """What a finding is about; "" and None stand for all there are. `number` counts findings of one name from 1.

    A finding speaks of all evaluations of its setting, and the probe that shows it best may be another one tomorrow:
    it is no part of the name.
    """

    case: str
    code: str
    subject: str = ""
    backend: str = ""
    formulation: str = ""
    dtype: str = ""
    scale: float | None = None
    number: int = 1

    def __str__(self) -> str:
        return _sentence(self.case, self.subject, self.backend, self.formulation, setting(self.dtype, self.scale))


@dataclass(frozen=True, slots=True)
class EvaluationName:
    """An evaluation of a case: of its own inputs (`inputs` is OWN), of all probes (PROBES), or of one by name."""

    case: str
    subject: str
    backend: str
    formulation: str
    dtype: str
    scale: float = 1.0
    execution: str = EAGER
    inputs: str = OWN

    def __str__(self) -> str:
        said = _sentence(self.case, self.subject, self.backend, self.formulation, setting(self.dtype, self.scale))
        if self.execution not in (EAGER, *self.subject.split(", ")):
            said += f" {self.execution}"
        if self.inputs == OWN:
            return said
        return f"{said}, {PROBES}" if self.inputs == PROBES else f"{said}, probe {self.inputs}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How an evaluation stands: the largest error of each of its arrays by name, and the tolerance `row` that
    explains it ("" where none does), with all `rows` that were tried, strictest first.

    Of all probes together the errors are the largest, and the row is the loosest that one of them needs.
    """

    errors: Mapping[str, Error]
    row: str
    rows: tuple[str, ...]


def findings(report: Report) -> dict[FindingName, Finding]:
    """The findings that no spec expects, without the errors of the family RUN.

    A fault or a breach is a statement about a subject at all scales, of which the report names the one that shows it
    best: it is no part of such a finding's name.
    """
    found: dict[FindingName, Finding] = {}
    for label, case in zip(case_labels(report), report.cases, strict=True):
        about_subjects = shown_at_any_scale(case)
        for finding in case.findings:
            if finding.expected or is_unaudited(finding):
                continue
            name = finding_name(label, finding)
            if (finding.name, finding.subject) in about_subjects:
                name = replace(name, scale=None)
            while name in found:
                name = replace(name, number=name.number + 1)
            found[name] = finding
    return found


def finding_name(label: str, finding: Finding) -> FindingName:
    """The first name of a finding of the case with this label."""
    return FindingName(
        label,
        finding.code,
        finding.subject or "",
        finding.backend or "",
        finding.formulation or "",
        finding.dtype or "",
        finding.scale,
    )


def evaluations(report: Report) -> dict[EvaluationName, Standing]:
    """The standing of each evaluation of the cases' own inputs, and of the probes of each taken together."""
    found: dict[EvaluationName, Standing] = {}
    for name, (_, standing) in each_evaluation(report).items():
        if name.inputs == OWN:
            found[name] = standing
            continue
        together = replace(name, inputs=PROBES)
        found[together] = _joined(found.get(together), standing)
    return found


def each_evaluation(report: Report) -> dict[EvaluationName, tuple[Measurement | None, Standing]]:
    """Every evaluation of a report, those of probes one by one; None stands for one that was held against itself."""
    found: dict[EvaluationName, tuple[Measurement | None, Standing]] = {}
    for label, case in zip(case_labels(report), report.cases, strict=True):
        for measurement in case.measurements:
            found[_name(label, measurement)] = measurement, _standing(measurement)
        for said in held_alone(case):
            found[_name(label, said)] = None, _standing_alone(said)
    return found


def failed(report: Report) -> set[EvaluationName]:
    """The evaluations that could not be audited; findings (RUN) tell why. What is not offered is not among them."""
    names = set()
    for label, case in zip(case_labels(report), report.cases, strict=True):
        for failure in case.failures:
            if failure.kind not in {"unsupported", "refused"}:
                names.add(_name(label, failure))
    return names


def unaudited(report: Report) -> Iterator[tuple[str, Finding]]:
    """What could not be audited, by the label of its case."""
    for label, case in zip(case_labels(report), report.cases, strict=True):
        for finding in case.findings:
            if is_unaudited(finding) and not finding.expected:
                yield label, finding


def versions(report: Report) -> dict[str, str]:
    """What computed, by name, with its version: gradaudit, NumPy and the backends that were there.

    A backend may be in an interpreter of its own, NumPy too: its version is that of what it computed with.
    """
    states = {state.name: state.version for state in report.environment.backends if state.available}
    return {**dict(report.environment.versions), **states}


def row_name(measurement: Measurement) -> str:
    """The tolerance row that explains an evaluation, as `rows_tried` spells it; "" where none does."""
    explanation = measurement.explanation
    return f"{explanation.formulation} ({explanation.precision})" if explanation.explains else ""


def _name(label: str, item: Measurement | SelfConsistency | EvaluationFailure) -> EvaluationName:
    key = item.key
    return EvaluationName(
        label,
        key.subject,
        key.backend,
        key.formulation,
        key.dtype,
        key.scale,
        key.execution,
        OWN if key.probe is None else key.probe,
    )


def _standing(measurement: Measurement) -> Standing:
    arrays = {"loss": measurement.output, "gradient": measurement.gradient, "jacobian": measurement.jacobian}
    errors = {name: _error(quantity) for name, quantity in arrays.items() if quantity is not None}
    return Standing(errors, row_name(measurement), measurement.explanation.rows_tried)


def _standing_alone(said: SelfConsistency) -> Standing:
    row = VERDICTS.get(said.verdict, "")
    ladder = tuple(dict.fromkeys(VERDICTS.values()))
    rows = ladder[: ladder.index(row) + 1] if row else ladder
    if said.apart is None:
        return Standing({}, row, rows)
    apart = math.inf if math.isnan(said.apart) else said.apart
    ulp = apart / (2.0 * formats.get(said.key.dtype).unit_roundoff)
    return Standing({APART: Error(apart, ulp, said.elements)}, row, rows)


def _error(quantity: Quantity) -> Error:
    ratio = quantity.max_error_over_tolerance
    return Error(math.inf if math.isnan(ratio) else ratio, quantity.max_ulp, quantity.elements - quantity.undecided)


def _joined(first: Standing | None, second: Standing) -> Standing:
    if first is None:
        return second
    # The ladder of one subject is climbed from the same end by every probe: who climbed further needs the looser row.
    looser = max((first, second), key=lambda each: (not each.row, len(each.rows)))
    names = [name for name in QUANTITIES if name in first.errors or name in second.errors]
    return Standing(
        {name: _larger(each.errors[name] for each in (first, second) if name in each.errors) for name in names},
        looser.row,
        looser.rows,
    )


def _larger(errors: Iterable[Error]) -> Error:
    """The largest error of several arrays, where a faithful answer's share of the tolerance does not count.

    It is the largest of the elements of its own array: the errors of other inputs may be much smaller throughout.
    """
    listed = list(errors)
    counted = [each for each in listed if each.ulp > 1.0 or not each.ratio <= 1.0]
    largest = max(counted or listed, key=lambda each: each.ratio)
    return replace(largest, ulp=max(each.ulp for each in listed))


def _sentence(case: str, subject: str, backend: str, formulation: str, where: str) -> str:
    beside = "" if names_backend(subject, backend) or not backend else f"({backend})" if subject else backend
    words = (subject, beside, "" if formulation == CUSTOM else formulation, where)
    said = " ".join(word for word in words if word)
    return f"{case}: {said}" if said else case
