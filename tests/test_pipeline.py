"""The composition root: what it tells of its progress, and what it hands on to the workers."""

import textwrap

import pytest

from gradaudit import pipeline
from gradaudit.specs import loading

SPEC = """
version: 1
cases:
  - name: own
    function: softmax
    logits: [[0.0, 1.0]]
    probes: none
    subjects: [{numpy: losses.py:softmax}]
  - {name: backend alone, function: softmax, logits: [[0.0, 1.0]], backends: [numpy]}
"""
LOSSES = """
    import numpy as np


    def softmax(logits, upstream):
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return p, p * (upstream - (p * upstream).sum(axis=1, keepdims=True))
"""


@pytest.fixture
def cases(tmp_path):
    (tmp_path / "losses.py").write_text(textwrap.dedent(LOSSES), encoding="utf-8")
    return tuple(loading.load_text(SPEC, str(tmp_path / "spec.yaml"), str(tmp_path)))


def test_the_diagnosis_of_subjects_is_announced(cases):
    events = []
    pipeline.audit(cases, pipeline.Settings(), events.append)
    assert [event.text for event in events] == [
        "own: softmax numpy float32",
        "diagnosing own",
        "backend alone: numpy fused float32",
    ]
    assert [(event.done, event.total) for event in events] == [(1, 2), (1, 2), (2, 2)]


def test_limits_reach_the_workers():
    settings = pipeline.Settings(timeout=2.5, startup_timeout=9.0, max_memory=1 << 30, threads=2)
    with pipeline.worker_pool(settings) as pool:
        limits = pool._settings
    assert (limits.timeout, limits.startup_timeout, limits.max_memory, limits.threads) == (2.5, 9.0, 1 << 30, 2)
