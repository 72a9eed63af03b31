"""Making text that others wrote harmless to a terminal and to a CI log."""

from __future__ import annotations

import re

_CI_COMMAND = re.compile(r"##(?=\[|vso\[|teamcity\[)")
_LEADING_COMMAND = re.compile(r"^((?:\s|\x1b\[[0-9;]*m)*)::", re.MULTILINE)


def terminal_safe(text: str) -> str:
    """`text` on one line, with every character that is not printable written as its Python escape.

    That covers line ends, ESC and the other C0 and C1 controls, bidirectional overrides, zero-width characters
    and lone surrogates; a space is the only white space that stays. `##[` and its relatives, which Azure
    Pipelines, GitHub and TeamCity obey anywhere in a line, are broken by a backslash.
    """
    if not text.isprintable():
        text = "".join(character if character.isprintable() else _escape(character) for character in text)
    return _CI_COMMAND.sub(r"#\\#", text)


def without_commands(text: str) -> str:
    """`text` (lines) with a backslash before a `::` that opens a line.

    GitHub executes such a line even when it is indented, and folding can put any part of a long name there, so
    this is applied to the finished page, colours included.
    """
    return _LEADING_COMMAND.sub(r"\1\\::", text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
