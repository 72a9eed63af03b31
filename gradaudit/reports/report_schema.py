"""The JSON Schema of the JSON report, version 1."""

from __future__ import annotations

from gradaudit.records.baseline import EVALUATION_STATES, FINDING_STATES
from gradaudit.records.evaluation import EXECUTIONS, FAILURE_KINDS
from gradaudit.records.finding import SEVERITIES
from gradaudit.records.report import ENDINGS, SCHEMA_VERSION
from gradaudit.reports import baseline_schema
from gradaudit.reports.report_meanings import REPORT, described
from gradaudit.reports.schema_words import (
    BOOLEAN,
    COUNT,
    INDEX,
    NUMBER,
    SCALARS,
    STRING,
    VERSIONS,
    Schema,
    a_list,
    an_object,
    or_null,
    part,
)


def report_schema() -> Schema:
    """The schema as a dictionary; fields that it does not name may be added within one schema version."""
    schema = _structure()
    parts: Schema = schema["$defs"]  # type: ignore[assignment]
    named = {name: described(structure, name) for name, structure in parts.items()}
    return {**described(schema, REPORT), "$defs": named}


def _structure() -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "gradaudit report",
        **an_object(
            {
                "schema_version": {"const": SCHEMA_VERSION},
                "tool": an_object({"name": {"const": "gradaudit"}, "version": STRING}),
                "environment": part("environment"),
                "command": a_list(STRING),
                "exit_status": {"enum": [0, 1, 3, 130]},
                "fail_on": {"enum": [*SEVERITIES]},
                "interrupted": BOOLEAN,
                "not_run": a_list(
                    an_object({"name": STRING, "source": part("location"), "reason": {"enum": [*ENDINGS]}})
                ),
                "shard": or_null(
                    an_object(
                        {
                            **dict.fromkeys(("index", "of", "cases"), COUNT),
                            "positions": INDEX,
                            "plan": STRING,
                            "names": a_list(STRING),
                        }
                    )
                ),
                "baseline": or_null(part("baseline")),
                "files": VERSIONS,
                "counts": part("counts"),
                "histogram_edges": a_list(NUMBER),
                "cases": a_list(part("case")),
                "rules": {"type": "object", "additionalProperties": part("rule")},
            }
        ),
        "$defs": {
            "environment": _environment(),
            "counts": _counts(),
            "baseline": baseline_schema.baseline(),
            "change": baseline_schema.change(),
            "case": _case(),
            "array": _array(),
            "facts": _facts(),
            "evaluation": _evaluation(),
            "quantity": _quantity(),
            "element": _element(),
            "values": _values(),
            "finding": _finding(),
            "expectation": an_object({"code": STRING, **_selectors(), "location": part("location")}),
            "location": an_object({"path": STRING, "line": or_null(COUNT), "column": or_null(COUNT)}),
            "rule": an_object(
                {"name": STRING, "severity": {"enum": [*SEVERITIES]}, "summary": STRING, "advice": STRING}
            ),
        },
    }


def _environment() -> Schema:
    backend = an_object(
        {
            "name": STRING,
            "available": BOOLEAN,
            "version": STRING,
            "python": STRING,
            "versions": VERSIONS,
            "threads": or_null(COUNT),
            "flush_to_zero": or_null(BOOLEAN),
            "reason": STRING,
            "remedy": STRING,
            "dtypes": a_list(STRING),
            "details": VERSIONS,
            "process": a_list(an_object({"name": STRING, "before": STRING, "after": STRING, "numbers": BOOLEAN})),
        }
    )
    return an_object(
        {
            "python": STRING,
            "platform": STRING,
            "versions": VERSIONS,
            "backends": a_list(backend),
            "seed": {"type": "integer"},
            "threads": COUNT,
        }
    )


def _counts() -> Schema:
    by_severity = an_object(dict.fromkeys(SEVERITIES, COUNT))
    names = ("cases", "evaluations", "failures", "skipped", "refused", "missing_expectations")
    return an_object({**dict.fromkeys(names, COUNT), **dict.fromkeys(("findings", "expected", "known"), by_severity)})


