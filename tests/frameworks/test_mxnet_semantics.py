"""Real MXNet, asked for its operators by name: it answers as was recorded, and as the translations say."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.functions import registry
from gradaudit.records.evaluation import Evaluation
from gradaudit.records.inputs import Inputs
from tests.backends.test_mxnet_semantics import CASES, drawn
from tests.data.records import Record, records
from tests.frameworks.mxnet_worker import NATIVE, asked, measured, started

pytestmark = pytest.mark.frameworks

FLOAT32_INSIDE = ("grad_scale", "smooth_alpha", "normalization")
"""Options whose numbers SoftmaxOutput keeps in float32, whatever the dtype."""


@pytest.fixture(scope="module")
def one_dnn() -> Iterator[workers.BackendProcess]:
    with started() as process:
        yield process


@pytest.fixture(scope="module")
def native() -> Iterator[workers.BackendProcess]:
    with started(NATIVE) as process:
        yield process


def sound(process: workers.BackendProcess, inputs: Inputs) -> bool:
    result = asked(process, inputs)
    assert isinstance(result, Evaluation), f"{result.kind}: {result.message}"
    found = measured(inputs, result).explanation
    return found.explains and not found.weaker


@pytest.mark.parametrize("record", records(), ids=lambda each: each.name)
def test_it_still_answers_as_was_recorded(one_dnn: workers.BackendProcess, record: Record) -> None:
    result = asked(one_dnn, record.inputs)
    assert isinstance(result, Evaluation), f"{result.kind}: {result.message}"
    assert result.output.shape == record.output.shape
    assert result.output.dtype == record.output.dtype
    assert (record.defect is None) == sound(one_dnn, record.inputs)
    if record.defect:
        # A defect is thousands of roundings away from the truth, and a processor's other order is not.
        wrong, ours = (measured(record.inputs, each) for each in (record.evaluation(), result))
        assert wrong.output.beyond == ours.output.beyond
        assert np.sign(wrong.output.max_error_over_tolerance - 1) == np.sign(ours.output.max_error_over_tolerance - 1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_its_own_kernels_are_sound_but_for_out_grad_and_float32_inside(
    native: workers.BackendProcess, name: str, options: dict[str, object], dtype: str
) -> None:
    own = dict(options)
    if dtype == "float64" and name == "SoftmaxOutput":
        own = {key: value for key, value in own.items() if key not in FLOAT32_INSIDE}
    # 1 / 3, by the axis behind the classes, is one of those numbers too.
    wrong = own.get("out_grad") or (dtype == "float64" and own.get("multi_output"))
    assert sound(native, drawn(name, own, dtype, per_output=False)) == (not wrong)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_one_backward_for_each_output_too(
    native: workers.BackendProcess, name: str, options: dict[str, object]
) -> None:
    inputs = drawn(name, options, "float32", per_output=True)
    result = asked(native, inputs)
    assert isinstance(result, Evaluation)
    assert result.jacobian is not None
    planes = 1 if registry.get(f"mxnet.{name}").has_row_output else 7
    assert result.jacobian.shape == (planes, *inputs.logits.shape)
    assert sound(native, inputs) == (not options.get("out_grad"))
