"""Saved evaluations as JSON, sorted and sealed by a checksum: the same evaluation is the same bytes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

from gradaudit import __version__
from gradaudit.records.case import Case
from gradaudit.records.function_call import FunctionCall
from gradaudit.replay.saved import SCHEMA_VERSION, Saved

TOOL = "gradaudit replay"
CHUNK = 1 << 20

Document = dict[str, object]


def document(saved: Saved, arrays: Mapping[str, object]) -> Document:
    """The document of an evaluation; `arrays` describe the files beside it by their roles.

    Non-finite floats are the strings "NaN", "Infinity" and "-Infinity".
    """
    inputs = saved.inputs
    content: Document = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": TOOL, "version": __version__},
        "key": plain_fields(saved.key),
        "case": _case(saved.case),
        "inputs": {
            "function": _function(inputs.function),
            "axis": list(inputs.axis),
            "per_output": inputs.per_output,
            "reading": inputs.reading,
            "layout": inputs.layout,
            "upstream_layout": inputs.upstream_layout,
            "special": inputs.special,
            "expects_error": inputs.expects_error,
            "device": inputs.device,
            "arrays": dict(arrays),
        },
        "findings": [plain_fields(finding) for finding in saved.findings],
        "failure": None if saved.failure is None else plain_fields(saved.failure, "key"),
        "numbers": [plain_fields(each) for each in saved.numbers],
        "versions": dict(saved.versions),
        "run": plain_fields(saved.run),
        "working_directory": saved.working_directory,
        "source": saved.source,
    }
    return {**content, "sha256": seal(content)}


def text(content: Mapping[str, object]) -> str:
    """The document as it is written: keys sorted, ASCII."""
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"


def seal(content: Mapping[str, object]) -> str:
    """The checksum of a document without its own: of what it says, however it is spaced."""
    canonical = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def plain_fields(record: object, *leave_out: str) -> Document:
    """The fields of a record by name, as JSON has them."""
    names = (field.name for field in dataclasses.fields(record))  # type: ignore[arg-type]
    return {name: plain(getattr(record, name)) for name in names if name not in leave_out}


def plain(value: object) -> object:
    """A value as JSON has it: records and mappings as objects, tuples as lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [plain(entry) for entry in value]
    if dataclasses.is_dataclass(value):
        return plain_fields(value)
    return value


def _case(case: Case) -> Document:
    subjects = [plain_fields(subject, "live") for subject in case.subjects]
    return {
        **plain_fields(case, "function", "logits", "targets", "upstream", "subjects", "expect"),
        "function": _function(case.function),
        "upstream": case.upstream.kind,
        "subjects": subjects,
    }


def _function(call: FunctionCall) -> Document:
    return {
        "name": call.name,
        "parameters": plain(call.parameters),
        "expression": None if call.expression is None else plain_fields(call.expression),
    }
