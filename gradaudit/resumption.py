"""Finished cases, kept in a folder as JSON lines: an audit that was interrupted goes on from there.

A case is known again by a hash over everything that its report depends on: what its spec says, the contents of the
files that the spec names, every source file in the folders where its functions are looked for, the settings of the
run, the sources of gradaudit, the versions of its plugins and of the frameworks, and what else is installed here
(`gradaudit.surroundings`). What cannot be told (a function that is handed over live, or one that is installed and not
found in those folders) makes a case that is never taken from the folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from gradaudit import surroundings
from gradaudit.errors import AuditError, ReportError, RequestError
from gradaudit.records.case import Case
from gradaudit.records.report import CaseReport
from gradaudit.records.subject import Subject
from gradaudit.specs.contents import contents_of
from gradaudit.surroundings import SOURCES, UNTOLD, below

MOST_PAST = 1 << 26
"""Bytes of cases that are others by now, which a file may hold before the oldest of them are dropped."""

HASH = re.compile(rb'"hash": "([0-9a-f]{64})"\}$')
"""How the line of a case ends."""


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
        lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    except OSError as error:
        raise RequestError(
            f"--resume {str(folder)!r}: {error.strerror or error}; name a folder to write to"
        ) from error
    folders: dict[str, object] = {}
    around = surroundings.of_audits()
    hashes = tuple(_hash(case, [around, other], folders) for case, other in zip(cases, about, strict=True))
    kept = _kept(lines, set(hashes))
    finished = {}
    for index, case in enumerate(cases):
        report = kept.get(hashes[index]) if hashes[index] else None
        if report is not None:
            finished[index] = dataclasses.replace(report, case=case)
    name = "cases.jsonl" if shard is None else f"cases-{shard[0]}-of-{shard[1]}.jsonl"
    _drop_the_oldest(folder / name, set(hashes))
    return Journal(folder / name, hashes, finished)


def _complete(report: CaseReport) -> bool:
    """Whether everything in a case could be audited; what a probe could not show, or a backend does not offer, is no
    failure."""
    return all(failure.kind in ("unsupported", "refused") for failure in report.failures)


def _drop_the_oldest(path: Path, wanted: Set[str]) -> None:
    """Keep a file that is carried from run to run from growing for ever; RequestError where it cannot be written."""
    try:
        if not path.is_file() or path.stat().st_size <= MOST_PAST:
            return
        kept, past = [], 0
        for line in reversed(path.read_bytes().splitlines()):
            named = HASH.search(line)
            if named is not None and named[1].decode() not in wanted:
                past += len(line) + 1
            if named is not None and (named[1].decode() in wanted or past <= MOST_PAST // 2):
                kept.append(line)
        beside = path.with_name(f"{path.name}.new")
        beside.write_bytes(b"".join(line + b"\n" for line in reversed(kept)))
        beside.replace(path)
    except OSError as error:
        raise RequestError(f"--resume {str(path.parent)!r}: {error.strerror or error}") from error


def _kept(lines: Sequence[bytes], wanted: Set[str]) -> dict[str, CaseReport]:
    """The reports of the `wanted` hashes; a folder may hold many others, which are not read."""
    from gradaudit.reports.read_document import case_of

    found = {}
    for line in lines:
        named = HASH.search(line)
        if named is None or named[1].decode() not in wanted:
            continue
        try:
            entry = json.loads(line)
            found[str(entry["hash"])] = case_of(entry["case"])
        except (ValueError, KeyError, TypeError, RecursionError, ReportError):
            continue
    return found


def _hash(case: Case, about: object, folders: dict[str, object]) -> str:
    sources = [_source(subject, folders) for subject in case.subjects]
    if case.subjects:
        # What a user's function imports may be any of the installed packages.
        sources.append(surroundings.of_functions(folders))
    if any(source is UNTOLD for source in sources):
        return ""
    told = {"about": contents_of(about), "case": contents_of(case), "sources": sources}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


def _source(subject: Subject, folders: dict[str, object]) -> object:
    """What a user's function is made of: its file, and every Python file that it may import beside the installed."""
    if subject.live is not None:
        return UNTOLD
    places = [Path(subject.base_directory), Path()]
    if subject.backend == "onnxruntime" and subject.target.endswith(".onnx"):
        found = [place / subject.target for place in places if (place / subject.target).is_file()]
        # Weights in files beside it belong to it.
        return below(found[0].parent, (), folders) if found else UNTOLD
    module, _, _ = subject.target.rpartition(":")
    names = (module,) if module.endswith(".py") else (f"{module.split('.')[0]}.py", module.split(".")[0])
    if not any((place / name).exists() for place in places for name in names):
        return UNTOLD
    parents = [
        _outermost((place / module).resolve().parent)
        for place in places
        if module.endswith(".py") and (place / module).is_file()
    ]
    read = [below(place, SOURCES, folders) for place in (*places, *parents)]
    return UNTOLD if any(each is UNTOLD for each in read) else read


def _outermost(folder: Path) -> Path:
    """The folder of the package that `folder` is a part of, from which a file in it may import; `folder` where it is
    none."""
    outer = folder
    while (outer / "__init__.py").is_file() and (outer.parent / "__init__.py").is_file():
        outer = outer.parent
    return outer
