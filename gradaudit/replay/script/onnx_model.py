"""ONNX Runtime's formulations: the model is a file beside the script, which runs it and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gradaudit.errors import ReplayError
from gradaudit.replay.script.page import Call
from gradaudit.workers.adapter import load_adapter


@dataclass(frozen=True, slots=True)
class Modelled:
    """A model, and what becomes of the names of its results: "gradient" or "jacobian"; `tiled` where the logits
    stand in it once for every output."""

    model: bytes
    derivative: str
    tiled: bool
    feeds: tuple[str, ...]

    def named(self, file: str) -> Call:
        """The call of the model in `file`, beside the script."""
        output = "output[0]" if self.tiled else "output"
        single = self.derivative == "jacobian" and not self.tiled
        gradient = "gradient[None]" if single else "gradient"
        feeds = ", ".join(f"{name!r}: {name.upper()}" for name in self.feeds)
        source = f'''def compute():
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    model = os.path.join(os.path.dirname(os.path.abspath(__file__)), {file!r})
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = {{{feeds}}}
    feeds = {{each.name: given[each.name] for each in session.get_inputs()}}
    output, gradient = session.run(["output", "gradient"], feeds)
    return {{"loss": {output}, "{self.derivative}": {gradient}}}'''
        return Call(("numpy", "onnxruntime"), ("import onnxruntime", "import os"), source)


def call(
    adapter: Path, request: dict[str, object], arrays: dict[str, np.ndarray]
) -> tuple[Modelled, dict[str, np.ndarray]]:
    """The model that answers `request`, and the arrays that it is fed; ReplayError where none can be made here."""
    if request["dtype"] == "bfloat16":
        raise ReplayError("there is no script for bfloat16 on ONNX Runtime, whose Python API cannot carry it")
    module = load_adapter(adapter)
    axes = [int(axis) for axis in request["axis"]]  # type: ignore[attr-defined]
    tiled = bool(request["per_output"]) and request["function"] in ("softmax", "log_softmax")
    fed = dict(arrays)
    if tiled:
        fed["logits"], fed["upstream"] = module._tiled(fed["logits"], axes, request["dtype"])
        axes = [axis + 1 for axis in axes]
    try:
        model = module._model(request, fed, axes)
    except ImportError as error:
        raise ReplayError(f"the model cannot be made here: {error}; pip install onnx") from None
    derivative = "jacobian" if request["per_output"] else "gradient"
    return Modelled(model, derivative, tiled, tuple(fed)), fed
