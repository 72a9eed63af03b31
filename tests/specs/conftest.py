"""What the tests of specs share: a fixed set of backends, and a short way to read a text."""

from __future__ import annotations

import pytest

from gradaudit import plugins
from gradaudit.records.case import Case
from gradaudit.specs.loading import load_text

BACKENDS = ("numpy", "onnxruntime", "torch")
CODES = ("BUG461", "CAN101", "CAN103", "SAT201", "SAT202")


@pytest.fixture(autouse=True)
def _three_backends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests know three backends, whatever is installed."""
    known = plugins.names
    monkeypatch.setattr(plugins, "names", lambda group: BACKENDS if group == "gradaudit.backends" else known(group))


def one_case(text: str, base_directory: str = ".") -> Case:
    """The only case of a spec's text, `version: 1` put before it."""
    (case,) = load_text("version: 1\n" + text, "spec.yaml", base_directory, known_codes=CODES)
    return case
