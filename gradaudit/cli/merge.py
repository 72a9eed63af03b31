"""`gradaudit merge`: the reports of shards, put together."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from gradaudit.cli.report_output import FULL, NOT_WRITTEN, Colors, MaxFindings, OutputFormat, ReportFiles, Verbose

if TYPE_CHECKING:
    from gradaudit.records.report import Report


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
    if shown != FULL:
        _conclude(whole)
    return whole.exit_status if complete or whole.interrupted else NOT_WRITTEN


def _conclude(whole: Report) -> None:
    """Say on standard error what the exit status stands for, where no page says it."""
    from gradaudit.cli import against_baseline
    from gradaudit.cli.streams import say
    from gradaudit.reports.summary import summary

    against_baseline.tell(whole)
    say(summary(whole)[1])
