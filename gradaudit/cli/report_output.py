"""Reports that exist already, written to files and shown: what `render` and `merge` have in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradaudit.cli.streams import Color, color_system, page_width, say, write
from gradaudit.errors import AuditError, FlagError

if TYPE_CHECKING:
    from gradaudit.records.report import Report

FULL = "full"
NOT_WRITTEN = 3

OutputFormat = Annotated[
    str | None,
    typer.Option(metavar="FORMAT", help="Format on standard output. [default: full, unless --report is given]"),
]
ReportFiles = Annotated[
    list[str] | None,
    typer.Option(metavar="FORMAT=PATH", help="Write a report to a file; any number of times."),
]
MaxFindings = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="List the N worst findings; files for machines keep all."),
]
Colors = Annotated[Color, typer.Option(help="Colours; goes before NO_COLOR, and that before FORCE_COLOR.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Details of failures, tracebacks.")]


def requested(
    output_format: str | None, files: Sequence[str] | None, read: Sequence[str]
) -> tuple[str | None, tuple[tuple[str, Path], ...]]:
    """The format on standard output, None for nothing there, and the (format, path) of every file.

    FlagError where one is unknown or cannot be written, or would overwrite one of the reports that are `read`.
    """
    from gradaudit.cli import report_formats

    shown = None if output_format is None else report_formats.known(output_format, "--output-format")
    wanted = report_formats.requested(files or [])
    sources = {Path(path).resolve() for path in read}
    for name, target in wanted:
        if target.exists() and target.resolve() in sources:
            raise FlagError(f"--report '{name}={target}': that is a report which is read; write to another file")
    return FULL if shown is None and not wanted else shown, wanted


def put_out(
    report: Report,
    shown: str | None,
    files: Sequence[tuple[str, Path]],
    text_of: Callable[[str, Report], str],
    *,
    color: Color,
    verbose: bool,
) -> bool:
    """Write the files, then show the report; whether every file could be written.

    `text_of` makes the text of a format, AuditError where it cannot: that costs this one alone, and is said.
    """
    from gradaudit.cli import report_formats

    complete = True
    for name, target in files:
        try:
            report_formats.write_file(text_of(name, report), target)
        except AuditError as error:
            say(str(error), prefix="error: ")
            complete = False
    if shown == FULL:
        from gradaudit.reports.console import full

        colors = color_system(color, sys.stdout, os.environ)
        write(full.render(report, width=page_width(), color_system=colors, verbose=verbose))
    elif shown is not None:
        write(text_of(shown, report))
    return complete
