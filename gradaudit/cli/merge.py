"""`gradaudit merge`: the reports of shards, put together."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Annotated

import typer

from gradaudit.cli.report_output import NOT_WRITTEN, Colors, MaxFindings, OutputFormat, ReportFiles, Verbose


def merge(  # noqa: PLR0917 - Typer passes every option by name
    paths: Annotated[
        list[str],
        typer.Argument(metavar="REPORT.json...", help="What --shard 1/N --report json=PATH wrote, of all N shards."),
    ],
    output_format: OutputFormat = None,
    report: ReportFiles = None,
    max_findings: MaxFindings = None,
    color: Colors = "auto",
    verbose: Verbose = False,
) -> int:
    """Put the JSON reports of all shards together, in any order.

    The result is the report of an audit in one piece, but for the times and the command line, and so is the exit
    status. Shards of different specs or versions, or an incomplete set of them, are no whole: exit status 2.
    """
    from gradaudit.cli import report_formats, report_output, saved_reports
    from gradaudit.reports.merging import merged

    shown, files = report_output.requested(output_format, report, paths)
    whole = merged([(path, saved_reports.read(path)) for path in paths], ("gradaudit", *sys.argv[1:]))
    whole = replace(whole, max_findings=max_findings)
    text_of = report_formats.of_audit
    complete = report_output.put_out(whole, shown, files, text_of, color=color, verbose=verbose)
    return whole.exit_status if complete or whole.interrupted else NOT_WRITTEN
