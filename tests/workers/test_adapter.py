"""The same files in the caller's own process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.backends import registry


def test_an_adapter_computes_without_a_worker() -> None:
    adapter = workers.load_adapter(registry.get("numpy").adapter)
    assert workers.load_adapter(registry.get("numpy").adapter) is adapter
    request = {
        "function": "softmax",
        "parameters": {},
        "formulation": "fused",
        "dtype": "float64",
        "axis": [0],
        "per_output": False,
    }
    arrays = {"logits": np.log([1.0, 3.0]), "upstream": np.array([1.0, 0.0])}
    result = adapter.evaluate(request, arrays)
    output, dtype = result["output"]
    assert dtype == "float64"
    np.testing.assert_allclose(output, [0.25, 0.75], rtol=1e-15)
    np.testing.assert_allclose(result["gradient"][0], [0.1875, -0.1875], rtol=1e-15)


def test_a_file_that_is_no_python(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r"adapter\.txt is not a Python file"):
        workers.load_adapter(tmp_path / "adapter.txt")
