"""The JSON Schema of the JSON report, version 1."""

from __future__ import annotations

from collections.abc import Mapping

from gradaudit.records.evaluation import EXECUTIONS, FAILURE_KINDS
from gradaudit.records.finding import SEVERITIES
from gradaudit.records.report import ENDINGS, SCHEMA_VERSION
from gradaudit.reports.report_meanings import REPORT, described

Schema = dict[str, object]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
INDEX: Schema = {"type": "array", "items": COUNT}
NUMBER: Schema = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
SCALAR: Schema = {"type": ["number", "string", "boolean", "null"]}
SCALARS: Schema = {"type": "object", "additionalProperties": SCALAR}
VERSIONS: Schema = {"type": "object", "additionalProperties": STRING}


def report_schema() -> Schema:
    """The schema as a dictionary; fields that it does not name may be added within one schema version."""
    schema = _structure()
    parts: Schema = schema["$defs"]  # type: ignore[assignment]
    return {**described(schema, REPORT), "$defs": {name: described(part, name) for name, part in parts.items()}}


def _structure() -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gradaudit report",
        **_object(
            {
                "schema_version": {"const": SCHEMA_VERSION},
                "tool": _object({"name": {"const": "gradaudit"}, "version": STRING}),
                "environment": _ref("environment"),
                "command": _list(STRING),
                "exit_status": {"enum": [0, 1, 3, 130]},
                "fail_on": {"enum": [*SEVERITIES]},
                "interrupted": BOOLEAN,
                "not_run": _list(
                    _object({"name": STRING, "source": _ref("location"), "reason": {"enum": [*ENDINGS]}})
                ),
                "shard": _or_null(
                    _object({"index": COUNT, "of": COUNT, "positions": INDEX, "cases": COUNT, "plan": STRING})
                ),
                "counts": _ref("counts"),
                "histogram_edges": _list(NUMBER),
                "cases": _list(_ref("case")),
                "rules": {"type": "object", "additionalProperties": _ref("rule")},
            }
        ),
        "$defs": {
            "environment": _environment(),
            "counts": _counts(),
            "case": _case(),
            "array": _array(),
            "facts": _facts(),
            "evaluation": _evaluation(),
            "quantity": _quantity(),
            "element": _element(),
            "values": _values(),
            "finding": _finding(),
            "expectation": _object({"code": STRING, **_selectors(), "location": _ref("location")}),
            "location": _object({"path": STRING, "line": _or_null(COUNT), "column": _or_null(COUNT)}),
            "rule": _object(
                {"name": STRING, "severity": {"enum": [*SEVERITIES]}, "summary": STRING, "advice": STRING}
            ),
        },
    }


def _environment() -> Schema:
    backend = _object(
        {
            "name": STRING,
            "available": BOOLEAN,
            "version": STRING,
            "python": STRING,
            "versions": VERSIONS,
            "threads": _or_null(COUNT),
            "flush_to_zero": _or_null(BOOLEAN),
            "reason": STRING,
            "remedy": STRING,
            "dtypes": _list(STRING),
            "details": VERSIONS,
            "process": _list(_object({"name": STRING, "before": STRING, "after": STRING, "numbers": BOOLEAN})),
        }
    )
    return _object(
        {
            "python": STRING,
            "platform": STRING,
            "versions": VERSIONS,
            "backends": _list(backend),
            "seed": {"type": "integer"},
            "threads": COUNT,
        }
    )


def _counts() -> Schema:
    by_severity = _object(dict.fromkeys(SEVERITIES, COUNT))
    names = ("cases", "evaluations", "failures", "skipped", "refused", "missing_expectations")
    return _object({**dict.fromkeys(names, COUNT), "findings": by_severity, "expected": by_severity})


