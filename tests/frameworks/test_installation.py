"""`gradaudit backends install mxnet`, from the package index, by the way that newer Pythons have to take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.backends import registry
from gradaudit.records.evaluation import Evaluation
from gradaudit.workers import installation, isolated
from gradaudit.workers.settings import WorkerSettings
from tests.data.records import records
from tests.frameworks.mxnet_worker import asked, started

pytestmark = pytest.mark.frameworks


def test_mxnet_with_a_numpy_that_has_removed_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The outputs are those of the NumPy that MXNet was made for, bit by bit."""
    mxnet = registry.get("mxnet")
    newer = replace(mxnet.recipes[1], requirements=("numpy>=2", *mxnet.recipes[1].requirements[1:]), oldest=(3, 11))
    chosen = [each for each in records() if each.name in ("softmax, random head gradient", "log_softmax")]
    assert len(chosen) == 2
    with started() as process:
        expected = [asked(process, each.inputs) for each in chosen]

    monkeypatch.delenv("GRADAUDIT_PYTHON_MXNET", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    done = installation.install(replace(mxnet, recipes=(newer,)), lambda _: None)
    assert done.folder == isolated.folder_of("mxnet")
    assert done.state.version == "1.9.1"
    assert int(dict(done.state.versions)["numpy"].split(".")[0]) >= 2
    with workers.start(mxnet, WorkerSettings(), tmp_path) as process:
        assert int(dict(process.state().details)["numpy_names_supplied"]) > 10
        for each, before in zip(chosen, expected, strict=True):
            result = asked(process, each.inputs)
            assert isinstance(result, Evaluation), result
            assert isinstance(before, Evaluation), before
            assert np.array_equal(result.output, before.output)
            assert result.gradient is not None
            assert before.gradient is not None
            assert np.array_equal(result.gradient, before.gradient)
    assert installation.remove("mxnet", lambda _: None) == done.folder
    assert not done.folder.exists()
    isolated.forget()
