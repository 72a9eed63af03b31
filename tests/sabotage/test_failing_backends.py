"""A backend that dies, hangs or floods costs its own evaluation, by name, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from gradaudit import pipeline
from gradaudit.records.report import Report
from gradaudit.rules import registry
from gradaudit.workers.channel import Channel
from tests.sabotage.conftest import Audit

SPEC = """
version: 1
name: half of it fails
function: softmax
logits: {random: {distribution: normal, shape: [6, 5], seed: 3}}
upstream: per_output
dtypes: [float16, float32]
backends: [failing, numpy]
"""
SETTINGS = pipeline.Settings(timeout=30.0, max_memory=300 << 20)


@dataclass(frozen=True)
class Failure:
    """What the failing backend does in float16, and by which code and words it is reported."""

    name: str
    code: str
    words: str
    settings: pipeline.Settings = SETTINGS


FAILURES = (
    Failure("exits", "RUN601", "exited with status 0"),
    Failure("segfaults", "RUN601", "SIGSEGV"),
    Failure("hangs", "RUN602", "no answer within 0.7 s", replace(SETTINGS, timeout=0.7)),
    Failure("allocates", "RUN604", "MemoryError"),
    Failure("raises", "RUN605", "RuntimeError: the kernel is out of order"),
)
each_failure = pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)


def assert_reported(report: Report, failure: Failure) -> None:
    """The failure is a finding by name, and the only one: all other evaluations were made and are right."""
    (case,) = report.cases
    lost = [(f.code, f.backend, f.dtype) for f in case.findings if f.severity == "error"]
    assert lost == [(failure.code, "failing", "float16")], f"{failure.name} was not reported, but {lost}"
    (finding,) = (f for f in case.findings if f.code == failure.code)
    assert failure.words in finding.message
    assert report.exit_status == 3
    made = [(m.key.backend, m.key.dtype) for m in case.measurements]
    assert made == [("numpy", "float16"), ("failing", "float32"), ("numpy", "float32")]


@each_failure
def test_a_failure_costs_one_evaluation(audit: Audit, failure: Failure) -> None:
    assert_reported(audit(SPEC, settings=failure.settings, FAILURE=failure.name), failure)


def test_megabytes_on_standard_output_are_nothing_but_noise(audit: Audit, capfd: pytest.CaptureFixture[str]) -> None:
    report = audit(SPEC, settings=SETTINGS, FAILURE="prints")
    (case,) = report.cases
    assert not case.failures
    assert report.exit_status == 0
    captured = {(m.key.backend, m.key.dtype): m.captured for m in case.measurements}
    noise = captured.pop(("failing", "float16"))
    assert noise.endswith("the last line\n")
    assert 1024 < len(noise) < 1 << 20
    assert set(captured.values()) == {""}
    assert capfd.readouterr() == ("", "")


def test_values_are_those_of_an_audit_without_noise(audit: Audit) -> None:
    noisy, quiet = (audit(SPEC, settings=SETTINGS, FAILURE=name) for name in ("prints", "nothing"))
    for loud, calm in zip(noisy.cases[0].measurements, quiet.cases[0].measurements, strict=True):
        assert (loud.jacobian.values.got == calm.jacobian.values.got).all()


# ------------------------------------------------------------------------------------ it can be seen to fail


def test_a_working_backend_is_not_reported(audit: Audit) -> None:
    report = audit(SPEC, settings=SETTINGS, FAILURE="nothing")
    for failure in FAILURES:
        with pytest.raises(AssertionError, match="was not reported"):
            assert_reported(report, failure)


def has_no_rule(monkeypatch: pytest.MonkeyPatch, failure: Failure) -> None:
    left = tuple(rule for rule in registry.rules() if rule.code != failure.code)
    monkeypatch.setattr(registry, "rules", lambda: left)


def takes_all_deaths_for_crashes(monkeypatch: pytest.MonkeyPatch, _: Failure) -> None:
    """No timeout, no cap: what goes on for too long is killed, and nobody knows why."""
    right = Channel._converse

    def converse(channel: Channel, unsent: bytes, deadline: float, timeout: float) -> bytes:
        try:
            return right(channel, unsent, deadline, timeout)
        except Exception:
            channel.kill()
            raise channel._death() from None

    monkeypatch.setattr(Channel, "_converse", converse)


BROKEN: tuple[tuple[Failure, Callable[[pytest.MonkeyPatch, Failure], None]], ...] = (
    *((failure, has_no_rule) for failure in FAILURES),
    *((failure, takes_all_deaths_for_crashes) for failure in FAILURES if failure.name == "hangs"),
)


@pytest.mark.slow
@pytest.mark.parametrize(("failure", "broken"), BROKEN, ids=[f"{f.name}-{b.__name__}" for f, b in BROKEN])
def test_a_broken_tool_is_seen(
    monkeypatch: pytest.MonkeyPatch,
    audit: Audit,
    failure: Failure,
    broken: Callable[[pytest.MonkeyPatch, Failure], None],
) -> None:
    broken(monkeypatch, failure)
    report = audit(SPEC, settings=failure.settings, FAILURE=failure.name)
    with pytest.raises(AssertionError, match="was not reported"):
        assert_reported(report, failure)
