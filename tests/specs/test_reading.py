"""What subjects of probabilities and log-probabilities are fed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradaudit.records.inputs import Inputs
from gradaudit.specs.reading import as_read
from tests.specs.test_materialise import inputs

MASKED = """
function: {name: cross_entropy, masked_classes: [1], temperature: 2}
logits: [[1.0, 800.0, 3.0], [0.5, -2.0, 0.5]]
targets: [0, 2]
"""


def test_probabilities_are_the_softmax_of_the_scaled_logits_and_nothing_scales_them_again() -> None:
    given = inputs("function: {name: softmax, temperature: 2}\nlogits: [[0, 2]]\n", "float64")
    read = as_read(given, "probabilities")
    np.testing.assert_allclose(read.logits, [[1.0 / (1.0 + np.e), np.e / (1.0 + np.e)]], rtol=1e-15)
    assert read.function.parameters["temperature"] == 1.0
    assert (read.reading, as_read(given, "logits")) == ("probabilities", given)


def test_masked_classes_have_no_probability_and_take_no_part_in_the_normaliser() -> None:
    read = as_read(inputs(MASKED, "float64"), "probabilities")
    assert read.logits[:, 1].tolist() == [0.0, 0.0]
    np.testing.assert_allclose(read.logits[0], [1.0 / (1.0 + np.e), 0.0, np.e / (1.0 + np.e)], rtol=1e-15)
    np.testing.assert_array_equal(read.logits[1], [0.5, 0.0, 0.5])


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_masked_logarithms_are_the_lowest_finite_number(dtype: str) -> None:
    read = as_read(inputs(MASKED, dtype), "log_probabilities")
    assert read.logits[:, 1].tolist() == [float(np.finfo(dtype).min)] * 2
    # Nothing but the classes that take part adds up to 1.
    np.testing.assert_allclose(np.exp(read.logits.astype(np.float64)).sum(axis=-1), 1.0, rtol=1e-2)


def test_classes_over_several_axes_are_counted_as_the_case_counts_them() -> None:
    text = "function: {name: softmax, masked_classes: [1, 2]}\nlogits: {random: {shape: [2, 4, 3]}}\naxis: [0, 2]\n"
    read = as_read(inputs(text, "float64"), "probabilities")
    assert not read.logits[0, :, 1:].any()
    np.testing.assert_allclose(read.logits.sum(axis=(0, 2)), 1.0, rtol=1e-15)


def test_a_row_of_masked_and_infinitely_far_classes_is_undefined_without_a_warning() -> None:
    given: Inputs = inputs(MASKED, "float64")
    far = replace(given, logits=np.where(np.arange(3) == 1, given.logits, -np.inf))
    assert np.isnan(as_read(far, "log_probabilities").logits[:, 0]).all()
