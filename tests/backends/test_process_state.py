"""What counts as a change of the process: what users replace, and not what a package wraps of its own."""

import importlib.util
import json
from types import ModuleType

import pytest

from gradaudit.backends.interface import STANDALONE


@pytest.fixture
def state() -> ModuleType:
    spec = importlib.util.spec_from_file_location("process_state_under_test", STANDALONE / "process_state.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.remember({"json": json}, dict)
    return module


def test_an_untouched_process_has_not_changed(state: ModuleType) -> None:
    assert state.changes() == []


def test_what_a_user_puts_in_its_place_is_told(state: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", lambda text: text)
    assert state.changes() == ["replaces json.loads"]


def test_what_is_taken_away_is_told(state: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(json, "loads")
    assert state.changes() == ["replaces json.loads"]


def test_a_package_may_wrap_its_own(state: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", json.dumps)
    assert state.changes() == []
