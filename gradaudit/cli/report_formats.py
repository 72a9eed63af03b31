"""The report formats that are installed, and the files that `--report` writes."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, cast

from gradaudit import plugins
from gradaudit.errors import AuditError, FlagError, PluginError, ReportError

if TYPE_CHECKING:
    from gradaudit.records.report import Report

GROUP = "gradaudit.reports"
JSON = "json"

Renderer = Callable[["Report"], str]


def names() -> tuple[str, ...]:
    """The names of all formats, sorted."""
    return plugins.names(GROUP)


def known(name: str, flag: str) -> str:
    """`name`, if it is a format; FlagError with the nearest ones otherwise."""
    if name not in names():
        close = difflib.get_close_matches(name.lower(), names(), n=1)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise FlagError(f"{flag} {name!r}: no such format{hint} There are {', '.join(names())}")
    return name


def renderer(name: str) -> Renderer:
    """The function that makes text of a report."""
    found = plugins.get(GROUP, name)
    if not callable(found):
        raise PluginError(f"{GROUP}: {name!r} is a {type(found).__name__}; expected a function of a Report")
    return cast(Renderer, found)


@lru_cache(maxsize=1)
def as_saved(report: Report) -> Report:
    """`report` as it comes back from its own JSON, of which every format but JSON itself is a function.

    AuditError where it does not come back.
    """
    from gradaudit.reports.json_document import document
    from gradaudit.reports.read_document import report_of

    try:
        return replace(report_of(document(report)), max_findings=report.max_findings)
    except ReportError as error:
        raise AuditError(
            f"the report does not come back from its own JSON: {error}; this is a fault of gradaudit, and its JSON "
            "report (--report json=PATH) is complete"
        ) from error


def of_audit(name: str, report: Report) -> str:
    """The text of one format of a report that was not saved yet; AuditError where it cannot be made."""
    return rendered(name, report if name == JSON else as_saved(report))


def rendered(name: str, saved: Report) -> str:
    """The text of one format; AuditError by its name where it fails, so that the others can still be made."""
    make = renderer(name)
    try:
        return make(saved)
    except Exception as error:
        raise AuditError(
            f"the report format {name!r} failed with {type(error).__name__}: {error}; this is a fault of the format "
            "and no verdict on what was audited"
        ) from error


def requested(arguments: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """(format, path) of every `--report FORMAT=PATH`; FlagError where one cannot be written."""
    wanted: list[tuple[str, Path]] = []
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not text:
            raise FlagError(f"--report {argument!r}: expected FORMAT=PATH, for example json=report.json")
        path = Path(text)
        known(name, "--report")
        if text == "-":
            raise FlagError(
                f"--report {argument!r}: standard output is what --output-format {name} writes to (./- is a file)"
            )
        if path.is_dir():
            raise FlagError(f"--report {argument!r}: {text!r} is a folder; name a file in it")
        if not path.parent.is_dir():
            raise FlagError(f"--report {argument!r}: there is no folder {str(path.parent)!r}; make it first")
        if path.exists() and not os.access(path, os.W_OK):
            raise FlagError(f"--report {argument!r}: {text!r} is write-protected")
        # A device or a pipe is written to; a file is made beside and then takes the place.
        if (path.is_file() or not path.exists()) and not os.access(path.parent, os.W_OK):
            raise FlagError(f"--report {argument!r}: the folder {str(path.parent)!r} cannot be written to")
        if any(path.resolve() == other.resolve() for _, other in wanted):
            raise FlagError(f"--report {argument!r}: two reports go to the same file; give each its own")
        wanted.append((name, path))
    return tuple(wanted)


def write_file(text: str, path: Path, what: str = "report") -> None:
    """Put `text` (UTF-8) at `path` as a whole or not at all: a temporary file beside it takes its place.

    Links are followed; what is no regular file (a device, a pipe) is written to and stays what it is.
    """
    try:
        place = path.resolve()
        if place.exists() and not place.is_file():
            with place.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
                stream.write(text)
            return
        descriptor, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(temporary, _mode(place))  # noqa: PTH101 - mkstemp hands out strings
            os.replace(temporary, place)  # noqa: PTH105
        except BaseException:
            os.unlink(temporary)  # noqa: PTH108
            raise
    except OSError as error:
        raise AuditError(f"the {what} {str(path)!r} cannot be written: {error.strerror or error}") from error


def _mode(path: Path) -> int:
    """The permissions of the file that is replaced, or those that a new file gets."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
