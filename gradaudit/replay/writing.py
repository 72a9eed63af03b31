"""Failing evaluations -> folders: one JSON file and an `.npy` file for each array, nothing pickled."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gradaudit.errors import AuditError
from gradaudit.records.case import Case, FileArray, Upstream
from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.finding import Finding
from gradaudit.records.inputs import Inputs
from gradaudit.records.report import CaseReport, Environment
from gradaudit.records.subject import Subject
from gradaudit.replay import encoding
from gradaudit.replay.again import source_of
from gradaudit.replay.failing import Failing, failing
from gradaudit.replay.saved import DOCUMENT, ROLES, Run, Saved, numbers, versions_of
from gradaudit.specs.plan import Plan, PlannedInputs

LONGEST_NAME = 60


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A case's report, and the plan of what it asked for."""

    report: CaseReport
    plan: Plan


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """How the audit ran and where; `make` makes the arrays of a planned set of inputs once more, the same bits."""

    environment: Environment
    run: Run
    make: Callable[[PlannedInputs], Inputs]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`written` are the folders of the evaluations that were saved, in the report's order, and `findings` what was
    found in each. `skipped` more would have passed the limit."""

    written: tuple[Path, ...]
    bytes: int
    skipped: int
    findings: tuple[tuple[Finding, ...], ...] = ()


def save(asked: Sequence[Asked], source: Source, folder: Path, limit: int) -> Outcome:
    """Save every failing evaluation in a folder of its own below `folder`, up to `limit` bytes in all.

    Raises AuditError where the folder cannot be written.
    """
    written: list[Path] = []
    findings: list[tuple[Finding, ...]] = []
    total = skipped = 0
    for saved in _saved(asked, source, folder):
        if saved.subject is not None and saved.subject.live is not None:
            continue  # no file can hold a callable
        described, needed = _described(arrays_of(saved.inputs))
        text = encoding.text(encoding.document(saved, described))
        if total + needed + len(text) > limit:
            skipped += 1
            continue
        _write(saved, text)
        total += needed + len(text)
        written.append(saved.folder)
        findings.append(saved.findings)
    return Outcome(tuple(written), total, skipped, tuple(findings))


def arrays_of(inputs: Inputs) -> dict[str, np.ndarray]:
    """The arrays of a set of inputs by their roles; bfloat16 as it is."""
    upstream = None if inputs.per_output else inputs.upstream
    found = dict(zip(ROLES, (inputs.logits, inputs.targets, upstream, inputs.weight), strict=True))
    return {role: array for role, array in found.items() if array is not None}


def name_of(case: Case, key: EvaluationKey) -> str:
    """The name of an evaluation's folder: safe on every file system, and the same from run to run."""
    words = (case.name, key.subject, key.formulation, key.dtype, f"x{key.scale:g}", key.probe or "")
    readable = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")[:LONGEST_NAME].strip("-")
    identity = json.dumps([case.source.path, case.name, *encoding.plain_fields(key).values()], sort_keys=True)
    digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{readable}-{digest}" if readable else digest


def _saved(asked: Sequence[Asked], source: Source, folder: Path) -> Iterator[Saved]:
    for each in asked:
        for found in failing(each.report):
            planned = next((inputs for inputs in each.plan.inputs if found.key in inputs.keys), None)
            if planned is not None:
                yield _with_inputs(found, planned, source, folder)


def _with_inputs(found: Failing, planned: PlannedInputs, source: Source, folder: Path) -> Saved:
    subject, inputs = planned.subject(found.key), source.make(planned)
    worker = planned.case.worker(found.key.backend) if subject is None else subject.worker
    return Saved(
        key=found.key,
        case=_alone(planned.case, found.key, inputs, () if subject is None else (subject,)),
        inputs=inputs,
        findings=found.findings,
        failure=found.failure,
        numbers=() if found.measurement is None else numbers(found.measurement),
        versions=versions_of(source.environment, worker),
        run=source.run,
        working_directory=str(Path.cwd()),
        folder=folder / name_of(planned.case, found.key),
        source="" if subject is None else source_of(subject),
    )


def _alone(case: Case, key: EvaluationKey, inputs: Inputs, subjects: tuple[Subject, ...]) -> Case:
    """The case that asks for one evaluation and nothing else."""

    def source(role: str, array: np.ndarray | None) -> FileArray | None:
        return None if array is None else FileArray(f"{role}.npy", array.shape, array.dtype.name)

    logits = source("logits", inputs.logits)
    assert logits is not None
    return replace(
        case,
        logits=logits,
        targets=source("targets", inputs.targets),
        upstream=Upstream(case.upstream.kind),
        scale=(key.scale,),
        dtypes=(key.dtype,),
        backends=() if subjects else (key.backend,),
        backends_named=not subjects,
        formulations=(key.formulation,),
        executions=(key.execution,),
        expect=(),
        subjects=subjects,
        probes=() if key.probe is None else (key.probe,),
    )


class _Sink:
    """A file that forgets what is written to it, but for its length and its checksum."""

    def __init__(self) -> None:
        self.length = 0
        self.digest = hashlib.sha256()

    def write(self, chunk: bytes) -> int:
        self.digest.update(chunk)
        self.length += len(chunk)
        return len(chunk)


def _described(arrays: Mapping[str, np.ndarray]) -> tuple[dict[str, object], int]:
    """What the document says of the arrays, and the bytes that their files will have."""
    described: dict[str, object] = {}
    needed = 0
    for role, array in arrays.items():
        sink = _Sink()
        np.save(sink, _stored(array), allow_pickle=False)
        needed += sink.length
        described[role] = {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "sha256": sink.digest.hexdigest(),
        }
    return described, needed


def _stored(array: np.ndarray) -> np.ndarray:
    stored = array.view(np.uint16) if array.dtype.name == "bfloat16" else array
    return np.asarray(stored, stored.dtype.newbyteorder("="), order="C")


def _write(saved: Saved, text: str) -> None:
    """Write one evaluation, its JSON file last, over what has the same name."""
    arrays = arrays_of(saved.inputs)
    try:
        saved.folder.mkdir(parents=True, exist_ok=True)
        document = saved.folder / DOCUMENT
        document.unlink(missing_ok=True)  # it never describes other arrays than those beside it
        for role in ROLES:
            (saved.folder / f"{role}.npy").unlink(missing_ok=True)
            if role in arrays:
                with (saved.folder / f"{role}.npy").open("wb") as file:
                    np.save(file, _stored(arrays[role]), allow_pickle=False)
        document.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise AuditError(
            f"the failing evaluation cannot be saved in {str(saved.folder)!r}: {error.strerror or error}"
        ) from error


def commands(folders: Sequence[Path]) -> list[str]:
    """What replays each of the folders, as it is typed."""
    import shlex

    return [f"gradaudit replay {shlex.quote(str(folder))}" for folder in folders]
