"""The JSON report: every fact of the Report record, sorted, as valid JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence

import numpy as np

from gradaudit.records.baseline import KINDS, SAME, AgainstBaseline
from gradaudit.records.case import Case, InlineArray, Upstream
from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.finding import Finding
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.measurement import HISTOGRAM_EDGES, Measurement, Quantity
from gradaudit.records.report import SCHEMA_VERSION, CaseReport, Environment, Report
from gradaudit.records.subject import Subject
from gradaudit.reports.against import EvaluationStates, evaluation_state, evaluation_states
from gradaudit.reports.case_labels import case_labels
from gradaudit.reports.evaluations import counts, ordered, status
from gradaudit.reports.verdicts import verdicts

LISTED_VALUES = 4096
"""Inline arrays up to this many elements stand in the report; of larger ones the shape does."""

WORST_OF_PROBES = 3
"""So many elements are listed of a probe that no finding names: dozens of probes are tried for a subject."""

Document = dict[str, object]


def render(report: Report) -> str:
    """The document as text: keys sorted, indented by 2, ASCII (which no terminal can stumble over)."""
    return json.dumps(document(report), indent=2, sort_keys=True, allow_nan=False) + "\n"


def document(report: Report) -> Document:
    """The report as dictionaries, lists, strings, numbers and None.

    Non-finite floats are the strings "NaN", "Infinity" and "-Infinity". Fields may be added within one
    `schema_version`; none is renamed or removed.
    """
    states = evaluation_states(report.baseline)
    cases = [_case(case) for case in report.cases]
    for label, case, written in zip(case_labels(report), report.cases, cases, strict=True):
        _told_of(written, case, report, states, label)
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "gradaudit", "version": report.version},
        "environment": _environment(report.environment),
        "command": list(report.command),
        "exit_status": report.exit_status,
        "fail_on": report.fail_on,
        "interrupted": report.interrupted,
        "not_run": [_fields(case) for case in report.not_run],
        "shard": None if report.shard is None else _fields(report.shard),
        "counts": _plain(dataclasses.asdict(counts(report))),
        "histogram_edges": _plain(HISTOGRAM_EDGES),
        "baseline": None if report.baseline is None else _baseline(report.baseline),
        "files": dict(report.files),
        "cases": cases,
        "rules": {
            rule.code: {
                "name": rule.name,
                "severity": rule.severity,
                "summary": rule.summary,
                "advice": rule.advice,
            }
            for rule in report.rules
        },
    }


def case_document(report: CaseReport) -> Document:
    """One case of the report, which `gradaudit.reports.read_document.case_of` reads."""
    return _case(report)


def _baseline(held: AgainstBaseline) -> Document:
    counted = {**{kind: len(held.of_kind(kind)) for kind in KINDS}, SAME: held.same}
    versions = [{"name": name, "before": before, "now": now} for name, before, now in held.versions]
    return {**_fields(held), "counts": counted, "versions": versions}


def _told_of(written: Document, case: CaseReport, report: Report, states: EvaluationStates, label: str) -> None:
    """Add what the baseline says of each evaluation of a case to what is `written` of it."""
    evaluations: list[Document] = written["evaluations"]  # type: ignore[assignment]
    for item, told in zip(ordered(case), evaluations, strict=True):
        measured = isinstance(item, Measurement)
        told["baseline"] = evaluation_state(report, states, label, item.key) if measured else None


def _environment(environment: Environment) -> Document:
    backends = [
        {
            **_fields(state),
            "versions": dict(state.versions),
            "details": dict(state.details),
            "process": [_fields(fact) for fact in state.process],
        }
        for state in environment.backends
    ]
    return {**_fields(environment), "versions": dict(environment.versions), "backends": backends}


def _case(report: CaseReport) -> Document:
    case = report.case
    return {
        "name": case.name,
        "source": _fields(case.source),
        "function": {"name": case.function.name, **_formula(case.function), **_mapping(case.function.parameters)},
        "shape": list(case.shape),
        "axis": list(case.axis),
        "logits": _array(case.logits),
        "targets": _array(case.targets),
        "upstream": _upstream(case.upstream),
        "device": case.device,
        "derivatives": case.derivatives,
        "subjects": [_subject(subject) for subject in case.subjects],
        "probes": list(case.probes),
        "matrix": _matrix(case),
        "ignore": list(case.ignore),
        "expect": [_fields(expected) for expected in case.expect],
        "facts": [_fields(facts) for facts in report.facts],
        "evaluations": [
            _measured(item, case, report.findings) if isinstance(item, Measurement) else _failed(item, case)
            for item in ordered(report)
        ],
        "faults": [
            {
                **_fields(fault, leave_out=("key", "evidence", "alternatives")),
                **_fields(fault.key),
                "evidence": _mapping(dict(fault.evidence)),
                "alternatives": [
                    {"statement": statement, "probe": probe or None} for statement, probe in fault.alternatives
                ],
            }
            for fault in report.faults
        ],
        "breaches": [
            {
                **_fields(breach, leave_out=("key", "evidence")),
                **_fields(breach.key),
                "evidence": _mapping(dict(breach.evidence)),
            }
            for breach in report.breaches
        ],
        "exposures": [_fields(exposure) for exposure in report.exposures],
        "self_consistency": [
            {**_fields(said, leave_out=("key", "dtype")), "computed_in": said.dtype, **_fields(said.key)}
            for said in report.self_consistency
        ],
        "second_order": [{**_fields(said, leave_out=("key",)), **_fields(said.key)} for said in report.second_order],
        "verdicts": [_fields(verdict) for verdict in verdicts(report)],
        "findings": [_fields(finding) for finding in report.findings],
        "missing_expectations": [_fields(missing) for missing in report.missing],
    }


def _formula(function: FunctionCall) -> Document:
    return {} if function.expression is None else {"formula": function.expression.text}


def _subject(subject: Subject) -> Document:
    return {**_fields(subject, leave_out=("live", "base_directory")), "formulation": subject.formulation}


def _matrix(case: Case) -> Document:
    return {
        "backends": list(case.backends),
        "backends_named": case.backends_named,
        "formulations": list(case.formulations),
        "executions": list(case.executions),
        "dtypes": list(case.dtypes),
        "scale": _plain(case.scale),
    }


def _is_told(key: EvaluationKey, findings: Sequence[Finding]) -> bool:
    """Whether an evaluation is of the case's own inputs, or of a probe that a finding about its subject names."""
    named = (each for each in findings if each.probe == key.probe and each.subject in (None, key.subject))
    return key.probe is None or any(each.dtype in (None, key.dtype) for each in named)


