"""Locations as CI systems want them: paths of files in a checkout, with slashes, and lines from 1."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import quote

from gradaudit.records.location import Location
from gradaudit.records.report import Report

_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


def in_file(location: Location) -> bool:
    """Whether it is a place in a file; the command line and standard input stand in angle brackets and are none."""
    return bool(location.path) and not location.path.startswith("<")


def in_repository(report: Report, location: Location) -> Location:
    """The place with its path from the root of the repository, where the report knows of it, else as it is."""
    path = report.files.get(location.path)
    return location if path is None else replace(location, path=path)


def file_path(location: Location) -> str:
    """The path with slashes and without a leading `./`."""
    path = location.path.replace("\\", "/") if _DRIVE.match(location.path) else location.path
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    return path


def uri(location: Location) -> str:
    """The path as a URI reference: percent-encoded, relative where the path is, `file://` where it is absolute."""
    path = quote(file_path(location).encode("utf-8", "backslashreplace"), safe="/")
    if path.startswith("/"):
        return f"file:///{path.lstrip('/')}"
    return f"file:///{path}" if _DRIVE.match(location.path) else path
