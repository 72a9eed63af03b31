"""`[tool.gradaudit]` in pyproject.toml, and the specs that are audited when none is named."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gradaudit.errors import RequestError

PATTERN = "*.gradaudit.yaml"
SPELLINGS = (".gradaudit.yaml", ".gradaudit.yml")
"""How names of files end that are audited where none is named: both endings of YAML, or one would be passed over."""


def _strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _truth(value: object) -> bool:
    return isinstance(value, bool)


def _text(value: object) -> bool:
    return isinstance(value, str)


KEYS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "specs": (_strings, 'a list of files, folders or patterns, for example ["specs/"]'),
    "select": (_strings, 'a list of code prefixes, for example ["CAN", "DIV301"]'),
    "ignore": (_strings, 'a list of code prefixes, for example ["POW"]'),
    "fail-on": (_text, '"error", "warning" or "info"'),
    "fail-fast": (_truth, "true or false"),
    "max-findings": (_whole, "a whole number"),
    "timeout": (_number, "a number of seconds"),
    "startup-timeout": (_number, "a number of seconds"),
    "max-memory": (_text, 'a size, for example "2GB"'),
    "jobs": (_whole, "a whole number"),
    "seed": (_whole, "a whole number"),
    "save-failures": (_text, 'a folder, for example "failures"'),
    "save-limit": (_text, 'a size, for example "1GB"'),
    "baseline": (_text, 'a file, for example "gradaudit-baseline.txt"'),
    "output-format": (_text, 'the name of a format, for example "concise"'),
}
"""Every key of the table: what its value must be, as a test and in words."""


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """The table of one pyproject.toml; `values` are of the right type and otherwise unchecked."""

    path: str = ""
    values: Mapping[str, object] = field(default_factory=dict)

    def place(self, key: str) -> str:
        """Where a key stands, as messages begin."""
        return f"{_relative(Path(self.path))}: [tool.gradaudit] {key}"


def read(folder: Path) -> ProjectFile:
    """The table of the nearest pyproject.toml in `folder` or above it that has one; an empty one otherwise."""
    import tomllib

    for parent in (folder, *folder.parents):
        path = parent / "pyproject.toml"
        if not path.is_file():
            continue
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RequestError(f"{_relative(path)}: cannot be read as TOML: {error}") from None
        tool = document.get("tool", {})
        table = tool.get("gradaudit") if isinstance(tool, dict) else None
        if table is not None:
            return ProjectFile(str(path), _checked(table, _relative(path)))
    return ProjectFile()


def default_specs(project: ProjectFile, folder: Path) -> tuple[str, ...]:
    """The specs that the project file names, else every *.gradaudit.yaml in `folder` and below it.

    RequestError where there is none, or where a name of the project file matches nothing.
    """
    if project.values.get("specs"):
        return _named(project)
    found = sorted(_relative(path) for path in _below(folder))
    if not found:
        raise RequestError(
            f"nothing to audit: no path and no flags were given, no pyproject.toml names specs in [tool.gradaudit], "
            f"and there is no {PATTERN} here or below. Name a spec (gradaudit check my.yaml) or give a case by flags "
            '(gradaudit check --logits "0.1, 2" --function softmax)'
        )
    return tuple(found)


def baseline(project: ProjectFile) -> str | None:
    """The baseline that the project file names, as seen from here: its path there counts from that file's folder."""
    named = project.values.get("baseline")
    if named == "":
        raise RequestError(f"{project.place('baseline')} = '': expected {KEYS['baseline'][1]}")
    return None if named is None else _relative(Path(project.path).parent / str(named))


def _named(project: ProjectFile) -> tuple[str, ...]:
    base = Path(project.path).parent
    paths: list[str] = []
    entries = project.values["specs"]
    assert isinstance(entries, list), "checked when the file was read"
    for entry in entries:
        matched = [base / entry] if (base / entry).exists() else sorted(_globbed(base, entry))
        if not matched:
            raise RequestError(f"{project.place('specs')}: nothing matches {entry!r}")
        paths += [_relative(path) for path in matched]
    return tuple(paths)


def _globbed(base: Path, pattern: str) -> list[Path]:
    try:
        return list(base.glob(pattern))
    except (ValueError, NotImplementedError):
        return []


def _below(folder: Path) -> list[Path]:
    """Files of that pattern; hidden folders, virtual environments and node_modules hold none of the user's."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "node_modules"]
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        found += [Path(parent, name) for name in files if name.endswith(SPELLINGS) and not name.startswith(".")]
    return found


def _checked(table: object, path: str) -> dict[str, object]:
    if not isinstance(table, dict):
        raise RequestError(f"{path}: tool.gradaudit is {table!r}; expected a table: [tool.gradaudit]")
    for key, value in table.items():
        if key not in KEYS:
            close = difflib.get_close_matches(key.replace("_", "-"), KEYS, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(KEYS)}"
            raise RequestError(f"{path}: [tool.gradaudit] has an unknown key {key!r}{hint}")
        fits, expected = KEYS[key]
        if not fits(value):
            raise RequestError(f"{path}: [tool.gradaudit] {key} = {value!r}: expected {expected}")
    return table


def _relative(path: Path) -> str:
    """The path from the current folder, as a reader would type it."""
    return os.path.relpath(path)