def _case() -> Schema:
    return an_object(
        {
            "name": STRING,
            "source": part("location"),
            "function": {**an_object({"name": STRING}), "additionalProperties": True},
            "shape": INDEX,
            "axis": INDEX,
            "logits": part("array"),
            "targets": or_null(part("array")),
            "upstream": an_object({"kind": STRING, "source": or_null(part("array"))}),
            "device": STRING,
            "derivatives": COUNT,
            "subjects": a_list(_subject()),
            "probes": a_list(STRING),
            "matrix": an_object(
                {
                    "backends": a_list(STRING),
                    "backends_named": BOOLEAN,
                    "formulations": a_list(STRING),
                    "executions": a_list(STRING),
                    "dtypes": a_list(STRING),
                    "scale": a_list(NUMBER),
                }
            ),
            "ignore": a_list(STRING),
            "expect": a_list(part("expectation")),
            "facts": a_list(part("facts")),
            "evaluations": a_list(part("evaluation")),
            "faults": a_list(_fault()),
            "breaches": a_list(an_object({**_place(), "fault": STRING, "statement": STRING, "evidence": SCALARS})),
            "exposures": a_list(_exposure()),
            "self_consistency": a_list(_self_consistency()),
            "second_order": a_list(_second_order()),
            "verdicts": a_list(an_object({"text": STRING, "sound": BOOLEAN})),
            "findings": a_list(part("finding")),
            "missing_expectations": a_list(part("expectation")),
        }
    )


def _subject() -> Schema:
    names = ("name", "backend", "target", "input", "targets", "formulation", "device")
    return an_object(
        {
            **dict.fromkeys(names, STRING),
            "kwargs": {"type": "object"},
            "factory": BOOLEAN,
            "profile": {"type": "object", "additionalProperties": STRING},
            "autocast": or_null(STRING),
            "python": or_null(STRING),
            "derivatives": COUNT,
            "execution": {"enum": list(EXECUTIONS)},
            "graph": {"type": "object"},
            "location": part("location"),
        }
    )


def _place() -> Schema:
    """The fields of an evaluation's key."""
    names = ("subject", "backend", "formulation", "dtype")
    rest: Schema = {"scale": NUMBER, "probe": or_null(STRING), "execution": {"enum": list(EXECUTIONS)}}
    return {**dict.fromkeys(names, STRING), **rest}


def _fault() -> Schema:
    alternative = an_object({"statement": STRING, "probe": or_null(STRING)})
    texts = dict.fromkeys(("fault", "statement", "advice"), STRING)
    return an_object({**_place(), **texts, "evidence": SCALARS, "alternatives": a_list(alternative)})


def _self_consistency() -> Schema:
    verdicts: Schema = {"enum": ["agrees", "wrong", "kink", "too_noisy", "not_tried"]}
    told: Schema = {"verdict": verdicts, "statement": STRING, "computed_in": STRING, "directions": COUNT}
    rest: Schema = {"error": NUMBER, "mismatch": NUMBER, "apart": or_null(NUMBER), "elements": COUNT}
    return an_object({**_place(), **told, **rest})


def _second_order() -> Schema:
    verdicts: Schema = {"enum": ["agrees", "wrong", "cut", "undecided", "refused", "not_judged"]}
    told: Schema = {"derivative": {"enum": ["second order", "gradient of the targets"]}, "verdict": verdicts}
    counts: Schema = dict.fromkeys(("elements", "decided", "beyond"), COUNT)
    rest: Schema = {"formulation_needed": or_null(STRING), "factor": or_null(NUMBER), "statement": STRING}
    return an_object({**_place(), **told, **counts, **rest, "max_error_over_tolerance": NUMBER})


def _exposure() -> Schema:
    kinds = a_list(STRING)
    lists: Schema = {"own": kinds, "probes": kinds, "hidden": kinds, "named": or_null(kinds)}
    return an_object({"subject": STRING, "dtype": STRING, **lists})


