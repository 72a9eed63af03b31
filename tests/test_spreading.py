"""Tests are spread over processes by what they share."""

from pathlib import Path

import pytest

from tests.conftest import APART, TOGETHER, unit_of

PROJECT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("test", "unit"),
    [
        ("tests/rules/test_examples.py::test_an_example[BUG401::x]", "tests/rules/test_examples.py"),
        ("tests/soak/test_soak.py::test_no_sound_case", "tests/soak/test_soak.py"),
        ("tests/soak/test_soak.py::test_every_stratum[0]", "tests/soak/test_soak.py::test_every_stratum[0]"),
        ("tests/end_to_end/test_audits.py::test_a", "tests/end_to_end/"),
        ("tests/end_to_end/test_readme.py::test_b", "tests/end_to_end/"),
    ],
)
def test_the_unit_of_a_test(test, unit):
    assert unit_of(test) == unit


def test_what_is_told_apart_or_kept_together_is_there():
    """A renamed file or test would fall back to its file in silence."""
    for prefix in APART:
        file, _, name = prefix.partition("::")
        assert f"def {name or 'test_'}" in (PROJECT / file).read_text(encoding="utf-8"), prefix
    for folder in TOGETHER:
        assert list((PROJECT / folder).glob("test_*.py")), folder
