"""The pytest plugin: every `*.gradaudit.yaml` is collected, one item a case, and fails with the text of the CLI.

All items of a session share one pool of workers; with pytest-xdist each of its processes has one. Options are those
of `gradaudit check` behind `--gradaudit-`; they win over `GRADAUDIT_*` in the environment, and that over
`[tool.gradaudit]`. Loading the plugin imports no framework, and of gradaudit nothing but this module.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gradaudit.pipeline import Settings
    from gradaudit.records.case import Case
    from gradaudit.records.report import Report
    from gradaudit.workers.pool import Pool

SUFFIX = ".gradaudit.yaml"
MARKER = "gradaudit"

LISTS = ("select", "ignore")
OPTIONS: Mapping[str, tuple[type, str, str]] = {
    "select": (str, "CODES", "only rules whose code begins so, e.g. CAN,DIV301"),
    "ignore": (str, "CODES", "all rules but those whose code begins so"),
    "fail-on": (str, "SEVERITY", "least severity that fails a case: error (default), warning or info"),
    "baseline": (str, "FILE", "fail for what is new or worse than in this file alone"),
    "timeout": (float, "SECONDS", "for one evaluation, then it is killed (default: 60)"),
    "max-memory": (str, "SIZE", "cap for each worker, e.g. 2GB or 512MiB"),
    "seed": (int, "N", "for what a spec leaves to chance (default: 0)"),
}
"""Options: what their text is read as, its name in the help, and the help."""


class AuditFailedError(Exception):
    """A case did not pass; the text is that of `gradaudit check`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options and the ini key `gradaudit_disable`."""
    group = parser.getgroup("gradaudit", "gradaudit: audits of gradients")
    for name, (kind, metavar, text) in OPTIONS.items():
        action = "append" if name in LISTS else "store"
        group.addoption(f"--gradaudit-{name}", action=action, type=kind, metavar=metavar, default=None, help=text)
    group.addoption("--gradaudit-disable", action="store_true", help=f"collect no *{SUFFIX}")
    parser.addini("gradaudit_disable", f"collect no *{SUFFIX}", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that every collected case has; check the options where there are any."""
    config.addinivalue_line("markers", f"{MARKER}: a case of a *{SUFFIX} file, collected by gradaudit")
    if any(config.getoption(f"--gradaudit-{name}") is not None for name in OPTIONS):
        _settings(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the workers of the session."""
    pool = config.stash.get(_POOL, None)
    if pool is not None:
        del config.stash[_POOL]
        pool.__exit__(None, None, None)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A collector for every spec that is named so, unless the plugin is disabled."""
    config = parent.config
    if not file_path.name.endswith((SUFFIX, ".gradaudit.yml")):
        return None
    if config.getoption("--gradaudit-disable") or config.getini("gradaudit_disable"):
        return None
    return SpecFile.from_parent(parent, path=file_path)


class SpecFile(pytest.File):
    """One spec; its cases are its items."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item for each case; CollectError with `file:line:column` where the spec is malformed."""
        from gradaudit.errors import GradauditError
        from gradaudit.rules import registry
        from gradaudit.specs.loading import load

        # The path as `gradaudit check` shows it, when it is run from where pytest was.
        shown = os.path.relpath(self.path, self.config.invocation_params.dir)
        try:
            cases = load([shown], known_codes=registry.codes)
        except GradauditError as error:
            raise self.CollectError(str(error)) from None
        for case in cases:
            yield SpecCase.from_parent(self, name=case.name, case=case)


class SpecCase(pytest.Item):
    """One case of a spec."""

    def __init__(self, *, case: Case, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.case = case
        self.add_marker(MARKER)

    def runtest(self) -> None:
        """Audit the case; AuditFailedError where `gradaudit check` would not exit 0."""
        from gradaudit import pipeline
        from gradaudit.testing.verdict import failure

        settings = _settings(self.config)
        report: Report = pipeline.audit((self.case,), settings, None, _pool(self.config, settings))
        if report.interrupted:
            raise KeyboardInterrupt
        report = self._against_the_baseline(report, settings)
        text = failure(report)
        if text is not None:
            raise AuditFailedError(text)

    def _against_the_baseline(self, report: Report, settings: Settings) -> Report:
        """The report, against the baseline if there is one: this case has its place among all that were collected."""
        if settings.baseline is None:
            return report
        from gradaudit.regression.marking import case_held_against

        items = [item for item in self.session.items if isinstance(item, SpecCase)]
        names = tuple(item.case.name for item in items)
        return case_held_against(report, settings.baseline, self.config.stash[_BASELINE], names, items.index(self))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The text of the audit, or of a request that makes no sense; anything else with its traceback."""
        from gradaudit.errors import GradauditError

        if isinstance(excinfo.value, (AuditFailedError, GradauditError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the case stands in the spec, and its name."""
        line = self.case.source.line
        return self.path, None if line is None else line - 1, self.name


_POOL = pytest.StashKey["Pool"]()
_SETTINGS = pytest.StashKey["Settings"]()
_BASELINE = pytest.StashKey[str]()
"""The path of the baseline that the settings hold."""


def _pool(config: pytest.Config, settings: Settings) -> Pool:
    """The workers of this process, started by the first case that needs them."""
    if _POOL not in config.stash:
        from gradaudit import pipeline

        config.stash[_POOL] = pipeline.worker_pool(settings)
    return config.stash[_POOL]


def _settings(config: pytest.Config) -> Settings:
    """What options, environment and [tool.gradaudit] ask for; UsageError where that makes no sense."""
    if _SETTINGS not in config.stash:
        from gradaudit.cli import baseline_files, project_file
        from gradaudit.cli.run_settings import run_settings
        from gradaudit.errors import GradauditError

        try:
            project = project_file.read(config.invocation_params.dir)
            chosen = {key: value for key, value in project.values.items() if key in OPTIONS}
            origins = {key: project.place(key) for key in chosen}
            if "baseline" in chosen:
                chosen["baseline"] = project_file.baseline(project)
            for given, places in (_from_environment(), _from_options(config)):
                chosen |= given
                origins |= places
            settings = run_settings(chosen, origins, ("pytest", *config.invocation_params.args))
            if "baseline" in chosen:
                config.stash[_BASELINE] = path = str(chosen["baseline"])
                settings = replace(settings, baseline=baseline_files.read(path, origins["baseline"]))
            config.stash[_SETTINGS] = settings
        except GradauditError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[_SETTINGS]


def _from_environment() -> tuple[dict[str, Any], dict[str, str]]:
    """Values and where they stood; UsageError for a number that is none."""
    found: dict[str, Any] = {}
    names = {name: f"GRADAUDIT_{name.replace('-', '_').upper()}" for name in OPTIONS}
    for name, variable in names.items():
        text = os.environ.get(variable)
        if not text:
            continue
        try:
            found[name] = [text] if name in LISTS else OPTIONS[name][0](text)
        except ValueError:
            raise pytest.UsageError(f"{variable}={text!r}: expected a number") from None
    return found, {name: names[name] for name in found}


def _from_options(config: pytest.Config) -> tuple[dict[str, Any], dict[str, str]]:
    given = {name: config.getoption(f"--gradaudit-{name}") for name in OPTIONS}
    found = {name: value for name, value in given.items() if value is not None}
    return found, {name: f"--gradaudit-{name}" for name in found}
