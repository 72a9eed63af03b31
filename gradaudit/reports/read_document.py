"""The JSON report, read: the Report record again, of which every other format is made."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradaudit.errors import ReportError
from gradaudit.records.baseline import AgainstBaseline
from gradaudit.records.case import (
    FORMULA,
    Case,
    Expectation,
    FileArray,
    GridArray,
    InlineArray,
    RandomArray,
    Upstream,
)
from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.expression import Expression
from gradaudit.records.finding import Finding, RuleSummary
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.measurement import (
    Breach,
    Diagnosis,
    Exposure,
    InputFacts,
    Measurement,
    NamedFault,
    Quantity,
    SecondOrder,
    SelfConsistency,
    Values,
)
from gradaudit.records.report import SCHEMA_VERSION, CaseReport, Environment, Report
from gradaudit.reports.decoding import array, decoded, mapping, record, sequence

SOURCES = {"random": RandomArray, "file": FileArray, "grid": GridArray}


def read(text: str) -> Report:
    """The report that `text` holds as JSON; ReportError says what is wrong with it, and where."""

    def refuse(constant: str) -> float:
        raise ReportError(f"it is not valid JSON: {constant} is no number of JSON")

    try:
        document = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise ReportError(f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise ReportError("it is nested too deeply to be a report of gradaudit") from None
    return report_of(document)


def report_of(document: object) -> Report:
    """The Report of which `gradaudit.reports.json_document.document` made `document`, in the order of the document.

    What the document leaves out is left out: the values of probes, callables, and arrays over 4,096 elements, which
    are NaN. Mappings are sorted by name. Raises ReportError where the document is no report, belongs to another
    schema version, or holds something that does not fit.
    """
    tool = document.get("tool") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or not isinstance(tool, Mapping) or tool.get("name") != "gradaudit":
        raise ReportError(
            "it is no JSON report of gradaudit, which `gradaudit check --report json=report.json` writes"
        )
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ReportError(
            f"it has schema version {version!r}, written by gradaudit {tool.get('version')}; this gradaudit reads "
            f"version {SCHEMA_VERSION}: render it with the gradaudit that wrote it"
        )
    rules = mapping(document.get("rules"), "rules")
    environment = mapping(document.get("environment"), "environment")
    return record(
        Report,
        document,
        "report",
        version=decoded(str, tool.get("version"), "tool.version"),
        environment=record(Environment, environment, "environment"),
        cases=tuple(
            _case(entry, f"cases[{index}]") for index, entry in enumerate(sequence(document.get("cases"), "cases"))
        ),
        baseline=_baseline(document.get("baseline")),
        rules=tuple(record(RuleSummary, rules[code], f"rules.{code}", code=code) for code in sorted(rules)),
    )


def _baseline(given: object) -> AgainstBaseline | None:
    if given is None:
        return None
    fields = mapping(given, "baseline")
    versions = []
    for index, entry in enumerate(sequence(fields.get("versions"), "baseline.versions")):
        place = f"baseline.versions[{index}]"
        told = mapping(entry, place)
        versions.append(tuple(decoded(str, told.get(name), f"{place}.{name}") for name in ("name", "before", "now")))
    return record(AgainstBaseline, fields, "baseline", versions=tuple(versions))


def case_of(document: object) -> CaseReport:
    """The case of which `gradaudit.reports.json_document.case_document` made `document`; ReportError."""
    return _case(document, "case")


def _case(given: object, where: str) -> CaseReport:
    entry = mapping(given, where)

    def each(name: str, read: Any) -> tuple[Any, ...]:
        place = f"{where}.{name}"
        return tuple(read(item, f"{place}[{i}]") for i, item in enumerate(sequence(entry.get(name), place)))

    evaluations = each("evaluations", _evaluation)
    return CaseReport(
        case=_spec_of(entry, where),
        facts=each("facts", lambda item, at: record(InputFacts, item, at)),
        measurements=tuple(item for item in evaluations if isinstance(item, Measurement)),
        failures=tuple(item for item in evaluations if isinstance(item, EvaluationFailure)),
        findings=each("findings", lambda item, at: record(Finding, item, at)),
        missing=each("missing_expectations", lambda item, at: record(Expectation, item, at)),
        faults=each("faults", _fault),
        breaches=each("breaches", lambda item, at: record(Breach, item, at, key=_key(item, at))),
        exposures=each("exposures", lambda item, at: record(Exposure, item, at)),
        self_consistency=each("self_consistency", _self_consistency),
        second_order=each("second_order", lambda item, at: record(SecondOrder, item, at, key=_key(item, at))),
    )


def _spec_of(entry: Mapping[str, object], where: str) -> Case:
    matrix = mapping(entry.get("matrix"), f"{where}.matrix")
    targets = entry.get("targets")
    return record(
        Case,
        {**entry, **matrix},
        where,
        function=_function(entry.get("function"), f"{where}.function"),
        logits=_array(entry.get("logits"), f"{where}.logits"),
        targets=None if targets is None else _array(targets, f"{where}.targets"),
        upstream=_upstream(entry.get("upstream"), f"{where}.upstream"),
    )


def _function(given: object, where: str) -> FunctionCall:
    fields = mapping(given, where)
    name = decoded(str, fields.get("name"), f"{where}.name")
    text = fields.get("formula") if name == FORMULA else None
    own = {"name"} if text is None else {"name", "formula"}
    parameters = {key: fields[key] for key in sorted(fields) if key not in own}
    # The graph of a formula does not travel; what the user wrote does.
    expression = None if text is None else Expression((), decoded(str, text, f"{where}.formula"))
    return FunctionCall(name, parameters, expression)


def _upstream(given: object, where: str) -> Upstream:
    fields = mapping(given, where)
    source = fields.get("source")
    found = None if source is None else _array(source, f"{where}.source")
    return record(Upstream, fields, where, source=found)


def _array(given: object, where: str) -> Any:
    fields = mapping(given, where)
    kind = fields.get("kind")
    if kind == "inline":
        values = fields.get("values")
        if values is not None:
            return InlineArray(array(values, f"{where}.values"))
        shape = decoded(tuple[int, ...], fields.get("shape"), f"{where}.shape")
        # A view of one number, however large the array was.
        return InlineArray(np.broadcast_to(np.float64(math.nan), shape))
    if not isinstance(kind, str) or kind not in SOURCES:
        raise ReportError(f"{where}.kind: expected inline, {', '.join(SOURCES)}, not {kind!r:.60}")
    return record(SOURCES[kind], fields, where)


def _key(given: object, where: str) -> EvaluationKey:
    return record(EvaluationKey, given, where)


def _evaluation(given: object, where: str) -> Measurement | EvaluationFailure:
    entry = mapping(given, where)
    key = _key(entry, where)
    failure = entry.get("failure")
    if failure is not None:
        return record(EvaluationFailure, failure, f"{where}.failure", key=key)
    listed = mapping(entry.get("values"), f"{where}.values")
    found = {
        name: _quantity(entry.get(name), listed.get(name), name, where) for name in ("loss", "gradient", "jacobian")
    }
    if found["loss"] is None or (found["gradient"] is None) == (found["jacobian"] is None):
        raise ReportError(f"{where}: expected a loss and either a gradient or a jacobian")
    diagnoses = f"{where}.diagnoses"
    return record(
        Measurement,
        entry,
        where,
        key=key,
        output=found["loss"],
        gradient=found["gradient"],
        jacobian=found["jacobian"],
        diagnoses=decoded(tuple[Diagnosis, ...], entry.get("diagnoses"), diagnoses),
    )


def _quantity(given: object, listed: object, name: str, where: str) -> Quantity | None:
    if given is None:
        return None
    values = None if listed is None else record(Values, listed, f"{where}.values.{name}")
    fields = {"name": name, **mapping(given, f"{where}.{name}")}
    return record(Quantity, fields, f"{where}.{name}", values=values)


def _fault(given: object, where: str) -> NamedFault:
    entry = mapping(given, where)
    place = f"{where}.alternatives"
    alternatives = []
    for index, item in enumerate(sequence(entry.get("alternatives"), place)):
        fields = mapping(item, f"{place}[{index}]")
        statement = decoded(str, fields.get("statement"), f"{place}[{index}].statement")
        alternatives.append((statement, decoded(str | None, fields.get("probe"), f"{place}[{index}].probe") or ""))
    return record(NamedFault, entry, where, key=_key(entry, where), alternatives=tuple(alternatives))


def _self_consistency(given: object, where: str) -> SelfConsistency:
    entry = mapping(given, where)
    computed_in = decoded(str, entry.get("computed_in"), f"{where}.computed_in")
    return record(SelfConsistency, entry, where, key=_key(entry, where), dtype=computed_in)
