"""`gradaudit replay`: saved evaluations, run again, or one of them written as a script."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradaudit.cli.streams import Color, color_system, page_width, say, write
from gradaudit.errors import FlagError

if TYPE_CHECKING:
    from gradaudit.records.report import Report
    from gradaudit.replay.saved import Saved

FULL = "full"


def replay(  # noqa: PLR0917 - Typer passes every option by name
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH...",
            help="Evaluations that `check --save-failures FOLDER` saved: FOLDER/NAME, or FOLDER for all of them.",
        ),
    ],
    as_script: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.py",
            help="Run nothing; write a Python file that shows the fault of one evaluation with the framework alone.",
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Format on standard output: full, concise, json, ... [default: full]"),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="For each evaluation. [default: that of the audit]")
    ] = None,
    color: Annotated[
        Color, typer.Option(help="Colours; goes before NO_COLOR, and that before FORCE_COLOR.")
    ] = "auto",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No comparison with what was saved.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Details of failures, tracebacks.")] = False,
) -> int:
    """Run saved evaluations again, or write one as a script.

    They are audited by the same rules. Says whether the findings occur again and which versions differ. The exit
    status is that of `check`. A folder names files and code that is run: replay only what you trust.
    """
    from gradaudit.cli import report_formats
    from gradaudit.replay import again, reading

    shown = report_formats.known(output_format or FULL, "--output-format")
    found = [folder for given in folders for folder in reading.folders(given)]
    if as_script is not None and len(found) > 1:
        raise FlagError(
            f"--as-script {str(as_script)!r}: a script shows one evaluation, and these are {len(found)}; name one of "
            f"them: {', '.join(map(str, found[:3]))}{', ...' if len(found) > 3 else ''}"
        )
    saved = [reading.read(folder) for folder in found]
    if as_script is not None:
        return _written(saved[0], as_script, quiet)
    report = _audited(saved, timeout)
    if shown == FULL:
        from gradaudit.reports.console import full

        colors = color_system(color, sys.stdout, os.environ)
        write(full.render(report, width=page_width(), color_system=colors, verbose=verbose))
    else:
        write(report_formats.of_audit(shown, report))
    for each, case in () if quiet else zip(saved, report.cases, strict=False):
        if len(saved) > 1:
            say(f"{each.folder}:", prefix="replay: ")
        for line in again.said(each, again.compare(each, replace(report, cases=(case,)))):
            say(line, prefix="replay: ")
    return report.exit_status


def _audited(saved: Sequence[Saved], timeout: float | None) -> Report:
    from gradaudit import pipeline
    from gradaudit.cli import amounts
    from gradaudit.replay import again

    run = saved[0].run
    other = next((each for each in saved if each.run != run), None)
    if other is not None:
        raise FlagError(
            f"{saved[0].folder} and {other.folder} were saved under other settings (seed, timeout, memory, "
            "threads); replay them one after the other"
        )
    settings = pipeline.Settings(
        seed=run.seed,
        timeout=run.timeout if timeout is None else amounts.seconds(timeout, "--timeout"),
        max_memory=run.max_memory,
        threads=run.threads,
        # What one evaluation alone could not show is no matter of a replay.
        ignore=("POW",),
        command=("gradaudit", *sys.argv[1:]),
    )
    return pipeline.audit(tuple(again.case_of(each) for each in saved), settings)


def _written(saved: Saved, path: Path, quiet: bool) -> int:
    from gradaudit.replay import script
    from gradaudit.replay.script import own_functions

    beside = script.write(saved, path)
    if quiet:
        return 0
    files = f", with {', '.join(each.name for each in beside)} beside it" if beside else ""
    say(f"wrote {path}{files}; it exits 1 where the fault shows and 0 where it does not")
    needed = () if saved.subject is None else own_functions.needed(saved.subject)
    if needed:
        say(f"the loss imports {', '.join(needed)} from beside it: whoever gets the script needs that, too")
    return 0
