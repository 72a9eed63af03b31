"""What the fields of the JSON report mean: the descriptions of its JSON Schema, and of the reference in the docs.

By part of the schema, then by field: `a.b` is field b of the object a, `a[].b` that of each object in the list a.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gradaudit.reports import baseline_schema

REPORT = "report"
"""The report itself, beside the parts that it is made of."""

_PLACE = {
    "subject": "The name that people see: of a backend, or of a function of one's own.",
    "backend": "The framework that computed.",
    "formulation": "The algorithm; `custom` for a function of one's own.",
    "dtype": "The format of logits and results.",
    "scale": "The factor of the logits.",
    "probe": "The probe whose inputs these are; null for the case's own.",
    "execution": "How the framework ran the function.",
}

_SELECTORS = {name: f"{text} Null: all." for name, text in _PLACE.items()}


def _at(field: str) -> dict[str, str]:
    return {f"{field}[].{name}": text for name, text in _PLACE.items()}


_AT_CHANGE = {name: text for name, text in _PLACE.items() if name not in ("probe", "scale")}

_SUBJECT = {
    "name": "Its name in reports.",
    "backend": "The framework that it is written in.",
    "target": "MODULE:NAME, PATH.py:NAME or PATH.onnx.",
    "input": "What it is fed: `logits`, `probabilities` or `log_probabilities`.",
    "targets": "`as_given`, or `one_hot` where it is fed rows of 0 and 1.",
    "formulation": "The algorithm that its author claims, or `custom`.",
    "device": "Where it computes.",
    "kwargs": "What it was constructed with, or got bound.",
    "factory": "Whether it was called first to return the one to audit.",
    "profile": "The arithmetic that its author claims.",
    "autocast": "The dtype of torch.autocast that it ran under.",
    "python": "The interpreter that was named for it.",
    "derivatives": "2 where its second order was audited.",
    "execution": "How its framework ran it.",
    "graph": "What the spec says of an ONNX file's inputs and outputs.",
    "location": "Where the spec names it.",
}

_BACKEND = {
    "name": "As `backends` of a spec has it.",
    "available": "Whether it could be started.",
    "version": "That of its framework.",
    "python": "The version of the Python that it ran in.",
    "versions": "Of its packages.",
    "threads": "How many it computed with.",
    "flush_to_zero": "Whether subnormal numbers were 0 in its process.",
    "reason": "Why it is not available.",
    "remedy": "The command that installs it.",
    "dtypes": "Those that it has.",
    "details": "What else it says of itself, for instance its instruction set.",
    "process": "Facts about its process that the import of its framework may have changed.",
    "process[].name": "The fact.",
    "process[].before": "Before the import.",
    "process[].after": "After it.",
    "process[].numbers": "Whether other code's numbers may depend on it.",
}

MEANINGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        REPORT: {
            "schema_version": "The version of this format.",
            "tool": "What wrote it.",
            "tool.name": "Always the same.",
            "tool.version": "That of gradaudit.",
            "environment": "Where and how it was audited.",
            "command": "The command line; `gradaudit.testing` from a test.",
            "exit_status": "What `gradaudit check` exits with, but for --exit-zero; with a baseline, against it.",
            "fail_on": "The least severity of an unexpected finding that makes it exit 1.",
            "interrupted": "Whether the audit was ended before it was done.",
            "not_run": "Cases that the audit ended before.",
            "not_run[].name": "The name of the case.",
            "not_run[].source": "Where it stands.",
            "not_run[].reason": "Why the audit ended.",
            "shard": "Which part of a whole this is; null for a whole.",
            "shard.index": "The number of the part, from 1.",
            "shard.of": "How many parts there are.",
            "shard.positions": "Where its cases stand in the whole, from 0.",
            "shard.cases": "How many cases the whole has.",
            "shard.plan": "A digest of the names and places of all cases of the whole.",
            "shard.names": "The names of all cases of the whole.",
            "baseline": "How the report stands against the baseline; null: it was held against none.",
            "files": "Where files stand in their repository, by their paths in locations; those that do elsewhere.",
            "counts": "How many there are of everything.",
            "histogram_edges": "Bounds of all histograms: entry i counts edges[i] < error / tolerance <= edges[i+1].",
            "cases": "Every case, in the order of the specs.",
            "rules": "The rules that fired, by their codes.",
        },
        "environment": {
            "python": "The version of the Python that gradaudit ran in.",
            "platform": "The system and the processor.",
            "versions": "Of the packages that the reference is computed with.",
            "backends": "Every backend that was asked for.",
            **{f"backends[].{name}": text for name, text in _BACKEND.items()},
            "seed": "For what a spec leaves to chance.",
            "threads": "Of the main process.",
        },
        "counts": {
            "cases": "In this report.",
            "evaluations": "Planned, whatever became of them.",
            "failures": "Evaluations that were asked for and returned nothing.",
            "skipped": "Evaluations of what a backend does not have, or a subject refuses.",
            "refused": "Probes that a subject raised on.",
            "missing_expectations": "Expected findings that are absent.",
            "findings": "By severity, expected ones included.",
            "expected": "Those of them that a spec expects.",
            "known": "Those of them that the baseline holds, as severe as they are or more so.",
            **{
                f"{field}.{severity}": f"Of the severity {severity}."
                for field in ("findings", "expected", "known")
                for severity in ("info", "warning", "error")
            },
        },
        "baseline": baseline_schema.BASELINE,
        "change": {**_AT_CHANGE, **baseline_schema.CHANGE},
        "case": {
            "name": "Given by the spec, or the function's.",
            "source": "Where it stands.",
            "function": "What is true: the name of the function, and its parameters.",
            "function.name": "As a spec has it.",
            "shape": "Of the logits.",
            "axis": "The class axes, counted from 0.",
            "logits": "Where they come from.",
            "targets": "Where they come from; null where the function has none.",
            "upstream": "The cotangent that was fed to backward.",
            "upstream.kind": "`ones`, `per_output` (each output by itself: the Jacobian) or `values`.",
            "upstream.source": "The values, where they were given or drawn.",
            "device": "Where backends compute.",
            "derivatives": "The order that was audited.",
            "subjects": "Functions of one's own.",
            **{f"subjects[].{name}": text for name, text in _SUBJECT.items()},
            "probes": "Inputs that were tried beside the case's own.",
            "matrix": "What was combined with what.",
            "matrix.backends": "Those that were asked.",
            "matrix.backends_named": "Whether the spec names them, or they are the default ones.",
            "matrix.formulations": "The algorithms.",
            "matrix.executions": "How frameworks ran them.",
            "matrix.dtypes": "The formats.",
            "matrix.scale": "The factors of the logits.",
            "ignore": "Codes, or their beginnings, that are not reported.",
            "expect": "Findings that must occur.",
            "facts": "What the inputs do to the function, at each dtype and scale.",
            "evaluations": "One for each subject, formulation, dtype, scale, execution and probe.",
            "faults": "Causes that explain every element of a subject.",
            **_at("faults"),
            "faults[].fault": "The name of its rule.",
            "faults[].statement": "What was found, with the numbers.",
            "faults[].advice": "What to do.",
            "faults[].evidence": "The numbers by name.",
            "faults[].alternatives": "Other causes that explain the same.",
            "faults[].alternatives[].statement": "What the other one says.",
            "faults[].alternatives[].probe": "A probe that would tell them apart.",
            "breaches": "What a subject does that a function must not (CON5xx).",
            **_at("breaches"),
            "breaches[].fault": "The name of its rule.",
            "breaches[].statement": "What was found, with the numbers.",
            "breaches[].evidence": "The numbers by name.",
            "exposures": "Which kinds of fault the audit of a subject could have exposed.",
            "exposures[].subject": "The name of the subject.",
            "exposures[].dtype": "The format.",
            "exposures[].own": "Exposed by the case's own inputs.",
            "exposures[].probes": "Exposed by probes alone.",
            "exposures[].hidden": "Exposed by nothing.",
            "exposures[].named": "Planted and named, which `--prove` tries; null: not tried.",
            "self_consistency": "A subject's gradient beside differences of its own values (`function: self`).",
            **_at("self_consistency"),
            "self_consistency[].verdict": "What came of it; a kink is a point without a derivative.",
            "self_consistency[].statement": "The same, with the numbers.",
            "self_consistency[].computed_in": "The format of the values that were differenced.",
            "self_consistency[].directions": "How many were tried.",
            "self_consistency[].error": "The estimated error of the differences, relative to the largest of them.",
            "self_consistency[].mismatch": "The largest difference from the gradient, on the same scale.",
            "self_consistency[].apart": "How far the gradient in the case's dtype is from that in float64, relative "
            "to the largest element of that; null where there are not both.",
            "self_consistency[].elements": "How many elements the gradient has.",
            "second_order": "Further derivatives of a subject (`derivatives: 2`).",
            **_at("second_order"),
            "second_order[].derivative": "Which one: the Hessian times a direction, or the gradient of soft targets.",
            "second_order[].verdict": "What came of it; cut: 0, or without a graph, where it is not 0.",
            "second_order[].elements": "How many there are.",
            "second_order[].decided": "Those with a tolerance below their exact value.",
            "second_order[].beyond": "Those that are wrong.",
            "second_order[].formulation_needed": "The one that explains them; null where nothing was compared.",
            "second_order[].factor": "What was returned is the exact value times it, if one number is.",
            "second_order[].statement": "The same, with the numbers.",
            "second_order[].max_error_over_tolerance": "The largest of all elements.",
            "verdicts": "What is said of each subject, in a line.",
            "verdicts[].text": "The line.",
            "verdicts[].sound": "Whether all is right.",
            "findings": "What the rules say, worst first.",
            "missing_expectations": "Expected findings that nothing met.",
        },
        "array": {
            "kind": "Where it comes from.",
            "shape": "Its extents.",
            "values": "Nested lists; null above 4,096 elements.",
            "distribution": "What it was drawn from.",
            "seed": "Of the generator; null: that of the run.",
            "scale": "The draws were multiplied by it.",
            "generator": "Whose random numbers they are.",
            "ignored": "Rows with ignore_index as label.",
            "path": "The file.",
            "dtype": "As the file has it.",
            "key": "Which array of an .npz file.",
            "first": "Start, stop and count of the first logit.",
            "second": "Those of the second logit.",
        },
        "facts": {
            "dtype": "The format that they hold for.",
            "scale": "The factor of the logits that they hold for.",
            "sums_outputs": "Whether the upstream gradient asks for the sum of all outputs.",
            "rows": "How many there are.",
            "classes": "How many there are in a row.",
            "saturated_rows": "Rows whose largest probability rounds to 1: 1 - p <= u/2.",
            "vanished_rows": "Rows whose every Jacobian entry is below u.",
            "underflowed": "Probabilities of finite logits below the smallest normal number.",
            "zero": "Those of them that round to 0.",
            "cancelled_rows": "Rows whose per-output gradients cancel in their sum.",
            "special_rows": "Rows with a NaN or infinite logit, or masked as a whole.",
            "unit_roundoff": "u of the dtype.",
            "max_probability": "Of the most saturated row.",
            "complement": "1 - p of that row.",
            "largest_jacobian_entry": "Of the row where it is smallest.",
            "smallest_probability": "Of all.",
            "cancelled_sum": "The exact sum, of the row with the largest magnitude.",
            "cancelled_magnitude": "What the magnitudes of that row add up to.",
            "condition": "The largest relative condition number of the output.",
            "offset": "The largest common offset of a row, in units of the row's spread.",
        },
        "evaluation": {
            **_PLACE,
            "status": "What became of it; skipped is what a backend does not have, and what a subject refuses.",
            "profile": "The arithmetic that tolerances were derived from.",
            "seconds": "Of forward and backward.",
            "loss_dtype": "The format of what forward returned.",
            "upstream": "The cotangent that was fed to backward.",
            "formulation_needed": "The formulation that explains every element; null where none does.",
            "precision_needed": "The precision that does.",
            "explanation": "Which tolerances the elements were held to.",
            "explanation.formulation": "The first formulation that explains all, else the declared one.",
            "explanation.precision": "The same of the precision; `declared` is the profile's own.",
            "explanation.explains": "Whether it explains every element.",
            "explanation.weaker": "Whether the precision is below the declared one.",
            "explanation.looser": "Whether the formulation loses digits that the tightest one keeps.",
            "explanation.common_offset": "Whether among them are those of an offset that a row shares.",
            "explanation.rows_tried": "What was tried before.",
            "loss": "What forward returned, measured.",
            "gradient": "What backward returned, measured; null where it is a Jacobian.",
            "jacobian": "One backward for each output of a row, measured.",
            "values": "every element of the case's own inputs, up to 4,096; null for probes and above that",
            "values.loss": "What forward returned.",
            "values.gradient": "What backward returned.",
            "values.jacobian": "One backward for each output of a row.",
            "diagnoses": "Causes that explain the wrong elements of this evaluation.",
            "diagnoses[].fault": "The name of its rule.",
            "diagnoses[].evidence": "The numbers by name.",
            "diagnoses[].chosen": "Whether it rests on a choice among several values, of which one fits: told "
            "only where several evaluations of a loss of one's own show it.",
            "captured": "What the subject printed.",
            "special_probe": "Whether the probe is about special values, on which conventions differ.",
            "baseline": "What the baseline says of it, or of all probes together; null: nothing.",
            "failure": "Why there is nothing to measure.",
            "failure.kind": "What became of it.",
            "failure.message": "In one line.",
            "failure.detail": "For instance the traceback.",
        },
        "quantity": {
            "name": "`loss` or `output`, `gradient` or `jacobian`.",
            "dtype": "The format that it was returned in.",
            "shape": "Its extents.",
            "elements": "How many it has.",
            "beyond": "Those whose error is not within their tolerance.",
            "undecided": "Those whose tolerance is as large as their exact value, so that nothing is decided.",
            "vacuous": "Those where 0 would also have passed.",
            "non_finite": "NaN or infinity where a finite value is due.",
            "special_mismatch": "Special values that differ from the one that is due.",
            "cancelled": "0, or a relative error over 1/2, where the exact value is a normal number.",
            "escalated": "Those that Arb decided.",
            "spot_checked": "Those that Arb confirmed at random.",
            "max_error_over_tolerance": "Above 1 rounding does not explain it.",
            "max_ulp": "The largest error in units in the last place; for orientation.",
            "max_abs_error": "The largest absolute error.",
            "max_rel_error": "The largest relative error.",
            "undecided_share": "`undecided` of `elements`.",
            "vacuous_share": "`vacuous` of `elements`.",
            "worst": "worst first: up to 20 elements of the case's own inputs and of probes that a finding names, up "
            "to 3 of other probes",
            "worst_cancelled": "The one that lost most digits.",
            "histogram": "Elements by error / tolerance, within `histogram_edges`.",
            "special_classes": "Index and kind of what was returned where more than one answer is admissible.",
            "sum": "That of the worst row.",
            "sum_expected": "What it adds up to exactly.",
            "sum_tolerance": "What the tolerances of the row add up to.",
            "sums": "What the entries of a row add up to.",
            "sums.row": "The index of the worst row.",
            "sums.rows_beyond": "Rows whose sum is off by more than their tolerance.",
            "sums.got": "The sum of the worst row.",
            "sums.expected": "Its exact sum.",
            "sums.residual": "How far it is off.",
            "sums.tolerance": "What the tolerances of the row add up to.",
            "sums.total": "The sum of all elements.",
            "sums.total_magnitude": "The sum of their absolute values.",
        },
        "element": {
            "index": "Its place in the array.",
            "got": "What was returned.",
            "reference": "The exact value: the midpoint of its enclosure.",
            "tolerance": "What rounding may do to it.",
            "ratio": "Error over tolerance.",
        },
        "values": {
            "shape": "Of the array.",
            "got": "What was returned, in C order.",
            "reference": "The exact values.",
            "tolerance": "What rounding may do to each.",
        },
        "finding": {
            "code": "Of the rule; stable for ever.",
            "name": "Of the rule.",
            "severity": "How bad it is.",
            "message": "What was found, with the numbers that prove it.",
            **{name: text for name, text in _SELECTORS.items() if name not in ("probe", "execution")},
            "probe": "The probe that shows it; null: the case's own inputs, or all.",
            "location": "Where the subject is defined, else where the case stands.",
            "evidence": "The numbers by name.",
            "expected": "Whether the spec expects it.",
            "baseline": "What the baseline says of it; null: nothing, as of what is expected or was not audited.",
            "replay": "The folder, for `gradaudit replay`, in which an evaluation that shows it was saved.",
        },
        "expectation": {
            "code": "Of the rule.",
            **{name: text for name, text in _SELECTORS.items() if name not in ("probe", "execution")},
            "location": "Where the spec says so.",
        },
        "location": {
            "path": "The file, or `<command line>`.",
            "line": "From 1.",
            "column": "From 1.",
        },
        "rule": {
            "name": "In kebab-case.",
            "severity": "That of an ordinary finding.",
            "summary": "What it flags.",
            "advice": "What to do.",
        },
    }
)
"""Every field of every part of the schema."""


def described(schema: object, part: str) -> dict[str, object]:
    """A part of the schema with the meaning of each of its fields beside it."""
    return _described(schema, MEANINGS.get(part, {}), "")


def _described(schema: object, meanings: Mapping[str, str], prefix: str) -> dict[str, object]:
    changed: dict[str, object] = dict(schema)  # type: ignore[call-overload]
    if "properties" in changed:
        fields: dict[str, object] = changed["properties"]  # type: ignore[assignment]
        changed["properties"] = {
            name: {
                **_described(value, meanings, f"{prefix}{name}."),
                **({"description": meanings[prefix + name]} if prefix + name in meanings else {}),
            }
            for name, value in fields.items()
        }
    for several in ("anyOf", "oneOf"):
        if several in changed:
            choices: list[object] = changed[several]  # type: ignore[assignment]
            changed[several] = [_described(choice, meanings, prefix) for choice in choices]
    if changed.get("items"):
        changed["items"] = _described(changed["items"], meanings, f"{prefix.removesuffix('.')}[].")
    return changed