def _case() -> Schema:
    return _object(
        {
            "name": STRING,
            "source": _ref("location"),
            "function": {**_object({"name": STRING}), "additionalProperties": True},
            "shape": INDEX,
            "axis": INDEX,
            "logits": _ref("array"),
            "targets": _or_null(_ref("array")),
            "upstream": _object({"kind": STRING, "source": _or_null(_ref("array"))}),
            "device": STRING,
            "derivatives": COUNT,
            "subjects": _list(_subject()),
            "probes": _list(STRING),
            "matrix": _object(
                {
                    "backends": _list(STRING),
                    "backends_named": BOOLEAN,
                    "formulations": _list(STRING),
                    "executions": _list(STRING),
                    "dtypes": _list(STRING),
                    "scale": _list(NUMBER),
                }
            ),
            "ignore": _list(STRING),
            "expect": _list(_ref("expectation")),
            "facts": _list(_ref("facts")),
            "evaluations": _list(_ref("evaluation")),
            "faults": _list(_fault()),
            "breaches": _list(_object({**_place(), "fault": STRING, "statement": STRING, "evidence": SCALARS})),
            "exposures": _list(_exposure()),
            "self_consistency": _list(_self_consistency()),
            "second_order": _list(_second_order()),
            "verdicts": _list(_object({"text": STRING, "sound": BOOLEAN})),
            "findings": _list(_ref("finding")),
            "missing_expectations": _list(_ref("expectation")),
        }
    )


def _subject() -> Schema:
    names = ("name", "backend", "target", "input", "targets", "formulation", "device")
    return _object(
        {
            **dict.fromkeys(names, STRING),
            "kwargs": {"type": "object"},
            "factory": BOOLEAN,
            "profile": {"type": "object", "additionalProperties": STRING},
            "autocast": _or_null(STRING),
            "python": _or_null(STRING),
            "derivatives": COUNT,
            "graph": {"type": "object"},
            "location": _ref("location"),
        }
    )


def _place() -> Schema:
    """The fields of an evaluation's key."""
    names = ("subject", "backend", "formulation", "dtype")
    rest: Schema = {"scale": NUMBER, "probe": _or_null(STRING), "execution": {"enum": list(EXECUTIONS)}}
    return {**dict.fromkeys(names, STRING), **rest}


def _fault() -> Schema:
    alternative = _object({"statement": STRING, "probe": _or_null(STRING)})
    texts = dict.fromkeys(("fault", "statement", "advice"), STRING)
    return _object({**_place(), **texts, "evidence": SCALARS, "alternatives": _list(alternative)})


def _self_consistency() -> Schema:
    verdicts: Schema = {"enum": ["agrees", "wrong", "kink", "too_noisy", "not_tried"]}
    told: Schema = {"verdict": verdicts, "statement": STRING, "computed_in": STRING, "directions": COUNT}
    return _object({**_place(), **told, "error": NUMBER, "mismatch": NUMBER})


def _second_order() -> Schema:
    verdicts: Schema = {"enum": ["agrees", "wrong", "cut", "undecided", "refused", "not_judged"]}
    told: Schema = {"derivative": {"enum": ["second order", "gradient of the targets"]}, "verdict": verdicts}
    counts: Schema = dict.fromkeys(("elements", "decided", "beyond"), COUNT)
    rest: Schema = {"formulation_needed": _or_null(STRING), "factor": _or_null(NUMBER), "statement": STRING}
    return _object({**_place(), **told, **counts, **rest, "max_error_over_tolerance": NUMBER})


def _exposure() -> Schema:
    kinds = _list(STRING)
    lists: Schema = {"own": kinds, "probes": kinds, "hidden": kinds, "named": _or_null(kinds)}
    return _object({"subject": STRING, "dtype": STRING, **lists})


def _array() -> Schema:
    return {
        "oneOf": [
            _object({"kind": {"const": "inline"}, "shape": INDEX, "values": {}}),
            _object(
                {
                    "kind": {"const": "random"},
                    "distribution": STRING,
                    "shape": INDEX,
                    "seed": _or_null({"type": "integer"}),
                    "scale": NUMBER,
                    "generator": STRING,
                    "ignored": COUNT,
                }
            ),
            _object(
                {
                    "kind": {"const": "file"},
                    "path": STRING,
                    "shape": INDEX,
                    "dtype": STRING,
                    "key": _or_null(STRING),
                }
            ),
            _object({"kind": {"const": "grid"}, "first": _list(NUMBER), "second": _list(NUMBER)}),
        ]
    }


