"""What the JSON report says of a baseline: the parts of its schema, and what their fields mean."""

from __future__ import annotations

from gradaudit.records.baseline import EVALUATION, FINDING, KINDS, SAME
from gradaudit.reports.schema_words import BOOLEAN, COUNT, NUMBER, STRING, Schema, a_list, an_object, or_null, part

_CHANGES = {
    "unaudited": "What could not be audited.",
    "new": "Findings that the baseline does not hold.",
    "worse": "Findings that are more severe, and evaluations whose errors are larger.",
    "missing": "Evaluations that the baseline holds and the audit does not.",
    "added": "Evaluations that the audit holds and the baseline does not.",
    "better": "Findings that are less severe, and evaluations whose errors are smaller.",
    "resolved": "Findings that the baseline holds and the audit does not.",
    "same": "Evaluations that stand as they did.",
}

BASELINE = {
    "path": "The file.",
    "changes": "What is not as the baseline has it, the gravest first.",
    "elsewhere": "Of a shard: what changes if no other shard holds its case.",
    "counts": "Changes by kind, and evaluations that stand as they did.",
    **{f"counts.{kind}": text for kind, text in _CHANGES.items()},
    "same": "How many evaluations stand as they did.",
    "versions": "What computes in another version than then.",
    "versions[].name": "The name of a framework or package.",
    "versions[].before": "The version then; empty where there was none.",
    "versions[].now": "The version now; empty where there is none.",
    "exit_status_alone": "What it would be without a baseline.",
}

CHANGE = {
    "kind": "What became of it.",
    "what": "What it is about.",
    "about": "The same in words.",
    "text": "What changed, with the numbers.",
    "fails": "Whether it has a part in an exit status other than 0.",
    "location": "Where it stands now, if it does.",
    "case": "The name of the case; with (2), ... where another one before it has that name.",
    "code": "Of the rule of a finding; EXPECTED for an expected finding that is absent.",
    "scale": "The factor of the logits; null: all.",
    "inputs": "Of an evaluation: the case's own, or all probes together.",
}


def baseline() -> Schema:
    """How the report stands against a baseline."""
    changes = a_list(part("change"))
    return an_object(
        {
            "path": STRING,
            "changes": changes,
            "elsewhere": changes,
            "counts": an_object(dict.fromkeys((*KINDS, SAME), COUNT)),
            "same": COUNT,
            "versions": a_list(an_object(dict.fromkeys(("name", "before", "now"), STRING))),
            "exit_status_alone": {"enum": [0, 1, 3, 130]},
        }
    )


def change() -> Schema:
    """One thing that is not as the baseline has it."""
    texts = ("about", "text", "case", "code", "subject", "backend", "formulation", "dtype", "execution", "inputs")
    return an_object(
        {
            "kind": {"enum": [*KINDS]},
            "what": {"enum": [FINDING, EVALUATION]},
            **dict.fromkeys(texts, STRING),
            "scale": or_null(NUMBER),
            "fails": BOOLEAN,
            "location": or_null(part("location")),
        }
    )
