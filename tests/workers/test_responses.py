"""Responses that a worker of ours would not send: each is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradaudit.records.function_call import FunctionCall
from gradaudit.workers import responses
from tests.workers.conftest import make_inputs


def described(path: object, dtype: str = "float32") -> dict[str, object]:
    return {"arrays": {"output": {"path": str(path), "dtype": dtype}}}


def refusal(response: dict[str, object], folder: Path) -> str:
    with pytest.raises(responses.BadResponseError) as caught:
        responses.array(response, "output", folder, (2,))
    return str(caught.value)


def test_what_is_there_is_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "output.npy", np.ones(2, np.float32))
    np.testing.assert_array_equal(
        responses.array(described(tmp_path / "output.npy"), "output", tmp_path, (2,)), np.ones(2)
    )


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    assert refusal(described(tmp_path / "output.npy"), tmp_path).startswith("output: FileNotFoundError: ")


def test_a_file_somewhere_else(tmp_path: Path) -> None:
    np.save(tmp_path / "output.npy", np.ones(2, np.float32))
    folder = tmp_path / "evaluation"
    assert refusal(described(folder / ".." / "output.npy"), folder).startswith("output: a file in ")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"no array", b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}"])
def test_a_file_that_is_no_array(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "output.npy").write_bytes(content)
    assert refusal(described(tmp_path / "output.npy"), tmp_path).startswith("output: ")


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    np.save(tmp_path / "output.npy", np.array([{}, {}]), allow_pickle=True)
    assert "allow_pickle" in refusal(described(tmp_path / "output.npy"), tmp_path)


def test_an_archive(tmp_path: Path) -> None:
    with (tmp_path / "output.npy").open("wb") as file:
        np.savez(file, np.ones(2))
    assert (
        refusal(described(tmp_path / "output.npy"), tmp_path) == "output: an .npy file was expected, an archive came"
    )


def test_a_mapped_file_that_is_too_short(tmp_path: Path) -> None:
    path = tmp_path / "output.npy"
    np.save(path, np.ones(1 << 20, np.float32))
    with path.open("r+b") as file:
        file.truncate(1 << 21)
    assert refusal(described(path), tmp_path).startswith("output: ValueError: ")


@pytest.mark.parametrize("response", [{}, {"arrays": None}, {"arrays": {"output": 3}}])
def test_nothing_at_all(tmp_path: Path, response: dict[str, object]) -> None:
    assert refusal(response, tmp_path) == "output: nothing was returned"


@pytest.mark.parametrize(
    ("function", "parameters", "output", "jacobian"),
    [
        ("softmax", {}, (2, 3), (3, 2, 3)),
        ("log_softmax", {}, (2, 3), (3, 2, 3)),
        ("logsumexp", {}, (2,), (1, 2, 3)),
        ("cross_entropy", {"reduction": "none"}, (2,), (1, 2, 3)),
        ("cross_entropy", {"reduction": "mean"}, (), (1, 2, 3)),
        ("cross_entropy", {}, (), (1, 2, 3)),
    ],
)
def test_shapes_of_a_jacobian(
    function: str, parameters: dict[str, object], output: tuple[int, ...], jacobian: tuple[int, ...]
) -> None:
    inputs = make_inputs(function=FunctionCall(function, parameters), per_output=True, upstream=None)
    assert responses.expected_shapes(inputs) == (output, "jacobian", jacobian)
