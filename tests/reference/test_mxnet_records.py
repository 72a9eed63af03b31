"""Every recorded call of MXNet lies within the derived tolerance of the exact result, or shows its known defect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradaudit.backends import registry as backends
from gradaudit.functions import registry
from gradaudit.measurement.evaluation import measure
from gradaudit.records.measurement import Measurement
from gradaudit.reference.truth import Truth
from tests.data.records import CLAMPED, DEFECTS, ONE_DNN, OUT_GRAD, Record, records

RECORDS = records()


def measured(record: Record) -> Measurement:
    inputs = record.inputs
    last = inputs.axis == (inputs.logits.ndim - 1,)
    profile = backends.get("mxnet").profile(inputs.function.name, "fused", inputs.dtype, classes_last=last)
    return measure(Truth(registry.translated(inputs)), record.evaluation(), profile, "values")


def test_there_are_39_and_the_defects_are_among_them() -> None:
    names = [record.name for record in RECORDS]
    assert len(names) == len(set(names)) == 39
    assert set(DEFECTS) <= set(names)


@pytest.mark.parametrize("record", [each for each in RECORDS if each.defect is None], ids=lambda each: each.name)
def test_a_right_record_is_explained_by_what_mxnet_declares(record: Record) -> None:
    found = measured(record)
    assert found.explanation.explains
    assert not found.explanation.weaker
    assert not found.explanation.looser


@pytest.mark.parametrize("record", [each for each in RECORDS if each.defect is None], ids=lambda each: each.name)
def test_a_record_that_is_off_by_a_thousandth_is_not(record: Record) -> None:
    gradient = record.gradient.copy()
    at = np.unravel_index(int(np.argmax(np.abs(gradient))), gradient.shape)
    step = 2.0**-6 if record.inputs.dtype == "float16" else 1e-3
    gradient[at] += step
    found = measured(replace(record, gradient=gradient)).explanation
    assert not found.explains or found.weaker


@pytest.mark.parametrize("record", [each for each in RECORDS if each.defect], ids=lambda each: each.name)
def test_a_wrong_record_is_wrong_where_its_defect_is(record: Record) -> None:
    found = measured(record)
    assert not found.explanation.explains or found.explanation.weaker
    output, gradient = found.output, found.gradient
    assert gradient is not None
    if record.defect == CLAMPED:
        assert output.beyond == 1
        assert gradient.beyond == 0
        assert record.output == np.float32(-np.log(np.float64(1e-8)))
    elif record.defect == OUT_GRAD:
        assert output.beyond == 0
        assert gradient.beyond == gradient.elements
        multiplied = replace(record.inputs, upstream=record.output)
        assert measured(replace(record, inputs=multiplied)).explanation.explains
    else:
        assert record.defect == ONE_DNN
        # Explained only by a format whose unit roundoff is 2^13 times as large, or by nothing.
        assert found.explanation.precision == "float16 inside" or output.beyond > 0


def test_a_temperature_of_1_takes_the_sound_logarithm() -> None:
    """The same mathematics, so that the same truth judges both of MXNet's kernels."""
    (record,) = [each for each in RECORDS if each.name == "log_softmax, gap 16"]
    parameters = {**record.inputs.function.parameters, "temperature": 1.0}
    other = replace(record.inputs, function=replace(record.inputs.function, parameters=parameters))
    first, second = (Truth(registry.translated(each)) for each in (record.inputs, other))
    assert first.block_at(0).output.mid.tolist() == second.block_at(0).output.mid.tolist()
