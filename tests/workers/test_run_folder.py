"""Arrays on their way: stored once for all, exact to the bit, deleted when nobody holds them."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from gradaudit.records.evaluation import Evaluation
from gradaudit.workers import run_folder
from tests.workers.conftest import Start, ask, make_inputs


def test_an_array_is_stored_once_for_all_backends(tmp_path: Path) -> None:
    inputs = make_inputs()
    first, second = run_folder.shared(tmp_path), run_folder.shared(tmp_path / "." / "")
    assert first is second
    with ThreadPoolExecutor(max_workers=8) as pool:
        stored = list(pool.map(lambda _: first.store(inputs), range(32)))
    assert all(paths == stored[0] for paths in stored)
    assert sorted(stored[0]) == ["logits", "upstream"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_file_goes_with_its_array(tmp_path: Path) -> None:
    folder = run_folder.shared(tmp_path)
    kept, inputs = make_inputs(), make_inputs()
    folder.store(kept)
    folder.store(inputs)
    assert len(list(tmp_path.iterdir())) == 4
    del inputs
    gc.collect()
    assert {str(path) for path in tmp_path.iterdir()} == set(folder.store(kept).values())


def test_a_scalar_is_an_array_too(tmp_path: Path) -> None:
    folder = run_folder.shared(tmp_path)
    inputs = make_inputs(upstream=np.float32(0.1))
    stored = np.load(folder.store(inputs)["upstream"])
    assert folder.store(inputs) == folder.store(inputs)
    assert stored.shape == ()
    assert stored == np.float32(0.1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_arrays_travel_bit_by_bit(start: Start, dtype: type) -> None:
    """Every float16 and bfloat16 there is, NaN payloads and subnormal numbers included."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    values = bits.view(dtype) if np.dtype(dtype).itemsize == 2 else np.random.default_rng(0).bytes(1 << 16)
    logits = np.frombuffer(values, dtype) if isinstance(values, bytes) else values
    logits = logits.reshape(2, -1)
    if dtype is np.float64:
        paths = run_folder.shared(Path(start()._folder.path)).store(make_inputs(logits))
        stored = np.load(paths["logits"])
        np.testing.assert_array_equal(stored.view(np.uint64), logits.view(np.uint64))
        return
    result = ask(start(), "fused", make_inputs(logits))
    assert isinstance(result, Evaluation)
    assert result.output.dtype == logits.dtype
    np.testing.assert_array_equal(result.output.view(np.uint8), logits.view(np.uint8))


def test_a_mapped_file_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "logits.npy"
    np.save(path, np.arange(12, dtype=np.float32).reshape(3, 4))
    folder = run_folder.shared(tmp_path)
    whole = np.load(path, mmap_mode="r")
    assert folder.store(make_inputs(whole))["logits"] == str(path)


@pytest.mark.parametrize(
    "view",
    [
        lambda whole: whole[1:],
        lambda whole: whole[::-1],
        lambda whole: whole[:, :2],
        lambda whole: whole.T,
        lambda whole: whole * np.float32(2.0),
        lambda whole: whole.astype(np.float16),
        lambda whole: np.broadcast_to(whole[:1], whole.shape),
        lambda whole: whole.view(np.int32).view(np.float32)[:, ::-1],
    ],
)
def test_what_is_not_the_whole_file_is_stored_anew(tmp_path: Path, view: object) -> None:
    path = tmp_path / "logits.npy"
    np.save(path, np.arange(12, dtype=np.float32).reshape(3, 4))
    array = view(np.load(path, mmap_mode="r"))  # type: ignore[operator]
    inputs = make_inputs(array)
    stored = run_folder.shared(tmp_path).store(inputs)["logits"]
    assert stored != str(path)
    np.testing.assert_array_equal(np.load(stored), array)


def test_foreign_byte_order_and_order_of_axes_are_not_passed_on(tmp_path: Path) -> None:
    folder = run_folder.shared(tmp_path)
    for name, array in (
        ("big.npy", np.arange(6.0, dtype=">f4").reshape(2, 3)),
        ("fortran.npy", np.asfortranarray(np.arange(6.0, dtype=np.float32).reshape(2, 3))),
    ):
        np.save(tmp_path / name, array)
        inputs = make_inputs(np.load(tmp_path / name, mmap_mode="r"))
        stored = np.load(folder.store(inputs)["logits"])
        assert stored.dtype.isnative
        assert stored.flags.c_contiguous
        np.testing.assert_array_equal(stored, array)


def test_large_results_outlive_their_file(start: Start, tmp_path: Path) -> None:
    logits = np.arange(1 << 19, dtype=np.float32).reshape(2, -1)
    result = ask(start(), "fused", make_inputs(logits))
    assert isinstance(result, Evaluation)
    assert not list(tmp_path.glob("misbehaving-*"))
    np.testing.assert_array_equal(result.gradient, 2 * logits)
