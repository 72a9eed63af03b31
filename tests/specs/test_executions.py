"""`execution:` makes one row of a subject for each of those that its framework offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradaudit.specs.loading import load_text
from gradaudit.specs.plan import plan

SPEC = """
version: 1
function: cross_entropy
logits: [[1, 2, 3]]
targets: [0]
execution: {execution}
probes: none
subjects: [{{{framework}: losses.py:loss}}]
"""


@pytest.fixture(autouse=True)
def _losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "losses.py").write_text("def loss(logits, targets):\n    return logits\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("framework", "asked", "rows"),
    [
        ("jax", "eager", {"loss": "eager"}),
        ("jax", "[eager, graph, compiled]", {"loss": "eager", "loss, compiled": "compiled"}),
        ("tensorflow", "[graph, compiled]", {"loss, graph": "graph", "loss, compiled": "compiled"}),
        ("torch", "[compiled, eager]", {"loss, compiled": "compiled", "loss": "eager"}),
        ("numpy", "[eager, compiled]", {"loss": "eager"}),
        ("numpy", "[compiled]", {"loss, compiled": "compiled"}),  # to be refused, not left out
    ],
)
def test_rows(framework: str, asked: str, rows: dict[str, str]) -> None:
    (case,) = load_text(SPEC.format(framework=framework, execution=asked), "spec.yaml")
    assert {each.name: each.execution for each in case.subjects} == rows
    keys = [key for planned in plan((case,)).inputs for key in planned.keys]
    assert {key.subject: key.execution for key in keys} == rows
    (planned,) = plan((case,)).inputs
    for key in keys:
        subject = planned.subject(key)
        assert subject is not None
        assert subject.execution == key.execution
