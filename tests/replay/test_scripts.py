"""Scripts compute what the backend computed, bit for bit, and say so where they cannot."""

import runpy
from dataclasses import replace

import numpy as np
import pytest

from gradaudit.errors import ReplayError
from gradaudit.records.measurement import Element
from gradaudit.records.subject import Subject
from gradaudit.replay import script
from gradaudit.replay.script import literals
from tests.replay.computing import assert_the_same, saved

FORMULATIONS = ("fused", "log_softmax", "unfused", "unshifted")


@pytest.mark.parametrize("formulation", FORMULATIONS)
@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp", "cross_entropy"])
@pytest.mark.parametrize("backend", ["torch", "numpy", "onnxruntime"])
def test_a_script_computes_what_the_backend_did(tmp_path, backend, function, formulation):
    assert_the_same(saved(tmp_path, backend, function, formulation, "float32", (3, 5), 1), tmp_path)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_in_every_dtype(tmp_path, backend, dtype):
    assert_the_same(saved(tmp_path, backend, "cross_entropy", "unfused", dtype, (3, 5), 1), tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"reduction": "none"},
        {"reduction": "sum", "weight": (0.1, 1.0, 2.0, 0.5)},
        {"label_smoothing": 0.1},
        {"ignore_index": 1},
        {"masked_classes": (), "logit_scale": 2.5, "temperature": 0.7},
    ],
    ids="-".join,
)
@pytest.mark.parametrize("formulation", ["fused", "log_softmax"])
@pytest.mark.parametrize(("shape", "axis"), [((2, 3, 4), 2), ((2, 4, 3), 1), ((4,), 0), ((4, 3), 0)])
def test_every_layout_and_option_of_torch(tmp_path, shape, axis, formulation, options):
    evaluation = saved(tmp_path, "torch", "cross_entropy", formulation, "float32", shape, axis, **options)
    assert_the_same(evaluation, tmp_path)


@pytest.mark.parametrize("backend", ["torch", "numpy", "onnxruntime"])
@pytest.mark.parametrize("function", ["softmax", "cross_entropy"])
def test_jacobians(tmp_path, backend, function):
    assert_the_same(saved(tmp_path, backend, function, "fused", "float32", (2, 5), 1, per_output=True), tmp_path)


def test_large_arrays_lie_beside_the_script(tmp_path):
    evaluation = saved(tmp_path, "torch", "cross_entropy", "fused", "float32", (80, 90), 1)
    assert_the_same(evaluation, tmp_path)
    assert [path.name for path in script.write(evaluation, tmp_path / "big.py")] == [
        "big.logits.npy",
        "big.targets.npy",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"numbers": ()}, "no element is beyond its tolerance by itself"),
        ({"inputs": {"device": "cuda"}}, "scripts compute on the CPU"),
        ({"key": {"execution": "compiled"}}, "there is no script for torch.compile"),
    ],
)
def test_what_cannot_be_scripted_says_so(tmp_path, change, message):
    evaluation = saved(tmp_path, "torch", "softmax", "fused", "float32", (2, 3), 1)
    for name, value in change.items():
        whole = replace(getattr(evaluation, name), **value) if isinstance(value, dict) else value
        evaluation = replace(evaluation, **{name: whole})
    with pytest.raises(ReplayError) as caught:
        script.write(evaluation, tmp_path / "never.py")
    assert message in str(caught.value)
    assert not (tmp_path / "never.py").exists()


def test_a_backend_without_scripts_is_named(tmp_path):
    evaluation = saved(tmp_path, "mxnet", "softmax", "fused", "float32", (2, 3), 1)
    with pytest.raises(ReplayError, match="there is no script for what mxnet was asked"):
        script.write(evaluation, tmp_path / "never.py")


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_function_of_the_users_is_called_as_the_spec_says(tmp_path, monkeypatch, backend):
    returned = "(scale * logits).sum(), scale * np.ones_like(logits) * upstream"
    if backend == "torch":
        returned = "(scale * logits).sum()"
    arguments = "logits, upstream, scale" if backend == "numpy" else "logits, scale"
    (tmp_path / "losses.py").write_text(f"import numpy as np\n\n\ndef total({arguments}):\n    return {returned}\n")
    evaluation = saved(tmp_path, backend, "softmax", "fused", "float32", (2, 3), 1)
    subject = Subject("total", backend, "losses.py:total", kwargs={"scale": 3.0}, base_directory=str(tmp_path))
    upstream = np.array(2.0, np.float32)
    inputs = replace(evaluation.inputs, upstream=upstream)
    evaluation = replace(evaluation, inputs=inputs, case=replace(evaluation.case, subjects=(subject,)))
    monkeypatch.chdir(tmp_path)
    assert script.write(evaluation, tmp_path / "shows.py") == (tmp_path / "shows.losses.py",)
    space = runpy.run_path(str(tmp_path / "shows.py"), run_name="shows")
    space["main"].__globals__["prepare"]()
    found = space["main"].__globals__["compute"]()
    assert found["loss"] == pytest.approx(3.0 * inputs.logits.astype(np.float64).sum(), rel=1e-6)
    np.testing.assert_array_equal(found["gradient"], np.full((2, 3), 6.0))


def test_a_loss_that_is_not_there_makes_no_script(tmp_path):
    evaluation = saved(tmp_path, "numpy", "softmax", "fused", "float32", (2, 3), 1)
    subject = Subject("total", "numpy", "losses.py:total", base_directory=str(tmp_path))
    evaluation = replace(evaluation, case=replace(evaluation.case, subjects=(subject,)))
    with pytest.raises(
        ReplayError, match=r"total is defined in losses\.py, which is neither in .*: a script needs it"
    ):
        script.write(evaluation, tmp_path / "shows.py")
    assert not (tmp_path / "shows.py").exists()


def test_a_right_element_is_no_part_of_a_script(tmp_path):
    evaluation = saved(tmp_path, "torch", "softmax", "fused", "float32", (2, 3), 1)
    (numbers,) = evaluation.numbers
    right = Element((1, 1), 1.0, 1.0, 0.0, 0.0)
    evaluation = replace(evaluation, numbers=(replace(numbers, worst=(*numbers.worst, right)),))
    script.write(evaluation, tmp_path / "one.py")
    text = (tmp_path / "one.py").read_text(encoding="utf-8")
    assert "(0, 0), 2.0, 1.0, 0.0" in text
    assert "(1, 1)" not in text


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_literals_give_the_same_bits(dtype):
    bits = np.random.default_rng(5).integers(0, 256, size=8 * 40, dtype=np.uint8)
    values = bits.view(dtype).copy()
    again = eval(literals.array(values), {"np": np})  # noqa: S307
    if dtype == "int64":
        assert again.tobytes() == values.tobytes()
    else:
        finite = np.isfinite(values)
        assert again[finite].tobytes() == values[finite].tobytes()
        np.testing.assert_array_equal(again, values)
