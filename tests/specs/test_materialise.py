"""The arrays of a case: drawn, read, generated; the same bits for the same seeds."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from gradaudit.errors import RequestError, SpecError
from gradaudit.records.inputs import Inputs
from gradaudit.specs.materialise import materialise, needs_torch
from tests.specs.conftest import one_case


def no_torch(distribution: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    raise AssertionError("torch was asked to draw")


def inputs(text: str, dtype: str = "float32", scale: float = 1.0, seed: int = 0, folder: str = ".") -> Inputs:
    return materialise(one_case(text, folder), dtype, scale, seed, no_torch)


def same(first: Inputs, second: Inputs) -> bool:
    """Whether all arrays are equal, bit by bit."""
    pairs = [(getattr(first, name), getattr(second, name)) for name in ("logits", "targets", "upstream", "weight")]
    return all((a is None and b is None) or (a.dtype == b.dtype and a.tobytes() == b.tobytes()) for a, b in pairs)


def test_inline_logits_are_scaled_in_float64_and_rounded_once() -> None:
    made = inputs("function: softmax\nlogits: [[0.1, 2, -.inf]]\n", "bfloat16", 10.0)
    assert made.logits.dtype == ml_dtypes.bfloat16
    assert made.logits.shape == (1, 3)
    np.testing.assert_array_equal(made.logits.astype(np.float64), [[1.0, 20.0, -np.inf]])
    assert (made.axis, made.per_output, made.targets, made.weight) == ((1,), False, None, None)
    np.testing.assert_array_equal(made.upstream, np.ones((1, 3)))
    assert made.upstream is not None
    assert made.upstream.dtype == ml_dtypes.bfloat16


def test_finite_logits_beyond_the_dtype_become_infinite() -> None:
    assert inputs("function: softmax\nlogits: [1000, -70000]\n", "float16", 100.0).logits.tolist() == [
        np.inf,
        -np.inf,
    ]


def test_numpy_draws_are_those_of_default_rng() -> None:
    text = "function: softmax\nlogits: {random: {shape: [4, 5], seed: 42, scale: 3}}\n"
    expected = (np.random.default_rng(42).standard_normal((4, 5)) * 3.0 * 10.0).astype(np.float32)
    np.testing.assert_array_equal(inputs(text, scale=10.0, seed=9).logits, expected)
    uniform = inputs(text.replace("seed: 42", "seed: 42, distribution: uniform"), "float64")
    np.testing.assert_array_equal(uniform.logits, np.random.default_rng(42).random((4, 5)) * 3.0)


DRAWN = """
function: {name: cross_entropy, reduction: none, weight: [1, 0.1, 3, 1, 1], masked_classes: [3]}
logits: {random: {shape: [40, 5]}}
targets: {random: {ignored: 7}}
upstream: random
"""


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_equal_seeds_give_equal_bits_and_others_do_not(dtype: str) -> None:
    assert same(inputs(DRAWN, dtype, seed=3), inputs(DRAWN, dtype, seed=3))
    first, second = inputs(DRAWN, dtype, seed=3), inputs(DRAWN, dtype, seed=4)
    for name in ("logits", "targets", "upstream"):
        assert getattr(first, name).tobytes() != getattr(second, name).tobytes()


def test_without_seeds_of_their_own_nothing_is_drawn_twice() -> None:
    text = "function: softmax\nlogits: {random: {shape: [8, 3]}}\nupstream: random\n"
    made = inputs(text, "float64", seed=5)
    assert made.upstream is not None
    assert not np.intersect1d(made.logits, made.upstream).size
    np.testing.assert_array_equal(made.logits, np.random.default_rng(5).standard_normal((8, 3)))


def test_own_seeds_do_not_depend_on_the_seed_of_the_run() -> None:
    text = DRAWN.replace("[40, 5]", "[40, 5], seed: 1").replace("ignored: 7", "ignored: 7, seed: 2")
    text = text.replace("upstream: random", "upstream: {random: {seed: 3}}")
    assert same(inputs(text, seed=3), inputs(text, seed=4))


def test_ignored_rows_are_counted_spread_and_masked_classes_never_drawn() -> None:
    made = inputs(DRAWN)
    assert made.targets is not None
    assert made.targets.dtype == np.int64
    places = np.flatnonzero(made.targets == -100)
    assert len(places) == 7
    assert set(np.diff(places)) <= {5, 6}
    assert set(made.targets.tolist()) == {-100, 0, 1, 2, 4}
    assert made.weight is not None
    assert made.weight.dtype == np.float32
    assert made.weight[1] == np.float32(0.1)


def test_a_class_that_is_ignored_is_drawn_for_ignored_rows_alone() -> None:
    text = DRAWN.replace("reduction: none", "reduction: none, ignore_index: 0")
    targets = inputs(text).targets
    assert targets is not None
    assert int((targets == 0).sum()) == 7


@pytest.mark.parametrize("ignored", [0, 1, 3, 6])
def test_any_number_of_rows_can_be_ignored(ignored: int) -> None:
    text = (
        "function: cross_entropy\nlogits: {random: {shape: [2, 4, 3]}}\naxis: 1\n"
        f"targets: {{random: {{ignored: {ignored}}}}}\n"
    )
    targets = inputs(text).targets
    assert targets is not None
    assert targets.shape == (2, 3)
    assert int((targets == -100).sum()) == ignored


def test_drawn_probabilities_lie_on_the_simplex_of_the_classes_that_take_part() -> None:
    text = (
        "function: {name: cross_entropy, masked_classes: [2]}\nlogits: {random: {shape: [3, 2, 2]}}\naxis: [1, 2]\n"
        "targets: {random: {seed: 1, kind: probabilities}}\n"
    )
    targets = inputs(text, "float64").targets
    assert targets is not None
    assert targets.shape == (3, 2, 2)
    assert (targets[:, 1, 0] == 0).all()
    assert (targets.sum(axis=(1, 2)) - 1 <= 2**-50).all()
    assert ((targets > 0).sum(axis=(1, 2)) == 3).all()


def test_a_grid_is_every_point_in_row_major_order() -> None:
    text = "function: softmax\nlogits: {grid: [{start: -1, stop: 1, count: 3}, {start: 0, stop: 1, count: 2}]}\n"
    expected = [[-1, 0], [-1, 1], [0, 0], [0, 1], [1, 0], [1, 1]]
    np.testing.assert_array_equal(inputs(text).logits, expected)


def test_a_float32_file_that_needs_nothing_stays_a_memory_map(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    text = "function: softmax\nlogits: {file: a.npy}\n"
    mapped = inputs(text, folder=str(tmp_path)).logits
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, values)
    scaled = inputs(text, "float16", 10.0, folder=str(tmp_path)).logits
    np.testing.assert_array_equal(scaled, (values.astype(np.float64) * 10.0).astype(np.float16))


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.array([0, 1, 4]), "targets: there is no class 4; labels are 0 to 3, or -100 for a row to ignore"),
        (np.array([0, 2, -1], dtype=np.int8), "targets: class 2 is masked"),
        (
            np.array([[0.5, 0.5, 0, 0], [0, 1.5, 0, 0], [1, 0, 0, 0]]),
            "targets: 1.5 is no probability; expected 0 to 1",
        ),
        (np.array([[0.5, 0.25, 0.25, 0]] * 3), "targets: a masked class (masked_classes) has the probability 0.25"),
    ],
)
def test_targets_of_a_file_are_checked_when_they_are_read(tmp_path: Path, targets: np.ndarray, message: str) -> None:
    np.save(tmp_path / "t.npy", targets)
    text = (
        "function: {name: cross_entropy, masked_classes: [2]}\nlogits: {random: {shape: [3, 4]}}\n"
        "targets: {file: t.npy}\n"
    )
    with pytest.raises(SpecError) as refused:
        inputs(text, folder=str(tmp_path))
    assert str(refused.value).startswith(f"spec.yaml:1:1: {message}")
    assert "t.npy, element [" in str(refused.value)


def test_labels_of_a_file_become_int64_in_the_rows_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.array([3], dtype=np.uint8))
    made = inputs("function: cross_entropy\nlogits: [1, 2, 3, 4]\ntargets: {file: t.npy}\n", folder=str(tmp_path))
    assert made.targets is not None
    assert (made.targets.shape, made.targets.dtype, made.targets.item()) == ((), np.int64, 3)


def test_a_file_that_changed_is_refused_at_the_case(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((2, 3)))
    case = one_case("function: softmax\nlogits: {file: a.npy}\n", str(tmp_path))
    np.save(tmp_path / "a.npy", np.zeros((3, 3)))
    with pytest.raises(SpecError, match=r"^spec\.yaml:1:1: .*changed since the spec was read"):
        materialise(case, "float32", 1.0, 0, no_torch)


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        ("softmax", (2, 3, 4)),
        ("log_softmax", (2, 3, 4)),
        ("logsumexp", (2, 4)),
        ("{name: cross_entropy, reduction: none}", (2, 4)),
        ("{name: cross_entropy, reduction: mean}", ()),
        ("cross_entropy", ()),
    ],
)
def test_the_upstream_gradient_has_the_shape_of_the_output(function: str, shape: tuple[int, ...]) -> None:
    targets = "targets: {random: {}}\n" if "cross" in function else ""
    text = f"function: {function}\nlogits: {{random: {{shape: [2, 3, 4]}}}}\naxis: 1\n{targets}"
    for upstream in ("ones", "random", "{values: 2.5}"):
        made = inputs(f"{text}upstream: {upstream}\n", "float16")
        assert made.upstream is not None
        assert (made.upstream.shape, made.upstream.dtype) == (shape, np.float16)
        assert made.upstream.flags.c_contiguous
    made = inputs(f"{text}upstream: per_output\n")
    assert made.upstream is None
    assert made.per_output


def test_upstream_values_broadcast_to_rows() -> None:
    made = inputs("function: softmax\nlogits: [[1, 2], [3, 4]]\nupstream: {values: [[5], [6]]}\n")
    np.testing.assert_array_equal(made.upstream, [[5, 5], [6, 6]])


def test_what_torch_draws_is_scaled_in_float64_and_rounded_once() -> None:
    drawn = np.array([[0.1, 0.7]], dtype=np.float32)
    asked = []

    def draw(distribution: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
        asked.append((distribution, shape, seed))
        return drawn

    text = "function: softmax\nlogits: {random: {shape: [1, 2], generator: torch, distribution: uniform, scale: 3}}\n"
    case = one_case(text)
    assert needs_torch(case)
    made = materialise(case, "float16", 10.0, 8, draw)
    np.testing.assert_array_equal(made.logits, (drawn.astype(np.float64) * 3.0 * 10.0).astype(np.float16))
    assert asked == [("uniform", (1, 2), 8)]
    with pytest.raises(RequestError, match=r"torch drew float64 \[1, 2\]; expected float32 \[1, 2\]"):
        materialise(case, "float16", 1.0, 8, lambda *_: drawn.astype(np.float64))


@pytest.mark.slow
@pytest.mark.parametrize(("distribution", "name"), [("uniform", "rand"), ("normal", "randn")])
def test_torch_draws_are_torchs_own_bits(distribution: str, name: str) -> None:
    import torch

    def draw(distribution: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        values = torch.rand(shape) if distribution == "uniform" else torch.randn(shape)
        return np.asarray(values.numpy())

    case = one_case(
        "function: softmax\n"
        f"logits: {{random: {{shape: [128, 256], generator: torch, seed: 42, distribution: {distribution}}}}}\n"
    )
    torch.manual_seed(42)
    expected = getattr(torch, name)(128, 256)
    made = materialise(case, "float32", 1.0, 0, draw)
    assert made.logits.tobytes() == expected.numpy().tobytes()
    tripled = materialise(case, "bfloat16", 3.0, 0, draw).logits
    assert (
        tripled.view(np.int16).tobytes()
        == (expected.double() * 3.0).float().bfloat16().view(torch.int16).numpy().tobytes()
    )
