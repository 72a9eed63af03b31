"""`gradaudit compare`: what changed between saved reports, and what may explain it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from gradaudit.cli.streams import write, write_lines
from gradaudit.errors import FlagError


def compare(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="OLD.json NEW.json...",
            help="What --report json=PATH wrote, the oldest first; - is standard input.",
        ),
    ],
    output_format: Annotated[Literal["full", "json"], typer.Option(help="Format on standard output.")] = "full",
) -> int:
    """Tell what changed between saved reports.

    Findings that are new or resolved, evaluations that are worse, better, missing or added, with the growth of their
    errors in units of the tolerance and in absolute terms; versions, process state and declared arithmetic that are
    other ones. Of more than two reports the last is compared with the first, and each evaluation shows its trend.
    Worse and better are told as by `gradaudit baseline`, probe by probe. Exits 1 where something is worse or missing,
    or where a finding is new that fails `check`; 3 where the last report could not audit something.
    """
    from gradaudit.cli import saved_reports
    from gradaudit.regression import told_comparison
    from gradaudit.regression.comparison import comparison
    from gradaudit.regression.trend import trends

    if len(paths) < 2:
        raise FlagError(f"{paths[0]!r}: a report is compared with another one; name two or more, the oldest first")
    if paths.count(saved_reports.STANDARD_INPUT) > 1:
        raise FlagError("- stands twice; standard input holds one report")
    reports = [saved_reports.read(path) for path in paths]
    found, went = comparison(reports[0], reports[-1]), trends(reports)
    if output_format == "json":
        write(told_comparison.document(found, paths, went))
    else:
        write_lines(told_comparison.lines(found, paths, went))
    return found.exit_status
