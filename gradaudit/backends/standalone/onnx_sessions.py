"""Sessions of ONNX Runtime for users' models: run as written, stopped where they do not end.

Run by path in any Python from 3.8 with NumPy and onnxruntime; imports nothing of gradaudit.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import threading
from typing import Any, Dict

Array = Any

SHARE_OF_TIMEOUT = 0.8
"""A run that takes longer is stopped between two nodes, before the whole worker is killed."""

TYPES = {
    "tensor(%s)" % (names or each): each
    for each, names in (
        *(("float32", "float"), ("float64", "double"), ("float16", "")),
        *((name, "") for name in ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")),
    )
}
"""NumPy's names of the element types that sessions tell."""

_options: Dict[str, int] = {"threads": 1}


def _sibling(stem: str) -> Any:
    """A file beside this one, loaded by path like this one."""
    name = "gradaudit_adapter_" + stem
    if name not in sys.modules:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), stem + ".py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


user_code = _sibling("user_code")


class UnsupportedError(Exception):
    """Not something that can be asked of this ONNX Runtime, or of the file."""


def pin(threads: int) -> None:
    """Sessions use so many threads from now on."""
    _options["threads"] = threads


def made(model: Any) -> Any:
    """A session that runs the model as it is written; UnusableSubjectError where ONNX Runtime has no kernel."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = _options["threads"]
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False  # it grows by doubling, and the address space is capped
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the types of ONNX Runtime's errors are bound to its C++ module
        said = _said(error)
        raise user_code.UnusableSubjectError(
            "ONNX Runtime %s cannot run it: %s" % (onnxruntime.__version__, said)
        ) from None


def run(session: Any, result: str, given: Dict[str, Array], timeout: float) -> Array:
    """One output of a session for the arrays by name; stopped between two nodes where it takes too long."""
    import onnxruntime

    feeds = {}
    for each in session.get_inputs():
        feeds[each.name] = _as(given[each.name], TYPES.get(each.type, each.type), each.name)
    options = onnxruntime.RunOptions()
    options.log_severity_level = 4
    limit = SHARE_OF_TIMEOUT * timeout
    timer = threading.Timer(limit, lambda: setattr(options, "terminate", True))
    timer.daemon = True
    if limit:
        timer.start()
    try:
        (found,) = session.run([result], feeds, options)
    except Exception as error:
        if options.terminate:
            said = "it was stopped after %.3g s between two of its nodes: a Loop that does not end?" % limit
        else:
            said = "ONNX Runtime %s: %s" % (onnxruntime.__version__, _said(error))
        raise user_code.UnusableSubjectError(said) from None
    finally:
        timer.cancel()
    return found


def _said(error: BaseException) -> str:
    """What ONNX Runtime's error says, without the places in its own sources."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : ", "", text)
    text = re.sub(
        r"/\S+\.(?:cc|cpp|h):\d+ .*\) (?=[A-Z\[]|\w+ (?:op|node|was|must|is)\b)(\[with [^\]]*\] )?", "", text
    )
    return text[:400]


def _as(array: Array, kind: str, name: str) -> Array:
    """The array in the element type of the input: whole numbers in a narrower one, if they all fit."""
    import numpy as np

    if array.dtype.name == kind:
        return np.ascontiguousarray(array)
    cast = array.astype(kind)
    if array.dtype.kind == "i" and not (cast.astype(array.dtype) == array).all():
        raise UnsupportedError("%s is %s, and some of the labels do not fit into that" % (name, kind))
    return cast
