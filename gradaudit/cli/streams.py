"""Standard output for results, standard error for everything else."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Literal, TextIO

Color = Literal["auto", "always", "never"]
ColorSystem = Literal["standard", "256", "truecolor"]


def use_utf8() -> None:
    """UTF-8 and `\\n` on both streams, whatever the locale; what cannot be encoded is escaped.

    Python has no stream at all where the caller closed its descriptor (`>&-`): what is written then goes nowhere.
    """
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")


def write(text: str) -> None:
    """A result, to standard output. A reader that went away (`| head`) wants no more, which is no error."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()


def write_lines(lines: Sequence[str]) -> None:
    """A result in lines that hold names of others; each is made harmless."""
    from gradaudit.reports.terminal import terminal_safe, without_commands

    write(without_commands("".join(f"{terminal_safe(line)}\n" for line in lines)))


def say(text: str, prefix: str = "") -> None:
    """A message, to standard error; each line is made harmless."""
    from gradaudit.reports.terminal import terminal_safe, without_commands

    lines = (f"{prefix}{text}").splitlines()
    try:
        sys.stderr.write(without_commands("".join(f"{terminal_safe(line)}\n" for line in lines)))
        sys.stderr.flush()
    except BrokenPipeError:
        pass


def close_quietly() -> None:
    """Flush standard output now, so that a broken pipe cannot spoil the exit status at shutdown."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()


def color_system(choice: Color, stream: TextIO, environ: Mapping[str, str]) -> ColorSystem | None:
    """The colours to use on `stream`: --color over NO_COLOR over FORCE_COLOR over what the stream is."""
    if choice == "never" or (choice == "auto" and environ.get("NO_COLOR")):
        return None
    terminal = environ.get("TERM", "")
    if choice == "auto" and not environ.get("FORCE_COLOR") and (not stream.isatty() or terminal in ("", "dumb")):
        return None
    if environ.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "truecolor"
    return "standard" if terminal and "256" not in terminal else "256"


def page_width() -> int:
    """The columns of the terminal (COLUMNS, where it is set); 80 where the output is piped."""
    import shutil

    return shutil.get_terminal_size((80, 24)).columns


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - it stays open as long as the process


def _discard_output() -> None:
    """Point standard output at nothing, so that Python's own flush at exit does not complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
