"""One report by hand for every format, and plain-text snapshots of what they make of it."""

import os
from pathlib import Path

import pytest

from tests.reports import sample_report, subject_report

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = "GRADAUDIT_UPDATE_SNAPSHOTS"


@pytest.fixture(scope="session")
def report():
    return sample_report.sample_report()


@pytest.fixture(scope="session")
def friendly_report():
    """The report without the hostile case."""
    return sample_report.sample_report(sample_report.forum_case(), sample_report.wrong_case())


@pytest.fixture
def snapshot():
    """Compares a text with the file of that name; with GRADAUDIT_UPDATE_SNAPSHOTS=1 writes the file instead."""

    def compare(name, text):
        path = SNAPSHOTS / name
        if os.environ.get(UPDATE) == "1":
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        assert path.exists(), f"no snapshot {path}; write it with {UPDATE}=1 and read it before you commit it"
        assert text == path.read_text(encoding="utf-8"), f"{name} changed; if that is meant, run with {UPDATE}=1"

    return compare


@pytest.fixture(scope="session")
def full_report():
    """Everything there is: backends, failures, users' losses, second order, hostile names."""
    return sample_report.sample_report(
        sample_report.forum_case(),
        sample_report.wrong_case(),
        subject_report.subject_case(),
        sample_report.hostile_case(),
    )
