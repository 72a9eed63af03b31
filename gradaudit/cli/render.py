"""`gradaudit render`: a saved JSON report in any other format."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from gradaudit.cli.report_output import NOT_WRITTEN, Colors, MaxFindings, OutputFormat, ReportFiles, Verbose


def render(  # noqa: PLR0917 - Typer passes every option by name
    path: Annotated[
        str, typer.Argument(metavar="REPORT.json", help="What --report json=PATH wrote; - is standard input.")
    ],
    output_format: OutputFormat = None,
    report: ReportFiles = None,
    max_findings: MaxFindings = None,
    color: Colors = "auto",
    verbose: Verbose = False,
) -> int:
    """Make any report again from a saved JSON report, byte for byte as `check` would have.

    Nothing is audited and nothing is judged: the exit status is 0 whatever the report says.
    """
    from gradaudit.cli import report_formats, report_output, saved_reports

    read = [] if path == saved_reports.STANDARD_INPUT else [path]
    shown, files = report_output.requested(output_format, report, read)
    saved = replace(saved_reports.read(path), max_findings=max_findings)
    text_of = report_formats.rendered
    return 0 if report_output.put_out(saved, shown, files, text_of, color=color, verbose=verbose) else NOT_WRITTEN
