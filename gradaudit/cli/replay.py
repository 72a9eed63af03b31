"""`gradaudit replay`: a saved evaluation, run again or written as a script."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradaudit.cli.streams import Color, color_system, page_width, say, write

if TYPE_CHECKING:
    from gradaudit.records.report import Report
    from gradaudit.replay.saved import Saved

FULL = "full"


def replay(  # noqa: PLR0917 - Typer passes every option by name
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER/NAME", help="An evaluation that `check --save-failures FOLDER` saved."),
    ],
    as_script: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.py",
            help="Run nothing; write a Python file that shows the fault with the framework alone, without gradaudit.",
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Format on standard output: full, concise, json, ... [default: full]"),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="For the evaluation. [default: that of the audit]")
    ] = None,
    color: Annotated[
        Color, typer.Option(help="Colours; goes before NO_COLOR, and that before FORCE_COLOR.")
    ] = "auto",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No comparison with what was saved.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Details of failures, tracebacks.")] = False,
) -> int:
    """Run a saved evaluation again, or write it as a script.

    It is audited by the same rules. Says whether the finding occurs again and which versions differ. The exit status
    is that of `check`. A folder names files and code that is run: replay only what you trust.
    """
    from gradaudit.cli import report_formats
    from gradaudit.replay import again, reading

    shown = report_formats.known(output_format or FULL, "--output-format")
    saved = reading.read(folder)
    if as_script is not None:
        return _written(saved, as_script, quiet)
    report = _audited(saved, timeout)
    if shown == FULL:
        from gradaudit.reports.console import full

        colors = color_system(color, sys.stdout, os.environ)
        write(full.render(report, width=page_width(), color_system=colors, verbose=verbose))
    else:
        write(report_formats.of_audit(shown, report))
    if not quiet:
        for line in again.said(saved, again.compare(saved, report)):
            say(line, prefix="replay: ")
    return report.exit_status


def _audited(saved: Saved, timeout: float | None) -> Report:
    from gradaudit import pipeline
    from gradaudit.cli import amounts
    from gradaudit.replay import again

    settings = pipeline.Settings(
        seed=saved.run.seed,
        timeout=saved.run.timeout if timeout is None else amounts.seconds(timeout, "--timeout"),
        max_memory=saved.run.max_memory,
        threads=saved.run.threads,
        # What one evaluation alone could not show is no matter of a replay.
        ignore=("POW",),
        command=("gradaudit", *sys.argv[1:]),
    )
    return pipeline.audit((again.case_of(saved),), settings)


def _written(saved: Saved, path: Path, quiet: bool) -> int:
    from gradaudit.replay import script

    beside = script.write(saved, path)
    if not quiet:
        arrays = f", with {', '.join(each.name for each in beside)} beside it" if beside else ""
        say(f"wrote {path}{arrays}; it exits 1 where the fault shows and 0 where it does not")
    return 0
