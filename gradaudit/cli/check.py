"""`gradaudit check`: audit specs, or one case from flags."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradaudit.cli.run_flags import FailOn, Ignore, Jobs, MaxMemory, Seed, Select, StartupTimeout, Timeout
from gradaudit.cli.run_settings import run_settings
from gradaudit.cli.spec_flags import Given, with_spec_flags
from gradaudit.cli.streams import Color, color_system, page_width, say, write, write_lines
from gradaudit.errors import AuditError

if TYPE_CHECKING:
    from gradaudit.cli.project_file import ProjectFile
    from gradaudit.pipeline import Settings
    from gradaudit.records.case import Case
    from gradaudit.records.report import Report
    from gradaudit.workers.pool import Pool

FINDINGS, NOT_AUDITED, INTERRUPTED = 1, 3, 130
FULL = "full"


@with_spec_flags
def check(  # noqa: PLR0917 - Typer passes every option by name
    given: Given,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="Spec files or folders; - is standard input. Without paths and flags: the specs of "
            "[tool.gradaudit], else *.gradaudit.yaml below here.",
        ),
    ] = None,
    output_format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Format on standard output: full, concise, github, ... [default: full]"),
    ] = None,
    report: Annotated[
        list[str] | None,
        typer.Option(metavar="FORMAT=PATH", help="Also write a report to a file; any number of times."),
    ] = None,
    max_findings: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            envvar="GRADAUDIT_MAX_FINDINGS",
            help="List the N worst findings; files for machines and the status keep all.",
        ),
    ] = None,
    select: Select = None,
    ignore: Ignore = None,
    fail_on: FailOn = None,
    fail_fast: Annotated[
        bool | None,
        typer.Option(
            "--fail-fast/--no-fail-fast",
            envvar="GRADAUDIT_FAIL_FAST",
            help="Stop after the first case that fails; the report names the cases that were not run.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            envvar="GRADAUDIT_SHARD",
            help="Audit one of N parts: cases I, I+N, ... `gradaudit merge` puts the reports together.",
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            envvar="GRADAUDIT_RESUME",
            help="Keep finished cases there, and take from there those about which nothing has changed.",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            envvar="GRADAUDIT_BASELINE",
            help="Exit 1 for what is new or worse than in this file alone; `gradaudit baseline --help` tells when.",
        ),
    ] = None,
    no_baseline: Annotated[
        bool, typer.Option("--no-baseline", help="Leave the baseline that [tool.gradaudit] names aside.")
    ] = False,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit 0 in spite of findings.")] = False,
    timeout: Timeout = None,
    startup_timeout: StartupTimeout = None,
    max_memory: MaxMemory = None,
    jobs: Jobs = None,
    seed: Seed = None,
    save_failures: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Save every failing evaluation with its inputs, for `gradaudit replay`."),
    ] = None,
    save_limit: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Bytes that are saved at most. [default: 1GB]")
    ] = None,
    color: Annotated[
        Color, typer.Option(help="Colours; goes before NO_COLOR, and that before FORCE_COLOR.")
    ] = "auto",
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no notes, errors only.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Details of failures, tracebacks.")] = False,
    prove: Annotated[
        bool, typer.Option("--prove", help="Plant every kind of fault, and count what this audit catches and names.")
    ] = False,
    semantics: Annotated[
        bool,
        typer.Option("--semantics", help="Print what frameworks answer where the mathematics leaves something open."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan (evaluations, bytes) and start nothing.")
    ] = False,
) -> int:
    """Audit specs, or one case from flags.

    The flags after --dry-run stand for keys of a spec: with paths they replace those keys in every case, without
    paths they are the case.
    """
    from gradaudit.cli import against_baseline, baseline_files, checkout, failures, project_file, report_formats

    project = project_file.read(Path.cwd())
    flags = {
        "output-format": output_format,
        "select": select,
        "ignore": ignore,
        "fail-on": fail_on,
        "fail-fast": fail_fast,
        "max-findings": max_findings,
        "timeout": timeout,
        "startup-timeout": startup_timeout,
        "max-memory": max_memory,
        "jobs": jobs,
        "seed": seed,
        "save-failures": save_failures,
        "save-limit": save_limit,
    }
    on_line = {key: value for key, value in flags.items() if value not in (None, [])}
    chosen = {**project.values, **on_line}
    origins = {key: f"--{key}" if key in on_line else project.place(key) for key in chosen}
    shown = report_formats.known(str(chosen.get("output-format", FULL)), origins.get("output-format", ""))
    files = report_formats.requested(report or [])
    compared = baseline_files.chosen(baseline, no_baseline, project)
    held = None if compared is None else baseline_files.read(*compared)
    saving = failures.requested(chosen, origins)
    settings = run_settings(
        {**chosen, "prove": prove, "shard": shard, "resume": resume}, origins, ("gradaudit", *sys.argv[1:])
    )

    from gradaudit import pipeline

    settings = replace(settings, baseline=held)
    if semantics:
        from gradaudit.cli.semantics import show

        return show(settings, _texts(given, "backend"), str(chosen.get("output-format", FULL)), quiet=quiet)
    if dry_run:
        write_lines(pipeline.plan(pipeline.part(_cases(paths or [], given, project), settings), settings).describe())
        return 0
    with pipeline.worker_pool(settings) as pool:
        # Frameworks take seconds to import: the likely ones begin before the specs are read.
        pool.warm(_likely_backends(paths or [], given))
        for framework in _likely_frameworks(paths or [], given):
            pool.subject_process(framework)
        cases = _cases(paths or [], given, project)
        result = _audited(cases, settings, pool, quiet, shown == FULL)
        result, saved, unsaved = (
            failures.save(result, cases, settings, pool, saving) if saving else (result, [], False)
        )
    result = replace(result, max_findings=settings.max_findings)
    if compared is not None and held is not None:
        result = against_baseline.held_against(result, held, compared[0])
    result = replace(result, files=checkout.files(result))
    # Files first: whatever becomes of the page, they hold the result.
    incomplete = _written(result, files) or unsaved
    _show(result, shown, color, verbose, quiet)
    for line in saved:
        if unsaved or not quiet:
            say(line)
    if prove and not quiet and not any(case.exposures for case in result.cases):
        say("--prove planted nothing: faults are planted into exact results of subjects, and no case has any")
    if result.interrupted and resume and not quiet:
        say(f"finished cases are kept in {resume}; the same command goes on from there")
    status = result.exit_status
    if incomplete:
        return status if status == INTERRUPTED else NOT_AUDITED
    if exit_zero and status == FINDINGS:
        if not quiet:
            say("exit status 0 in place of 1, as --exit-zero asks")
        return 0
    return status


def _cases(paths: Sequence[str], given: Given, project: ProjectFile) -> tuple[Case, ...]:
    """The cases that were asked for: by paths (which flags change), by flags alone, or by the project."""
    from gradaudit.cli.spec_sources import load_specs
    from gradaudit.rules import registry
    from gradaudit.specs.flags import case_from_flags, overrides_from_flags

    if paths or not any(given.values()):
        return load_specs(paths, project, overrides_from_flags(given))
    return (case_from_flags(given, registry.codes),)


def _likely_backends(paths: Sequence[str], given: Given) -> tuple[str, ...]:
    from gradaudit.records.case import DEFAULT_BACKENDS
    from gradaudit.specs.peek import peek

    if given.get("subject") and not given.get("backend"):
        return ()
    return peek(paths, None, _texts(given, "backend"), DEFAULT_BACKENDS)


def _likely_frameworks(paths: Sequence[str], given: Given) -> tuple[str, ...]:
    from gradaudit.specs.peek import peek_subjects

    return peek_subjects(paths, None, _texts(given, "subject"))


def _texts(given: Given, flag: str) -> Sequence[str]:
    named = given.get(flag) or ()
    return [named] if isinstance(named, str) else named


def _audited(cases: tuple[Case, ...], settings: Settings, pool: Pool, quiet: bool, show_full: bool) -> Report:
    from gradaudit import pipeline
    from gradaudit.cli.progress import Progress

    def on_event(event: pipeline.ProgressEvent) -> None:
        if show_full:
            # The slower workers still compute; Rich is imported meanwhile, not after them.
            import gradaudit.reports.console.full  # noqa: F401

        progress.on(event)

    with Progress(sys.stderr, shown=not quiet and sys.stderr.isatty()) as progress:
        return pipeline.audit(cases, settings, on_event, pool)


def _show(report: Report, name: str, color: Color, verbose: bool, quiet: bool) -> None:
    """The report on standard output; `full` fits the terminal, and the line-wise format closes on standard error."""
    from gradaudit.cli import report_formats

    if name == FULL:
        from gradaudit.reports.console import full

        colors = color_system(color, sys.stdout, os.environ)
        write(full.render(report, width=page_width(), color_system=colors, verbose=verbose))
        return
    write(report_formats.of_audit(name, report))
    if report.exit_status or not quiet:
        from gradaudit.cli import against_baseline

        against_baseline.tell(report)
    if (report.interrupted or not quiet) and name != "github":
        # GitHub's log shows both streams, and the annotations end with the same line.
        from gradaudit.reports.summary import summary

        say(summary(report)[1])


def _written(report: Report, files: Sequence[tuple[str, Path]]) -> bool:
    """Write every report file that can be; whether any could not."""
    from gradaudit.cli import report_formats

    failed = False
    for name, path in files:
        try:
            report_formats.write_file(report_formats.of_audit(name, report), path)
        except AuditError as error:
            say(str(error), prefix="error: ")
            failed = True
    return failed
