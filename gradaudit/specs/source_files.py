"""The Python files of the user's in which a name is defined, found and parsed; nothing of them is imported."""

from __future__ import annotations

import ast
import importlib.machinery
import os
import sys
from pathlib import Path

from gradaudit.errors import FlagError


def source_file(where: str) -> Path:
    """The file of `path.py` or of a module, which is looked for here and on the path; FlagError otherwise."""
    if where.endswith(".py"):
        if not Path(where).is_file():
            raise FlagError(f"{where!r}: there is no such file; name one that ends in .py, as in losses.py:MyLoss")
        return Path(where)
    parts = where.split(".")
    if not all(part.isidentifier() for part in parts):
        raise FlagError(f"{where!r} is neither a module nor a file that ends in .py; name one as in losses.py:MyLoss")
    here = str(Path.cwd())
    found = importlib.machinery.PathFinder.find_spec(parts[0], [here, *(place for place in sys.path if place)])
    bases = list(found.submodule_search_locations or ()) if found else []
    candidates = [Path(base, *parts[1:]).with_suffix(".py") for base in bases if parts[1:]]
    candidates += [Path(base, *parts[1:], "__init__.py") for base in bases]
    candidates += [Path(found.origin)] if found and found.origin and not parts[1:] else []
    for path in candidates:
        if path.suffix == ".py" and path.is_file():
            return path
    raise FlagError(f"{where!r}: there is no such module here or among the installed ones; name its file, as in "
                    "losses.py:MyLoss")  # fmt: skip


def parsed(path: Path) -> tuple[str, ast.Module]:
    """The text of a file and its syntax tree; FlagError where it is no Python."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return text, ast.parse(text)
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise FlagError(f"{os.fspath(path)!r} cannot be read as Python: {error}") from None
    except SyntaxError as error:
        raise FlagError(f"{path}:{error.lineno}: it cannot be read as Python: {error.msg}") from None


def imported(tree: ast.Module, path: Path, attribute: str) -> tuple[Path, str] | None:
    """The file that `from module import attribute` means, and the name there; None where there is no such import, or
    the module is not among the user's files."""
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            if (alias.asname or alias.name) != attribute:
                continue
            base = path.resolve().parents[node.level - 1] if node.level else None
            parts = (node.module or "").split(".") if node.module else []
            for folder in (base,) if base else (Path.cwd(), *path.resolve().parents):
                for file in (Path(folder, *parts).with_suffix(".py"), Path(folder, *parts, "__init__.py")):
                    if file.is_file() and file.resolve() != path.resolve():
                        return file, alias.name
    return None
