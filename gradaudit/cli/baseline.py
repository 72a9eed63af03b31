"""`gradaudit baseline`: keep what an audit found in a file, and hold later audits against it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradaudit.cli.run_flags import RunFlags, with_run_flags
from gradaudit.cli.streams import say, write, write_lines
from gradaudit.errors import AuditError, FlagError

if TYPE_CHECKING:
    from gradaudit.records.report import Report

INTERRUPTED = 130

RULE = (
    "An evaluation is worse where the tolerance that explained it no longer does, or where the largest error of an "
    "array, in units of its tolerance, grew by more than rounding in another way does by chance. Of 25 elements and "
    "more an error that less than doubled never is worse, and one that trebled always is; of fewer it takes more, "
    "and of a single number (the loss of a mean) the tolerance alone is judge. Errors are rounded up to a power of "
    "two or 1.5 times one; an array within 1 ulp of the exact values is faithful. Better is the same the other way "
    "round."
)

Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="PATH", help="Spec files or folders. Without: as for check."),
]
Saved = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="REPORT.json", help="Audit nothing: take this saved report (- is standard input)."
    ),
]
File = Annotated[
    str | None,
    typer.Option(
        "--file",
        metavar="FILE",
        help="The baseline. [default: that of [tool.gradaudit], else gradaudit-baseline.txt]",
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no notes.")]

app = typer.Typer(
    help="Hold audits against what an earlier one found.",
    epilog=RULE,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog=RULE)
@with_run_flags
def update(  # noqa: PLR0917 - Typer passes every option by name
    run: RunFlags,
    paths: Paths = None,
    saved: Saved = None,
    file: File = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also under CI=true, and where not everything could be audited."),
    ] = False,
    quiet: Quiet = False,
) -> int:
    """Write the baseline from an audit, or from a saved report.

    For flags of `check` that are not here, save a report by `check --report json=PATH` and take it with --from.
    Errors that are neither worse nor better than the file says stay as they are in it. Exits 2 under CI=true, where
    nobody reviews what is written, and 3 where not everything could be audited.
    """
    from gradaudit.cli import baseline_files, report_formats
    from gradaudit.records.baseline import UNAUDITED
    from gradaudit.regression import baseline, baseline_file, told
    from gradaudit.regression.differences import differences

    file = file or baseline_files.default()
    if _in_ci() and not force:
        raise FlagError(
            f"CI={os.environ['CI']}: a baseline is written where people review it, not in CI; run `gradaudit "
            "baseline update` on your machine and commit the file, or add --force"
        )
    former = baseline_files.read(file) if Path(file).exists() else baseline.EMPTY
    report = _report(paths or [], saved, run, quiet=quiet)
    if report.interrupted:
        say(f"{file} is as it was: the audit was interrupted")
        return INTERRUPTED
    if report.shard is not None:
        part = f"part {report.shard.index} of {report.shard.of} of an audit"
        raise FlagError(f"{file} is as it was: the report is {part}; `gradaudit merge` puts the parts together")
    if report.not_run:
        raise FlagError(f"{file} is as it was: {report.not_run[0].name!r} was not run; audit without --fail-fast")
    found = differences(former, report)
    unaudited = found.of_kind(UNAUDITED)
    if unaudited and not force:
        listed = "".join(f"\n  {told.said(change)}" for change in unaudited)
        raise AuditError(
            f"{file} is as it was, for not everything could be audited; mend it, or add --force to write what is "
            f"known:{listed}"
        )
    text = baseline_file.text(baseline.of_report(report, former))
    if Path(file).exists() and Path(file).read_bytes() == text.encode():
        write_lines([f"{file} is up to date"])
        return 0
    report_formats.write_file(text, Path(file), "baseline")
    write_lines([*told.recorded(found, first=former == baseline.EMPTY), f"{file} is written"])
    return 0


@app.command(epilog=RULE)
@with_run_flags
def check(  # noqa: PLR0917 - Typer passes every option by name
    run: RunFlags,
    paths: Paths = None,
    saved: Saved = None,
    file: File = None,
    output_format: Annotated[Literal["full", "json"], typer.Option(help="Format on standard output.")] = "full",
    quiet: Quiet = False,
) -> int:
    """Tell what changed since the baseline.

    Findings that are new or resolved, evaluations that are worse, better, missing or added; nothing is written.

    Exits 1 where a finding is new or more severe (and would fail `check`), or an evaluation is worse, missing from
    the audit, or not in the baseline yet. What the baseline holds already, and what is better or resolved, is no
    failure. `gradaudit check --baseline FILE` says the same after its report.
    """
    from gradaudit.cli import baseline_files
    from gradaudit.regression import told
    from gradaudit.regression.differences import differences

    file = file or baseline_files.default()
    held = baseline_files.read(file)
    found = differences(held, _report(paths or [], saved, run, quiet=quiet))
    if output_format == "json":
        write(told.document(found, file))
    else:
        write_lines(told.lines(found, file))
    return found.exit_status


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")


def _report(paths: list[str], saved: str | None, run: RunFlags, *, quiet: bool) -> Report:
    """The saved report, or that of an audit with these flags and the settings of the project."""
    if saved is not None:
        from gradaudit.cli import saved_reports

        if paths:
            raise FlagError(f"--from {saved!r} and {paths[0]!r}: name specs to audit, or a report, not both")
        return saved_reports.read(saved)
    from gradaudit import pipeline
    from gradaudit.cli import project_file
    from gradaudit.cli.progress import Progress
    from gradaudit.cli.run_settings import run_settings
    from gradaudit.cli.spec_sources import load_specs

    project = project_file.read(Path.cwd())
    chosen = {**project.values, **run}
    origins = {key: f"--{key}" if key in run else project.place(key) for key in chosen}
    settings = run_settings(chosen, origins, ("gradaudit", *sys.argv[1:]))
    cases = load_specs(paths, project)
    with pipeline.worker_pool(settings) as pool, Progress(sys.stderr, shown=_shown(quiet)) as progress:
        return pipeline.audit(cases, settings, progress.on, pool)


def _shown(quiet: bool) -> bool:
    return not quiet and sys.stderr.isatty()
