"""`gradaudit merge`: the reports of shards, put together."""

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


def merge(  # noqa: PLR0917 - Typer passes every option by name
    paths: Annotated[
        list[str],
        typer.Argument(metavar="REPORT.json...", help="What --shard 1/N --report json=PATH wrote, of all N shards."),
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
    """Put the JSON reports of all shards together, in any order.

    The result is the report of an audit in one piece, but for the times and the command line, and so is the exit
    status. Shards of different specs or versions, or an incomplete set of them, are no whole: exit status 2.
    """
    from gradaudit.cli import report_formats, saved_reports
    from gradaudit.reports.merging import merged

    shown = None if output_format is None else report_formats.known(output_format, "--output-format")
    files = report_formats.requested(report or [])
    for name, target in files:
        if any(target.exists() and target.resolve() == Path(path).resolve() for path in paths):
            raise FlagError(f"--report '{name}={target}': that is a report which is read; write to another file")
    whole = merged([(path, saved_reports.read(path)) for path in paths], ("gradaudit", *sys.argv[1:]))
    whole = replace(whole, max_findings=max_findings)
    failed = False
    for name, target in files:
        try:
            report_formats.write_file(report_formats.of_audit(name, whole), target)
        except AuditError as error:
            say(str(error), prefix="error: ")
            failed = True
    if shown == FULL or (shown is None and not files):
        from gradaudit.reports.console import full

        colors = color_system(color, sys.stdout, os.environ)
        write(full.render(whole, width=page_width(), color_system=colors, verbose=verbose))
    elif shown is not None:
        write(report_formats.of_audit(shown, whole))
    return NOT_WRITTEN if failed else whole.exit_status
