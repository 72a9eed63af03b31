"""How tests are spread over processes, and that these do not get in each other's way."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/backends/", "tests/end_to_end/")
"""Folders whose files share fixtures that are dear: one process takes all of their tests."""

APART = (
    "tests/properties/test_measurement.py::",
    "tests/properties/test_truth.py::",
    "tests/reference/test_enclosure_contains.py::test_every_",
    "tests/reference/test_tolerance_teeth.py::test_backends_",
    "tests/soak/test_soak.py::test_every_",
    "tests/sound/test_sound_losses.py::",
)
"""Long tests that share nothing with the others of their file: whichever process is free takes the next of them."""

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as many processes as cores run already; read when torch is imported


def unit_of(test: str) -> str:
    """What a test goes to a process with, by its id: the file, unless it is told otherwise above."""
    if test.startswith(APART):
        return test
    return next((folder for folder in TOGETHER if test.startswith(folder)), test.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """Spread by `unit_of`, whatever is large first."""
    from xdist.scheduler import LoadScopeScheduling

    class ByUnit(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return unit_of(nodeid)

    return ByUnit(config, log)
