"""Every faulty loss of the catalogue is caught, nearly all are named, and nothing is said against a sound one.

Each is audited whole: its own inputs, the standard probes, diagnosis, contract and rules, in this process.
"""

import functools
from typing import Any

import pytest

from gradaudit.records.report import Report
from gradaudit.rules import registry
from gradaudit.testing import audit_gradients
from tests.catalogue import (
    faults_of_contract,
    faults_of_mathematics,
    faults_of_range,
    faults_of_reduction,
    faults_of_targets,
    sound_losses,
)
from tests.catalogue.entries import FAULTY, SOUND, Entry

MODULES = (
    faults_of_contract,
    faults_of_mathematics,
    faults_of_range,
    faults_of_reduction,
    faults_of_targets,
    sound_losses,
)
NAMED_AT_LEAST = 0.95

ADVICE = frozenset({"BUG464", "CAN103", "CAN104", "CAN105", "DIV305"})
"""Codes that are no errors, and catch what they name all the same: what is lost is within what rounding can do."""


QUICK = (
    "padding_counts_in_the_mean",
    "first_entry_of_the_upstream_gradient_for_all",
    "softmax_backward_lost_its_mean",
    "scale_of_the_logits_forgotten",
    "cast_that_copies_nothing",
    "chunks_of_rows_over_one_count",
    "two_passes",
    "softmax_of_logarithms",
)
"""A sample that is audited whenever tests are run; the others are slow, all together."""


def sampled(entries: dict[str, Entry]) -> list[Any]:
    return [
        pytest.param(entry, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for name, entry in entries.items()
    ]


@functools.cache
def report_on(entry_name: str) -> Report:
    entry = FAULTY.get(entry_name) or SOUND[entry_name]
    return audit_gradients(entry.loss, **entry.arguments)


def found(entry: Entry) -> tuple[set[str], set[str]]:
    """The codes of errors, and of everything that is found."""
    (case,) = report_on(entry.name).cases
    errors = {finding.code for finding in case.findings if finding.severity == "error"}
    return errors, {finding.code for finding in case.findings}


def is_named(entry: Entry) -> bool:
    errors, codes = found(entry)
    return any(code in errors or code in codes & ADVICE for code in entry.codes)


@pytest.mark.parametrize("entry", sampled(FAULTY))
def test_a_fault_is_caught(entry):
    errors, _ = found(entry)
    assert errors or is_named(entry), f"{entry.codes} expected, nothing found"


@pytest.mark.parametrize("name", [name for name in QUICK if name in FAULTY])
def test_a_fault_of_the_sample_is_named(name):
    assert is_named(FAULTY[name]), found(FAULTY[name])


@pytest.mark.slow
def test_faults_are_named():
    others = {name: (entry.codes, sorted(found(entry)[0])) for name, entry in FAULTY.items() if not is_named(entry)}
    assert len(others) <= (1 - NAMED_AT_LEAST) * len(FAULTY), others


@pytest.mark.parametrize("entry", sampled(SOUND))
def test_nothing_is_said_against_a_sound_loss(entry):
    (case,) = report_on(entry.name).cases
    assert [f"{finding.code} {finding.message}" for finding in case.findings if finding.severity == "error"] == []
    assert {failure.kind for failure in case.failures} <= {"refused"}


def test_every_class_of_faults_is_there():
    """One entry at least for every named fault of the mathematics, and for what shows on probes alone."""
    covered = {code for entry in FAULTY.values() for code in entry.codes}
    bugs = {code for code in registry.codes() if code.startswith("BUG")} - {"BUG499"}
    assert bugs <= covered
    assert {"CON501", "CAN103", "CAN104", "CAN105", "DIV303", "DIV305"} <= covered


def test_every_function_of_the_modules_is_entered():
    for module in MODULES:
        for name, value in vars(module).items():
            if callable(value) and getattr(value, "__module__", "") == module.__name__ and name[0] != "_":
                assert name in FAULTY or name in SOUND, name
    assert len(FAULTY) >= 64
    assert len(SOUND) >= 12
