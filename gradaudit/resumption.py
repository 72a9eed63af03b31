"""Finished cases, kept in a folder as JSON lines: an audit that was interrupted goes on from there.

A case is known again by a hash over everything that its report depends on: what its spec says, the contents of the
files that the spec names, every Python file in the folders where its functions are looked for, the settings of the
run, the versions of gradaudit, of its plugins and of the frameworks. What cannot be told (a function that is handed
over live, or one that is installed and not found in those folders) makes a case that is never taken from the folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from gradaudit import __version__
from gradaudit.errors import AuditError, ReportError, RequestError
from gradaudit.records.case import Case, FileArray
from gradaudit.records.report import CaseReport
from gradaudit.records.subject import Subject

MANY_FILES = 20_000
"""Folders with more Python files than this are not read: cases with functions in them are always run."""

UNTOLD = object()
"""Stands for what no hash can cover."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The cases of an audit that are finished already, by their positions, and where the others are to be kept.

    `hashes` has one entry for each case, "" where it cannot be known again; `path` is None where nothing is kept.
    """

    path: Path | None = None
    hashes: tuple[str, ...] = ()
    finished: Mapping[int, CaseReport] = field(default_factory=dict)

    def keep(self, index: int, report: CaseReport) -> None:
        """Append a finished case, unless something in it could not be audited: that is tried again.

        AuditError where it cannot be written.
        """
        if self.path is None or not self.hashes[index] or not _complete(report):
            return
        from gradaudit.reports.json_document import case_document

        line = json.dumps(
            {"hash": self.hashes[index], "case": case_document(report)}, sort_keys=True, allow_nan=False
        )
        try:
            with self.path.open("ab+") as stream:
                # An interruption may have cut the last line short; what follows must not be part of it.
                end = stream.seek(0, os.SEEK_END)
                stream.seek(max(end - 1, 0))
                cut = b"" if stream.read(1) in (b"", b"\n") else b"\n"
                stream.write(cut + line.encode("ascii") + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise AuditError(f"{self.path}: a finished case cannot be kept: {error.strerror or error}") from error


def journal(
    folder: Path, cases: Sequence[Case], about: Sequence[object], shard: tuple[int, int] | None = None
) -> Journal:
    """What `folder`, made if need be, holds of these cases; `about` is what else the report of each depends on.

    Every `.jsonl` file in it is read, and each shard writes its own, so that shards may share a folder. Lines that
    are damaged or belong to other cases are passed over. RequestError where it cannot be used.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        kept = _kept(folder)
    except OSError as error:
        raise RequestError(
            f"--resume {str(folder)!r}: {error.strerror or error}; name a folder to write to"
        ) from error
    folders: dict[str, object] = {}
    hashes = tuple(_hash(case, other, folders) for case, other in zip(cases, about, strict=True))
    finished = {}
    for index, case in enumerate(cases):
        report = kept.get(hashes[index]) if hashes[index] else None
        if report is not None:
            finished[index] = dataclasses.replace(report, case=case)
    name = "cases.jsonl" if shard is None else f"cases-{shard[0]}-of-{shard[1]}.jsonl"
    return Journal(folder / name, hashes, finished)


def _complete(report: CaseReport) -> bool:
    """Whether everything in a case could be audited; what a probe could not show, or a backend does not offer, is no
    failure."""
    return all(failure.kind in ("unsupported", "refused") for failure in report.failures)


def _kept(folder: Path) -> dict[str, CaseReport]:
    from gradaudit.reports.read_document import case_of

    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                entry = json.loads(line)
                found[str(entry["hash"])] = case_of(entry["case"])
            except (ValueError, KeyError, TypeError, RecursionError, ReportError):
                continue
    return found


def _hash(case: Case, about: object, folders: dict[str, object]) -> str:
    sources = [_source(subject, folders) for subject in case.subjects]
    if any(source is UNTOLD for source in sources):
        return ""
    told = {
        "gradaudit": __version__,
        "numpy": np.__version__,
        "plugins": _plugins(),
        "about": _plain(about),
        "case": _plain(case),
        "sources": sources,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: object) -> Any:
    """A value of a record as JSON has it, exactly; arrays and files by their contents."""
    if isinstance(value, FileArray):
        return [_file(Path(value.path)), value.path, value.key, value.dtype, list(value.shape)]
    if isinstance(value, np.ndarray):
        return [value.dtype.str, list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
        return [type(value).__name__, fields]
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(value[key])] for key in sorted(value, key=repr)]
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return [type(value).__name__, repr(value)]


def _plugins() -> list[list[str]]:
    """The distributions that hold backends, functions, rules and reports."""
    groups = ("gradaudit.backends", "gradaudit.functions", "gradaudit.rules")
    found = {entry.dist for group in groups for entry in metadata.entry_points(group=group) if entry.dist}
    return sorted([dist.name, dist.version] for dist in found)


def _source(subject: Subject, folders: dict[str, object]) -> object:
    """What a user's function is made of: its file, and every Python file that it may import beside the installed."""
    if subject.live is not None:
        return UNTOLD
    places = [Path(subject.base_directory), Path()]
    if subject.backend == "onnxruntime" and subject.target.endswith(".onnx"):
        found = [place / subject.target for place in places if (place / subject.target).is_file()]
        # Weights in files beside it belong to it.
        return _below(found[0].parent, (), folders) if found else UNTOLD
    module, _, _ = subject.target.rpartition(":")
    names = (module,) if module.endswith(".py") else (f"{module.split('.')[0]}.py", module.split(".")[0])
    if not any((place / name).exists() for place in places for name in names):
        return UNTOLD
    parents = [(place / module).parent for place in places if module.endswith(".py") and (place / module).is_file()]
    read = [_below(place, (".py",), folders) for place in (*places, *parents)]
    return UNTOLD if any(each is UNTOLD for each in read) else read


def _below(folder: Path, suffixes: tuple[str, ...], folders: dict[str, object]) -> object:
    """The files in a folder (with `suffixes`, of those names and in all folders below it too), by their contents."""
    identity = f"{folder.resolve()}{suffixes}"
    if identity not in folders:
        found: list[list[str]] = []
        for path in _files(folder, suffixes):
            if len(found) == MANY_FILES:
                folders[identity] = UNTOLD
                return UNTOLD
            found.append([path.relative_to(folder).as_posix(), _file(path)])
        folders[identity] = sorted(found)
    return folders[identity]


def _files(folder: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for parent, below, files in os.walk(folder):
        below[:] = [name for name in below if suffixes and not name.startswith(".") and name != "node_modules"]
        if "pyvenv.cfg" in files:
            below.clear()
            continue
        yield from (Path(parent, name) for name in files if not suffixes or name.endswith(suffixes))


def _file(path: Path) -> str:
    """SHA-256 of a file; what cannot be read is told from what can, and the audit says what is wrong with it."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"
