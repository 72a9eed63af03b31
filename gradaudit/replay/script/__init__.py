"""A saved evaluation as a plain Python file that shows the fault with the framework alone, without gradaudit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from gradaudit.backends import registry
from gradaudit.errors import AuditError, ReplayError
from gradaudit.records import backend_name
from gradaudit.records.evaluation import EAGER
from gradaudit.replay import again
from gradaudit.replay.saved import Saved
from gradaudit.replay.script import extracted, frames, literals, onnx_model, own_functions, page, spelled
from gradaudit.replay.writing import arrays_of
from gradaudit.workers import requests

__all__ = ["write"]


def write(saved: Saved, path: Path) -> tuple[Path, ...]:
    """Write the script to `path`, and larger arrays and the user's own file beside it; these are returned.

    Raises ReplayError where no script can show the fault, AuditError where a file cannot be written.
    """
    if path.suffix != ".py":
        raise ReplayError(f"--as-script {str(path)!r}: expected the name of a Python file, such as {path.stem}.py")
    if saved.failure is None:
        page.shown(saved)
    elif saved.failure.kind == "unverified":
        raise ReplayError("no script can show it: the exact values failed their own check, nobody else is at fault")
    files: dict[Path, np.ndarray | bytes] = {}
    call, arrays, copies = _call(saved, path)
    files |= copies
    if isinstance(call, onnx_model.Modelled):
        model = path.with_name(f"{path.stem}.onnx")
        files[model] = call.model
        call = call.named(model.name)
    expressions = {}
    for role, array in arrays.items():
        plain = literals.readable(array)
        if literals.is_small(plain):
            expressions[role] = literals.array(plain)
        else:
            beside = path.with_name(f"{path.stem}.{role}.npy")
            files[beside] = plain
            expressions[role] = f"np.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), {beside.name!r}))"
    imports = (
        "import numpy as np",
        *(("import os",) if any("os.path" in each for each in expressions.values()) else ()),
    )
    call = replace(call, imports=(*call.imports, *imports))
    text = page.text(saved, call, expressions)
    try:
        for file, content in files.items():
            if isinstance(content, bytes):
                file.write_bytes(content)
            else:
                np.save(file, content, allow_pickle=False)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise AuditError(f"the script {str(path)!r} cannot be written: {error.strerror or error}") from error
    return tuple(files)


def _call(
    saved: Saved, path: Path
) -> tuple[page.Call | onnx_model.Modelled, dict[str, np.ndarray], dict[Path, bytes]]:
    """What computes, the arrays it is given, and the files of the user's that it needs beside `path`."""
    inputs, key = saved.inputs, saved.key
    arrays = arrays_of(inputs)
    if saved.subject is not None:
        if key.execution != EAGER:
            raise ReplayError(f"no script runs a function of yours in {key.execution} execution; replay does")
        subject = again.located(saved)[0]
        arrays.pop("weight", None)
        if subject.targets == "one_hot" and inputs.targets is not None and inputs.targets.dtype.kind == "i":
            arrays["targets"] = own_functions.one_hot(inputs)
            inputs = replace(inputs, targets=arrays["targets"])
        function, copies = own_functions.call(subject, inputs, path)
        return frames.call(subject.backend, inputs, function, subject.autocast), arrays, copies
    backend = registry.get(backend_name.plain(key.backend))
    if inputs.device != "cpu":
        raise ReplayError(f"it was computed on {inputs.device!r}; scripts compute on the CPU")
    request = requests.evaluate(key, inputs, None, 0.0)
    if backend.name == "onnxruntime":
        return *onnx_model.call(backend.adapter, request, arrays), {}
    tiled = inputs.per_output and inputs.function.name in ("softmax", "log_softmax")
    asked = frames.tiled(inputs) if tiled else inputs
    few = spelled.call(replace(key, backend=backend.name), asked)
    if few is not None:
        arrays = {role: array for role, array in arrays_of(asked).items() if role != "weight"}
        return frames.call(backend.name, asked, few, tiled=tiled), arrays, {}
    call = extracted.call(backend.name, backend.adapter, request, tuple(arrays), inputs.dtype == "bfloat16")
    return call, arrays, {}
