"""The baseline file on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.errors import FlagError, ReportError

if TYPE_CHECKING:
    from gradaudit.cli.project_file import ProjectFile
    from gradaudit.regression.baseline import Baseline


def chosen(flag: str | None, none: bool, project: ProjectFile) -> tuple[str, str] | None:
    """The baseline to hold an audit against, by --baseline, else by the project, and where the project names it.

    None where there is none. `none` is --no-baseline; FlagError where both flags are given.
    """
    from gradaudit.cli import project_file

    if none and flag is not None:
        raise FlagError(f"--no-baseline and --baseline {flag!r}: give one of them")
    if none:
        return None
    if flag is not None:
        return flag, ""
    named = project_file.baseline(project)
    return None if named is None else (named, project.place("baseline"))


def default() -> str:
    """The baseline that the project names, else the one of the usual name in this folder."""
    from gradaudit.cli import project_file
    from gradaudit.reports.against import DEFAULT_FILE

    return project_file.baseline(project_file.read(Path.cwd())) or DEFAULT_FILE


def read(path: str, origin: str = "") -> Baseline:
    """The baseline at `path`, which `origin` named; ReportError, that begins with path:line where a line is wrong."""
    from gradaudit.regression import baseline_file

    try:
        given = Path(path).read_bytes()
    except OSError as error:
        hint = "; `gradaudit baseline update` writes one" if not Path(path).exists() else ""
        named = f"{origin}: " if origin else ""
        raise ReportError(f"{named}the baseline {path!r} cannot be read: {error.strerror or error}{hint}") from error
    try:
        return baseline_file.read(given.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = given[: error.start].count(b"\n") + 1
        raise ReportError(f"{path}:{line}: not UTF-8, so no baseline of gradaudit") from error
    except baseline_file.BaselineSyntaxError as error:
        raise ReportError(
            f"{path}:{error.line}: {error} (to write it anew, remove it and run `gradaudit baseline update`)"
        ) from error
