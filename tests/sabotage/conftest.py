"""A distribution of untrustworthy backends is installed while these tests run, and audits are one call."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator

import pytest

from gradaudit import pipeline, plugins
from gradaudit.records.report import Report
from gradaudit.specs import loading
from tests.sabotage.backends import ENTRY_POINTS

Audit = Callable[..., Report]


@pytest.fixture(scope="package", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`sabotage`, found on sys.path like any installed distribution."""
    folder = tmp_path_factory.mktemp("site")
    metadata = folder / "sabotage-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: sabotage\nVersion: 1.0\n")
    lines = [f"{name} = tests.sabotage.backends:{value}" for name, value in ENTRY_POINTS.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[gradaudit.backends]", *lines, ""]))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        forget_plugins()
        yield
    forget_plugins()


def forget_plugins() -> None:
    """Have entry points looked up anew."""
    plugins._entries.cache_clear()
    plugins.get.cache_clear()


@pytest.fixture
def audit(monkeypatch: pytest.MonkeyPatch) -> Audit:
    """`audit(spec, ..., LIE="one_nan")`: audit specs in one run, workers seeing these environment variables."""

    def audited(*specs: str, settings: pipeline.Settings | None = None, **environment: str) -> Report:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            return run(specs, settings)

    return audited


def run(specs: tuple[str, ...], settings: pipeline.Settings | None = None) -> Report:
    """The report of one audit of all specs."""
    cases = [
        case for i, spec in enumerate(specs) for case in loading.load_text(textwrap.dedent(spec), f"spec-{i}.yaml")
    ]
    return pipeline.audit(tuple(cases), settings or pipeline.Settings())
