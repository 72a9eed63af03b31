"""Where in a user's code a worker came to its end, as far as its last words tell."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradaudit.records.subject import Subject

FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+) in (?P<name>\S+)', re.MULTILINE)
"""A line of what faulthandler prints, the innermost call first."""

INSTALLED = ("/site-packages/", "/dist-packages/", "/lib/python", "/gradaudit/backends/standalone/", "<")


def of_subject(subject: Subject, message: str, output: str) -> str:
    """`message` behind the place of the user's code that ran at the end, or behind the subject's own name."""
    for found in FRAME.finditer(output):
        file = found["file"]
        if not any(part in file for part in INSTALLED):
            return f"{_shown(file)}:{found['line']} in {found['name']}: {message}"
    return f"{subject.target}: {message}"


def _shown(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file
