"""Folders -> saved evaluations; what does not fit is named, and nothing in a folder is executed or unpickled here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from types import MappingProxyType

import numpy as np

from gradaudit.errors import ReplayError, ReportError
from gradaudit.records.case import Case, FileArray, Upstream
from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.expression import Expression
from gradaudit.records.finding import Finding
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.replay import encoding
from gradaudit.replay.saved import DOCUMENT, ROLES, SCHEMA_VERSION, Numbers, Run, Saved
from gradaudit.reports.decoding import decoded, mapping, record

MOST_BYTES = 64 << 20
"""No document of ours is nearly as long."""

STORED = {"float16": "float16", "bfloat16": "uint16", "float32": "float32", "float64": "float64", "int64": "int64"}
"""What each dtype is in its file."""


def folders(path: Path) -> list[Path]:
    """The folders that hold a saved evaluation: `path` itself, or all of those in it; ReplayError where none is."""
    if path.name == DOCUMENT and path.is_file():
        return [path.parent]
    if (path / DOCUMENT).is_file() or not path.is_dir():
        return [path]
    found = sorted(each.parent for each in path.glob(f"*/{DOCUMENT}"))
    if not found:
        raise ReplayError(_nothing_in(path))
    return found


def read(folder: Path) -> Saved:
    """The evaluation that was saved in `folder` (or whose JSON file `folder` is); ReplayError where there is none."""
    folder = folder.parent if folder.name == DOCUMENT and folder.is_file() else folder
    try:
        return _saved(folder, _document(folder))
    except ReportError as error:
        raise ReplayError(f"{folder / DOCUMENT}: {error}") from None


def _document(folder: Path) -> Mapping[str, object]:
    path = folder / DOCUMENT
    if not path.is_file():
        raise ReplayError(_nothing_in(folder))
    if path.stat().st_size > MOST_BYTES:
        raise ReplayError(f"{path} has {path.stat().st_size:,} bytes; no saved evaluation has as many")

    def refuse(constant: str) -> float:
        raise ReportError(f"it is not valid JSON: {constant} is no number of JSON")

    try:
        document = json.loads(path.read_bytes(), parse_constant=refuse)
    except RecursionError:
        raise ReportError("it is nested too deeply to be a saved evaluation") from None
    except ReportError:
        raise
    except ValueError as error:  # also where it is no UTF-8
        raise ReportError(f"it is not JSON: {error}") from None
    except OSError as error:
        raise ReplayError(f"{path} cannot be read: {error.strerror or error}") from None
    tool = document.get("tool") if isinstance(document, Mapping) else None
    if not isinstance(tool, Mapping) or tool.get("name") != encoding.TOOL:
        raise ReportError("it is no saved evaluation, which `gradaudit check --save-failures FOLDER` writes")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise ReportError(
            f"it has schema version {document.get('schema_version')!r}, written by gradaudit {tool.get('version')}; "
            f"this gradaudit reads version {SCHEMA_VERSION}"
        )
    return mapping(document, "the document")


def _nothing_in(folder: Path) -> str:
    if not folder.exists():
        return f"there is no folder {str(folder)!r}; `gradaudit check --save-failures FOLDER` saves what fails"
    return f"{str(folder)!r} holds no {DOCUMENT}: it is no folder of a saved evaluation"


def _saved(folder: Path, document: Mapping[str, object]) -> Saved:
    given = mapping(document.get("inputs"), "inputs")
    key = record(EvaluationKey, document.get("key"), "key")
    case = _case(document.get("case"), given)
    failure = document.get("failure")
    saved = Saved(
        key=key,
        case=case,
        inputs=_inputs(folder, given, key),
        findings=decoded(tuple[Finding, ...], document.get("findings"), "findings"),
        failure=None if failure is None else record(EvaluationFailure, failure, "failure", key=key),
        numbers=decoded(tuple[Numbers, ...], document.get("numbers"), "numbers"),
        versions=decoded(tuple[tuple[str, str], ...], document.get("versions"), "versions"),
        run=record(Run, document.get("run"), "run"),
        working_directory=decoded(str, document.get("working_directory"), "working_directory"),
        folder=folder,
        source=decoded(str, document.get("source", ""), "source"),
    )
    # What was typed by hand may ask for what no audit would: labels out of range, an axis that is not there.
    content = {name: value for name, value in document.items() if name != "sha256"}
    if document.get("sha256") != encoding.seal(content):
        raise ReportError(
            "it was changed after it was saved (its checksum differs), so it is no evidence of what was audited; "
            "save the failing evaluation again"
        )
    return saved


def _case(given: object, inputs: Mapping[str, object]) -> Case:
    fields = mapping(given, "case")
    logits = _source("logits", inputs)
    if logits is None:
        raise ReportError("inputs.arrays.logits is missing")
    case: Case = record(
        Case,
        fields,
        "case",
        function=_function(fields.get("function"), "case.function"),
        logits=logits,
        targets=_source("targets", inputs),
        upstream=Upstream(decoded(str, fields.get("upstream"), "case.upstream")),
    )
    if len(case.subjects) + len(case.backends) != 1:
        raise ReportError(f"case: expected one subject or one backend, not {len(case.subjects) + len(case.backends)}")
    return case


def _function(given: object, where: str) -> FunctionCall:
    fields = mapping(given, where)
    parameters = mapping(fields.get("parameters"), f"{where}.parameters")
    expression = fields.get("expression")
    return FunctionCall(
        decoded(str, fields.get("name"), f"{where}.name"),
        MappingProxyType({name: _tuples(value) for name, value in parameters.items()}),
        None if expression is None else record(Expression, expression, f"{where}.expression"),
    )


def _tuples(value: object) -> object:
    """Lists as the tuples that parameters hold, and the numbers that JSON does not have."""
    if isinstance(value, list):
        return tuple(_tuples(entry) for entry in value)
    return decoded(float, value, "") if value in ("NaN", "Infinity", "-Infinity") else value


def _source(role: str, inputs: Mapping[str, object]) -> FileArray | None:
    described = mapping(inputs.get("arrays"), "inputs.arrays").get(role)
    if described is None:
        return None
    return record(FileArray, described, f"inputs.arrays.{role}", path=f"{role}.npy", key=None)


def _inputs(folder: Path, given: Mapping[str, object], key: EvaluationKey) -> Inputs:
    described = mapping(given.get("arrays"), "inputs.arrays")
    unknown = sorted(set(described) - set(ROLES))
    if unknown:
        raise ReportError(f"inputs.arrays.{unknown[0]}: there is no such array; there are {', '.join(ROLES)}")
    arrays = {role: _array(folder, role, described[role]) for role in ROLES if role in described}
    if "logits" not in arrays:
        raise ReportError("inputs.arrays.logits is missing")
    return Inputs(
        function=_function(given.get("function"), "inputs.function"),
        dtype=key.dtype,
        scale=key.scale,
        axis=decoded(tuple[int, ...], given.get("axis"), "inputs.axis"),
        logits=arrays["logits"],
        targets=arrays.get("targets"),
        upstream=arrays.get("upstream"),
        per_output=decoded(bool, given.get("per_output"), "inputs.per_output"),
        weight=arrays.get("weight"),
        probe=key.probe,
        reading=decoded(str, given.get("reading"), "inputs.reading"),
        layout=decoded(str, given.get("layout"), "inputs.layout"),
        upstream_layout=decoded(str, given.get("upstream_layout"), "inputs.upstream_layout"),
        special=decoded(bool, given.get("special"), "inputs.special"),
        expects_error=decoded(bool, given.get("expects_error"), "inputs.expects_error"),
        device=decoded(str, given.get("device"), "inputs.device"),
    )


def _array(folder: Path, role: str, described: object) -> np.ndarray:
    """The array of `role`; ReplayError where the file is not what the document says of it."""
    where = f"inputs.arrays.{role}"
    fields = mapping(described, where)
    dtype = decoded(str, fields.get("dtype"), f"{where}.dtype")
    shape = decoded(tuple[int, ...], fields.get("shape"), f"{where}.shape")
    if dtype not in STORED:
        raise ReportError(f"{where}.dtype: expected {', '.join(STORED)}, not {dtype!r}")
    path = folder / f"{role}.npy"
    if not path.is_file():
        raise ReplayError(f"{path} is missing; a saved evaluation is its whole folder")
    try:
        # Mapped, a file whose header promises more than it holds is refused before anything is allocated.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, OverflowError, TokenError) as error:
        raise ReplayError(f"{path} holds no array that is read here: {error}; pickled objects never are") from None
    if not isinstance(mapped, np.ndarray):
        mapped.close()
        raise ReplayError(f"{path}: an .npy file was expected, an archive came")
    if mapped.dtype.name != STORED[dtype] or mapped.shape != shape:
        raise ReplayError(
            f"{path} holds {mapped.dtype} {list(mapped.shape)}; {DOCUMENT} says {STORED[dtype]} {list(shape)}"
        )
    if encoding.digest_of(path) != fields.get("sha256"):
        raise ReplayError(f"{path} was changed after it was saved (its checksum differs); save the evaluation again")
    array = np.array(mapped)
    if dtype == "bfloat16":
        import ml_dtypes

        return array.view(ml_dtypes.bfloat16)
    return array
