"""JSON reports that were saved, read from files or standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.errors import ReportError

if TYPE_CHECKING:
    from gradaudit.records.report import Report

STANDARD_INPUT = "-"


def read(path: str) -> Report:
    """The report that `check --report json=PATH` wrote; ReportError, which names the path, where it is none."""
    from gradaudit.reports import read_document

    try:
        given = sys.stdin.buffer.read() if path == STANDARD_INPUT else Path(path).read_bytes()
    except OSError as error:
        hint = "; `gradaudit check --report json=report.json` writes one" if not Path(path).exists() else ""
        raise ReportError(f"the report {path!r} cannot be read: {error.strerror or error}{hint}") from error
    try:
        return read_document.read(given.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ReportError(f"{path}: it is not UTF-8, so no JSON report of gradaudit: {error}") from error
    except ReportError as error:
        raise ReportError(f"{path}: {error}") from error
