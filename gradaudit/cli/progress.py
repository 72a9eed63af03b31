"""One line on a terminal that says how far an audit is."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from gradaudit.pipeline import ProgressEvent

CLEAR_LINE = "\r\x1b[2K"


class Progress:
    """Rewrites one line of `stream` with each event, and takes it away in the end; silent unless `shown`."""

    def __init__(self, stream: TextIO, *, shown: bool) -> None:
        self._stream = stream
        self._shown = shown

    def on(self, event: ProgressEvent) -> None:
        """Show where the audit is."""
        if not self._shown:
            return
        from gradaudit.cli.streams import page_width
        from gradaudit.reports.terminal import terminal_safe

        text = terminal_safe(f"{event.done}/{event.total} {event.text}")
        self._write(f"{CLEAR_LINE}{text[: page_width() - 1]}")

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._write(CLEAR_LINE)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
