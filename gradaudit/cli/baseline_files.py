"""The baseline file on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.errors import ReportError

if TYPE_CHECKING:
    from gradaudit.regression.baseline import Baseline


def read(path: str) -> Baseline:
    """The baseline at `path`; ReportError, which begins with path:line where a line is wrong."""
    from gradaudit.regression import baseline_file

    try:
        given = Path(path).read_bytes()
    except OSError as error:
        hint = "; `gradaudit baseline update` writes one" if not Path(path).exists() else ""
        raise ReportError(f"the baseline {path!r} cannot be read: {error.strerror or error}{hint}") from error
    try:
        return baseline_file.read(given.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = given[: error.start].count(b"\n") + 1
        raise ReportError(f"{path}:{line}: not UTF-8, so no baseline of gradaudit") from error
    except baseline_file.BaselineSyntaxError as error:
        raise ReportError(
            f"{path}:{error.line}: {error} (to write it anew, remove it and run `gradaudit baseline update`)"
        ) from error
