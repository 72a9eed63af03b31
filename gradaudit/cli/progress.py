"""One line on a terminal that says how far an audit is."""

from __future__ import annotations

import os
import unicodedata
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from gradaudit.pipeline import ProgressEvent

CLEAR_LINE = "\r\x1b[2K"
ELLIPSIS = "..."


class Progress:
    """Rewrites one line of `stream` with each event, and takes it away in the end; silent unless `shown`, and where
    the terminal cannot rewrite a line."""

    def __init__(self, stream: TextIO, *, shown: bool) -> None:
        self._stream = stream
        self._shown = shown and os.environ.get("TERM") != "dumb"

    def on(self, event: ProgressEvent) -> None:
        """Show where the audit is."""
        if not self._shown:
            return
        from gradaudit.cli.streams import page_width
        from gradaudit.reports.terminal import terminal_safe

        counted = f"{event.done}/{event.total} "
        case, colon, evaluation = terminal_safe(event.text).rpartition(": ")
        # The last column stays free: a line that fills it is wrapped by some terminals, and then not cleared.
        room = page_width() - 1 - len(counted)
        left = room - _columns(f"{colon}{evaluation}")
        # What is under way matters more than the name of its case.
        before = f"{_cut(case, left)}{colon}" if left > len(ELLIPSIS) else ""
        self._write(f"{CLEAR_LINE}{counted}{_cut(f'{before}{evaluation}', room)}")

    def __enter__(self) -> Progress:
        if self._shown:
            # Until the frameworks are imported there is nothing to count.
            self._write(f"{CLEAR_LINE}starting")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._write(CLEAR_LINE)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes: letters of the Far East take two, marks above letters none."""
    return sum(_column(character) for character in text)


def _column(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _cut(text: str, room: int) -> str:
    """The text, or the beginning of it and `...`, in at most `room` columns."""
    if _columns(text) <= room:
        return text
    kept, used = [], 0
    for character in text:
        used += _column(character)
        if used > room - len(ELLIPSIS):
            break
        kept.append(character)
    return f"{''.join(kept)}{ELLIPSIS}"[: max(room, 0)]
