"""Plain text as Markdown: escaped prose, tables, blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from inspect import cleandoc

_SPECIAL = re.compile(r"[\\<>*_\[\]|{}$#&^~]")
_CODE = re.compile(r"(`[^`\n]+`)")


def prose(text: str) -> str:
    """One paragraph that shows the text as it is; what stands between backticks stays code."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if _CODE.fullmatch(part) else _SPECIAL.sub(r"\\\g<0>", part) for part in parts)


def code(text: str) -> str:
    """A span of code, also within a table."""
    return f"`{text}`".replace("|", r"\|") if text else ""


def block(text: str, language: str) -> str:
    """A fenced block; indentation that all lines share is taken off."""
    return f"```{language}\n{cleandoc(text)}\n```"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell or " " for cell in line) + " |" for line in lines)


def page(*parts: str) -> str:
    """Parts of a page, apart by blank lines; empty ones are left out."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def contents(*names: str, depth: int = 1) -> str:
    """A table of contents of other pages."""
    return f"```{{toctree}}\n:maxdepth: {depth}\n\n" + "\n".join(names) + "\n```"
