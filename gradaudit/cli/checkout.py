"""Where the files of a report stand in their repository, from whose root CI systems count paths."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.records.location import Location
from gradaudit.reports.places import file_path, in_file

if TYPE_CHECKING:
    from gradaudit.records.report import Report

CI_FOLDERS = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR", "BUILD_SOURCESDIRECTORY")
"""Variables in which CI systems name the folder of the checkout, where it may have no .git."""


def files(report: Report) -> dict[str, str]:
    """The paths of the report's locations that have another one from the root of their repository, by that one.

    The repository is the nearest folder above the file with a .git, else the checkout that the CI system names, else
    the working directory. A file that is in none of them keeps its path.
    """
    found: dict[str, str] = {}
    for _, location in sorted({location.path: location for location in _locations(report)}.items()):
        path = _in_repository(location.path) if in_file(location) else None
        if path is not None and path != file_path(location):
            found[location.path] = path
    return found


def _locations(report: Report) -> Iterator[Location]:
    for case in report.cases:
        yield case.case.source
        yield from (finding.location for finding in case.findings)
        yield from (missing.location for missing in case.missing)
    yield from (case.source for case in report.not_run)
    if report.baseline is not None:
        yield Location(report.baseline.path)


def _in_repository(path: str) -> str | None:
    try:
        return _below_a_root(path)
    except (OSError, ValueError):
        # What code calls its own file need not be a name that a file can have.
        return None


def _below_a_root(path: str) -> str | None:
    # A link in the repository counts as itself; a folder that is reached by a link, as what it leads to.
    for absolute in (Path(os.path.abspath(path)), Path(os.path.realpath(path))):  # noqa: PTH100 - resolve() follows links
        for root in _roots(absolute):
            if absolute.is_relative_to(root):
                return absolute.relative_to(root).as_posix()
    return None


def _roots(file: Path) -> Iterator[Path]:
    yield from (folder for folder in file.parents if (folder / ".git").exists())
    yield from (Path(os.path.realpath(os.environ[name])) for name in CI_FOLDERS if os.environ.get(name))
    yield Path.cwd()