def _array() -> Schema:
    return {
        "oneOf": [
            an_object({"kind": {"const": "inline"}, "shape": INDEX, "values": {}}),
            an_object(
                {
                    "kind": {"const": "random"},
                    "distribution": STRING,
                    "shape": INDEX,
                    "seed": or_null({"type": "integer"}),
                    "scale": NUMBER,
                    "generator": STRING,
                    "ignored": COUNT,
                }
            ),
            an_object(
                {
                    "kind": {"const": "file"},
                    "path": STRING,
                    "shape": INDEX,
                    "dtype": STRING,
                    "key": or_null(STRING),
                }
            ),
            an_object({"kind": {"const": "grid"}, "first": a_list(NUMBER), "second": a_list(NUMBER)}),
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
    return an_object(
        {
            "dtype": STRING,
            "sums_outputs": BOOLEAN,
            **dict.fromkeys((*counted, "special_rows"), COUNT),
            **dict.fromkeys(measured, NUMBER),
        }
    )


def _evaluation() -> Schema:
    quantity, values = or_null(part("quantity")), or_null(part("values"))
    return an_object(
        {
            **_place(),
            "status": {"enum": ["evaluated", "failed", "skipped"]},
            "profile": or_null(SCALARS),
            "seconds": or_null(NUMBER),
            "loss_dtype": or_null(STRING),
            "upstream": STRING,
            "formulation_needed": or_null(STRING),
            "precision_needed": or_null(STRING),
            "explanation": or_null(
                an_object(
                    {
                        "formulation": STRING,
                        "precision": STRING,
                        **dict.fromkeys(("explains", "weaker", "looser", "common_offset"), BOOLEAN),
                        "rows_tried": a_list(STRING),
                    }
                )
            ),
            "loss": quantity,
            "gradient": quantity,
            "jacobian": quantity,
            "values": an_object({"loss": values, "gradient": values, "jacobian": values}),
            "diagnoses": a_list(an_object({"fault": STRING, "evidence": SCALARS, "chosen": BOOLEAN})),
            "captured": STRING,
            "special_probe": BOOLEAN,
            "baseline": or_null({"enum": [*EVALUATION_STATES]}),
            "failure": or_null(an_object({"kind": {"enum": [*FAILURE_KINDS]}, "message": STRING, "detail": STRING})),
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
    return an_object(
        {
            "name": STRING,
            "dtype": STRING,
            "shape": INDEX,
            **dict.fromkeys(counted, COUNT),
            **dict.fromkeys((*measured, "undecided_share", "vacuous_share"), NUMBER),
            "worst": {"type": "array", "items": part("element"), "maxItems": 20},
            "worst_cancelled": or_null(part("element")),
            "histogram": a_list(COUNT),
            "special_classes": a_list(
                {"type": "array", "prefixItems": [INDEX, STRING], "minItems": 2, "maxItems": 2}
            ),
            "sum": or_null(NUMBER),
            "sum_expected": or_null(NUMBER),
            "sum_tolerance": or_null(NUMBER),
            "sums": or_null(an_object(sums)),
        }
    )


def _element() -> Schema:
    return an_object({"index": INDEX, **dict.fromkeys(("got", "reference", "tolerance", "ratio"), NUMBER)})


def _values() -> Schema:
    listed = {"type": "array", "items": NUMBER, "maxItems": 4096}
    return an_object({"shape": INDEX, "got": listed, "reference": listed, "tolerance": listed})


def _finding() -> Schema:
    return an_object(
        {
            "code": STRING,
            "name": STRING,
            "severity": {"enum": [*SEVERITIES]},
            "message": STRING,
            **_selectors(),
            "probe": or_null(STRING),
            "location": part("location"),
            "evidence": SCALARS,
            "expected": BOOLEAN,
            "baseline": or_null({"enum": [*FINDING_STATES]}),
            "replay": STRING,
        }
    )


def _selectors() -> Schema:
    names = ("subject", "backend", "formulation", "dtype")
    return {**{name: or_null(STRING) for name in names}, "scale": or_null(NUMBER)}