def _facts() -> Schema:
    counted = ("rows", "classes", "saturated_rows", "vanished_rows", "underflowed", "zero", "cancelled_rows")
    measured = (
        "scale",
        "unit_roundoff",
        "max_probability",
        "complement",
        "largest_jacobian_entry",
        "smallest_probability",
        "cancelled_sum",
        "cancelled_magnitude",
        "condition",
        "offset",
    )
    return _object(
        {
            "dtype": STRING,
            "sums_outputs": BOOLEAN,
            **dict.fromkeys((*counted, "special_rows"), COUNT),
            **dict.fromkeys(measured, NUMBER),
        }
    )


def _evaluation() -> Schema:
    quantity, values = _or_null(_ref("quantity")), _or_null(_ref("values"))
    return _object(
        {
            **_place(),
            "status": {"enum": ["evaluated", "failed", "skipped"]},
            "profile": _or_null(SCALARS),
            "seconds": _or_null(NUMBER),
            "loss_dtype": _or_null(STRING),
            "upstream": STRING,
            "formulation_needed": _or_null(STRING),
            "precision_needed": _or_null(STRING),
            "explanation": _or_null(
                _object(
                    {
                        "formulation": STRING,
                        "precision": STRING,
                        **dict.fromkeys(("explains", "weaker", "looser", "common_offset"), BOOLEAN),
                        "rows_tried": _list(STRING),
                    }
                )
            ),
            "loss": quantity,
            "gradient": quantity,
            "jacobian": quantity,
            "values": _object({"loss": values, "gradient": values, "jacobian": values}),
            "diagnoses": _list(_object({"fault": STRING, "evidence": SCALARS})),
            "captured": STRING,
            "special_probe": BOOLEAN,
            "failure": _or_null(_object({"kind": {"enum": [*FAILURE_KINDS]}, "message": STRING, "detail": STRING})),
        }
    )


def _quantity() -> Schema:
    counted = (
        "elements",
        "beyond",
        "undecided",
        "vacuous",
        "non_finite",
        "special_mismatch",
        "cancelled",
        "escalated",
        "spot_checked",
    )
    measured = ("max_error_over_tolerance", "max_ulp", "max_abs_error", "max_rel_error")
    sums = {
        "row": COUNT,
        "rows_beyond": COUNT,
        **dict.fromkeys(("got", "expected", "residual", "tolerance", "total", "total_magnitude"), NUMBER),
    }
    return _object(
        {
            "name": STRING,
            "dtype": STRING,
            "shape": INDEX,
            **dict.fromkeys(counted, COUNT),
            **dict.fromkeys((*measured, "undecided_share", "vacuous_share"), NUMBER),
            "worst": {"type": "array", "items": _ref("element"), "maxItems": 20},
            "worst_cancelled": _or_null(_ref("element")),
            "histogram": _list(COUNT),
            "special_classes": _list({"type": "array", "prefixItems": [INDEX, STRING], "minItems": 2, "maxItems": 2}),
            "sum": _or_null(NUMBER),
            "sum_expected": _or_null(NUMBER),
            "sum_tolerance": _or_null(NUMBER),
            "sums": _or_null(_object(sums)),
        }
    )


def _element() -> Schema:
    return _object({"index": INDEX, **dict.fromkeys(("got", "reference", "tolerance", "ratio"), NUMBER)})


def _values() -> Schema:
    listed = {"type": "array", "items": NUMBER, "maxItems": 4096}
    return _object({"shape": INDEX, "got": listed, "reference": listed, "tolerance": listed})


def _finding() -> Schema:
    return _object(
        {
            "code": STRING,
            "name": STRING,
            "severity": {"enum": [*SEVERITIES]},
            "message": STRING,
            **_selectors(),
            "probe": _or_null(STRING),
            "location": _ref("location"),
            "evidence": SCALARS,
            "expected": BOOLEAN,
        }
    )


def _selectors() -> Schema:
    names = ("subject", "backend", "formulation", "dtype")
    return {**{name: _or_null(STRING) for name in names}, "scale": _or_null(NUMBER)}


def _object(properties: Mapping[str, object]) -> Schema:
    """An object that has all of these properties."""
    return {"type": "object", "properties": dict(properties), "required": sorted(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
