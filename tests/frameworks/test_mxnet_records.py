"""Real MXNet still answers what was recorded of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.records.evaluation import Evaluation
from tests.data.records import Record, records
from tests.frameworks.mxnet_worker import asked, measured, started

pytestmark = pytest.mark.frameworks

RECORDS = records()


@pytest.fixture(scope="module")
def mxnet() -> Iterator[workers.BackendProcess]:
    with started() as process:
        yield process


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: each.name)
def test_a_recorded_call_returns_what_it_returned(mxnet: workers.BackendProcess, record: Record) -> None:
    """To the last bit, unless another processor's kernels round elsewhere: then within what is declared."""
    result = asked(mxnet, record.inputs)
    assert isinstance(result, Evaluation), result
    assert result.output.shape == record.output.shape
    same = np.array_equal(result.output, record.output) and np.array_equal(result.gradient, record.gradient)
    explanation = measured(record.inputs, result).explanation
    recorded = measured(record.inputs, record.evaluation()).explanation
    assert same or (explanation.explains, explanation.precision) == (recorded.explains, recorded.precision)
    assert (record.defect is None) == (explanation.explains and not explanation.weaker)