def _measured(measurement: Measurement, case: Case, findings: Sequence[Finding]) -> Document:
    explanation = measurement.explanation
    most = None if _is_told(measurement.key, findings) else WORST_OF_PROBES
    return {
        **_unmeasured(case),
        **_fields(measurement.key),
        "status": status(measurement),
        "profile": _fields(measurement.profile),
        "seconds": _plain(measurement.seconds),
        "loss_dtype": measurement.output.dtype,
        "upstream": measurement.upstream,
        "formulation_needed": explanation.formulation if explanation.explains else None,
        "precision_needed": explanation.precision if explanation.explains else None,
        "explanation": _fields(explanation),
        "loss": _quantity(measurement.output, most),
        "gradient": _quantity(measurement.gradient, most),
        "jacobian": _quantity(measurement.jacobian, most),
        "values": {
            name: _values(quantity, measurement.key)
            for name, quantity in (
                ("loss", measurement.output),
                ("gradient", measurement.gradient),
                ("jacobian", measurement.jacobian),
            )
        },
        "diagnoses": [
            {"fault": diagnosis.fault, "evidence": _mapping(dict(diagnosis.evidence)), "chosen": diagnosis.chosen}
            for diagnosis in measurement.diagnoses
        ],
        "captured": measurement.captured,
        "special_probe": measurement.special_probe,
    }


def _failed(failure: EvaluationFailure, case: Case) -> Document:
    return {
        **_unmeasured(case),
        **_fields(failure.key),
        "status": status(failure),
        "failure": {"kind": failure.kind, "message": failure.message, "detail": failure.detail},
    }


def _unmeasured(case: Case) -> Document:
    """Every field that only a measurement fills, so that all evaluations have the same ones."""
    return {
        "profile": None,
        "seconds": None,
        "loss_dtype": None,
        "upstream": case.upstream.kind,
        "formulation_needed": None,
        "precision_needed": None,
        "explanation": None,
        "loss": None,
        "gradient": None,
        "jacobian": None,
        "values": {"loss": None, "gradient": None, "jacobian": None},
        "diagnoses": [],
        "captured": "",
        "special_probe": False,
        "baseline": None,
        "failure": None,
    }


def _quantity(measured: Quantity | None, most: int | None) -> Document | None:
    """What was measured of an array, with the `most` (None: all) of its worst elements that are known."""
    if measured is None:
        return None
    sums = measured.sums
    return {
        **_fields(measured, leave_out=("values", "worst")),
        "worst": [_plain(element) for element in measured.worst[:most]],
        "sum": None if sums is None else _plain(sums.got),
        "sum_expected": None if sums is None else _plain(sums.expected),
        "sum_tolerance": None if sums is None else _plain(sums.tolerance),
        "undecided_share": measured.undecided / measured.elements if measured.elements else 0.0,
        "vacuous_share": measured.vacuous / measured.elements if measured.elements else 0.0,
    }


def _values(measured: Quantity | None, key: EvaluationKey) -> Document | None:
    """Every element, for the case's own inputs alone: of the dozens of probes the worst elements are listed."""
    unlisted = measured is None or measured.values is None or key.probe is not None
    return None if unlisted else _fields(measured.values)  # type: ignore[union-attr]


def _array(source: object) -> Document | None:
    if source is None:
        return None
    if isinstance(source, InlineArray):
        listed = source.values if source.values.size <= LISTED_VALUES else None
        return {"kind": "inline", "shape": list(source.values.shape), "values": _plain(listed)}
    kind = type(source).__name__.removesuffix("Array").lower()
    return {"kind": kind, **_fields(source)}


def _upstream(upstream: Upstream) -> Document:
    return {"kind": upstream.kind, "source": _array(upstream.source)}


def _fields(record: object, leave_out: tuple[str, ...] = ()) -> Document:
    """The fields of a record by name, nested records as dictionaries."""
    names = (field.name for field in dataclasses.fields(record))  # type: ignore[arg-type]
    return {name: _plain(getattr(record, name)) for name in names if name not in leave_out}


def _mapping(values: Mapping[str, object]) -> Document:
    return {str(key): _plain(value) for key, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        # ml_dtypes scalars survive tolist(), and JSON knows only Python's own numbers.
        value = value.tolist() if value.dtype.kind in "biufU" else value.astype(np.float64).tolist()
    if isinstance(value, float) and not math.isfinite(value):
        value = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    elif isinstance(value, Mapping):
        value = _mapping(value)
    elif isinstance(value, tuple | list):
        value = [_plain(entry) for entry in value]
    elif dataclasses.is_dataclass(value):
        value = _fields(value)
    return value if isinstance(value, str | int | float | list | dict | None) else str(value)
