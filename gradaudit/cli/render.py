"""`gradaudit render`: a saved JSON report in any other format."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from gradaudit.cli.streams import Color, color_system, page_width, say, write
from gradaudit.errors import AuditError, FlagError

FULL = "full"
NOT_WRITTEN = 3


def render(  # noqa: PLR0917 - Typer passes every option by name
    path: Annotated[
        str, typer.Argument(metavar="REPORT.json", help="What --report json=PATH wrote; - is standard input.")
    ],
    output_format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Format on standard output. [default: full, unless --report is given]"),
    ] = None,
    report: Annotated[
        list[str] | None,
        typer.Option(metavar="FORMAT=PATH", help="Write a report to a file; any number of times."),
    ] = None,
    max_findings: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="List the N worst findings; files for machines keep all."),
    ] = None,
    color: Annotated[
        Color, typer.Option(help="Colours; goes before NO_COLOR, and that before FORCE_COLOR.")
    ] = "auto",
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Details of failures, tracebacks.")] = False,
) -> int:
    """Make any report again from a saved JSON report, byte for byte as `check` would have.

    Nothing is audited and nothing is judged: the exit status is 0 whatever the report says.
    """
    from gradaudit.cli import report_formats, saved_reports

    shown = None if output_format is None else report_formats.known(output_format, "--output-format")
    files = report_formats.requested(report or [])
    for name, target in files:
        if path != saved_reports.STANDARD_INPUT and target.exists() and target.resolve() == Path(path).resolve():
            raise FlagError(f"--report '{name}={target}': that is the report which is read; write to another file")
    saved = replace(saved_reports.read(path), max_findings=max_findings)
    failed = False
    for name, target in files:
        try:
            report_formats.write_file(report_formats.rendered(name, saved), target)
        except AuditError as error:
            say(str(error), prefix="error: ")
            failed = True
    if shown == FULL or (shown is None and not files):
        from gradaudit.reports.console import full

        colors = color_system(color, sys.stdout, os.environ)
        write(full.render(saved, width=page_width(), color_system=colors, verbose=verbose))
    elif shown is not None:
        write(report_formats.rendered(shown, saved))
    return NOT_WRITTEN if failed else 0
