"""The worker's main: one framework in a process of its own, run by path.

    python worker.py --adapter /path/to/adapter.py --threads 1 --max-memory 4294967296

It runs in any Python from 3.8 with NumPy and the framework, imports nothing of gradaudit and never unpickles.

Requests arrive on file descriptor 0 and responses leave by file descriptor 1, each as four bytes of length
(big-endian) and a JSON object. Both descriptors are duplicated before anything else is imported, because
libraries print: what they write to stdout goes to stderr. Arrays are `.npy` files named in the messages;
bfloat16 travels as its 16 bits in uint16, and the message tells the dtype.

An adapter is one Python file with these names:

    hello(threads) -> {"versions": {package: version}, "dtypes": [...], "threads": int, "details": {name: text}}
        imports the framework and pins its threads; an exception says that the framework is not available.
    evaluate(request, arrays) -> {"output": (array, dtype), "gradient" or "jacobian": (array, dtype),
                                  "seconds": float}
        the framework's forward and backward; the request is described in `gradaudit.backends.interface`. "notes"
        (facts that JSON can hold) may be beside them.
    experiment(request, arrays) -> {"experiments": {name: (array, dtype)}, "notes": {...}, "seconds": float}
        further runs of a user's function (optional); an exception may carry "file:line in name" in `gradaudit_place`.
    draw(distribution, shape, seed) -> float32 array (optional)
    OWN_VARIABLES (optional): names of the environment variables that `hello` itself sets, beside those that its
        framework sets when it is imported.
    UnsupportedError (optional): the exception class by which it says that it has no such dtype or formulation.
    MissingError (optional): the one by which it says that this machine has not the device.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" and not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
    del sys.path[0]  # the folder of this script: nothing in it may shadow what a framework imports

import contextlib
import faulthandler
import gc
import importlib.util
import json
import os
import queue
import struct
import threading
import traceback
from typing import Any

MAP_FROM = 1 << 20
"""Files from this size on are memory-mapped, copy-on-write, so that nothing a framework does reaches the file."""

MEMORY_TEXTS = (
    *("can't allocate memory", "bad_alloc", "Failed to allocate memory", "Cannot allocate memory"),
    *("Failed to allocate CPU Memory", "OOM when allocating", "RESOURCE_EXHAUSTED: Out of memory"),
)
"""How torch's allocator, C++, ONNX Runtime, MXNet, TensorFlow and JAX say that memory ran out (no MemoryError)."""

TRACEBACK_CHARACTERS = 4000


def main(arguments: list[str]) -> None:
    """Serve requests until a shutdown request or the end of the input."""
    requests, responses = _take_protocol()
    process = os.getpid()
    options = dict(zip(arguments[::2], arguments[1::2]))
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests, inbox), daemon=True).start()
    adapter: Any = None
    while True:
        request = inbox.get()
        kind = request.get("request")
        if kind == "shutdown":
            _respond(responses, json.dumps({"id": request.get("id"), "status": "ok"}))
            os._exit(0)  # frameworks take their time to be torn down, and nothing is left to save
        try:
            if kind == "hello":
                adapter, response = _hello(options)
            elif kind in ("evaluate", "experiment"):
                response = _evaluate(adapter, request)
            elif kind == "draw":
                response = _draw(adapter, request)
            else:
                raise ValueError("unknown request %r" % (kind,))
            response["status"] = "ok"
            text = json.dumps(dict(response, id=request.get("id")), allow_nan=False)
        except BaseException as error:  # also SystemExit: user code must not end the worker unnoticed
            text = json.dumps(dict(failure(error, adapter), id=request.get("id")))
        if os.getpid() != process:
            os._exit(0)  # user code forked: the child has no say here
        _flush()
        _respond(responses, text)


def _take_protocol() -> tuple[int, int]:
    """Move the protocol away from descriptors 0 and 1; return its two new descriptors."""
    requests, responses = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    faulthandler.enable()
    return requests, responses


def _read_requests(descriptor: int, inbox: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Put the requests into `inbox`; end the process when the host is gone, whatever the main thread does."""
    try:
        while True:
            (length,) = struct.unpack(">I", _read(descriptor, 4))
            inbox.put(json.loads(_read(descriptor, length).decode("utf-8")))
    finally:
        os._exit(0)


def _read(descriptor: int, count: int) -> bytes:
    parts = []
    while count:
        part = os.read(descriptor, count)
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _respond(descriptor: int, text: str) -> None:
    data = text.encode("utf-8")
    data = struct.pack(">I", len(data)) + data
    while data:
        data = data[os.write(descriptor, data) :]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # user code may have closed or replaced it
            stream.flush()


def _hello(options: dict[str, str]) -> tuple[Any, dict[str, Any]]:
    """Import the adapter and its framework; report what that did to the process."""
    effects = load_adapter(os.path.join(os.path.dirname(os.path.abspath(__file__)), "import_effects.py"))
    before, known = _flushes_to_zero(), effects.state()
    gc.disable()  # an import allocates much and frees little: the collector would only walk over it
    import numpy

    adapter = load_adapter(options["--adapter"])
    description = adapter.hello(int(options["--threads"]))
    gc.freeze()
    gc.enable()
    _cap_address_space(int(options["--max-memory"]))
    versions = dict(description["versions"])
    versions.setdefault("numpy", numpy.__version__)
    return adapter, {
        "python": "%d.%d.%d" % sys.version_info[:3],
        "versions": versions,
        "dtypes": list(description["dtypes"]),
        "threads": description.get("threads"),
        "details": dict(description.get("details", {})),
        "flush_to_zero": {"before_import": before, "after_import": _flushes_to_zero()},
        "process": effects.effects(known, effects.state(), getattr(adapter, "OWN_VARIABLES", ())),
    }


def load_adapter(path: str) -> Any:
    """Import the adapter file at `path` under a name of its own."""
    name = "gradaudit_adapter_" + os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError("%s is not a Python file" % path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _flushes_to_zero() -> bool:
    """Whether this thread loses subnormal numbers, tried out rather than asked for."""
    half_of_the_smallest_normal = sys.float_info.min / 2.0
    return half_of_the_smallest_normal == 0.0


def _cap_address_space(extra: int) -> None:
    """Allow `extra` bytes of address space above what the imports took, where the system can do that."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as statistics:
            used = int(statistics.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        cap = used + extra if hard == resource.RLIM_INFINITY else min(used + extra, hard)
        resource.setrlimit(resource.RLIMIT_AS, (cap, hard))
    except (ImportError, OSError, ValueError):
        return  # no such limit here: the host watches the resident memory


def _evaluate(adapter: Any, request: dict[str, Any]) -> dict[str, Any]:
    arrays = {name: _load(path) for name, path in request["arrays"].items() if path is not None}
    ask = adapter.evaluate if request["request"] == "evaluate" else adapter.experiment
    if request.get("timeout"):
        # Whoever is about to be killed for taking too long says where he is.
        faulthandler.dump_traceback_later(request["timeout"] - min(1.0, 0.1 * request["timeout"]))
    try:
        result = ask(request, arrays)
    finally:
        faulthandler.cancel_dump_traceback_later()
    found = {name: result[name] for name in ("output", "gradient", "jacobian") if name in result}
    found.update(result.get("experiments", {}))
    stored = {}
    for name, (array, dtype) in found.items():
        stored[name] = {"path": _save(request["folder"], name, array), "dtype": dtype}
    return {"arrays": stored, "seconds": float(result["seconds"]), "notes": result.get("notes", {})}


def _draw(adapter: Any, request: dict[str, Any]) -> dict[str, Any]:
    array = adapter.draw(request["distribution"], tuple(request["shape"]), request["seed"])
    return {"arrays": {"draw": {"path": _save(request["folder"], "draw", array), "dtype": "float32"}}}


def _load(path: str) -> Any:
    import numpy

    mapped = os.path.getsize(path) >= MAP_FROM
    return numpy.load(path, mmap_mode="c" if mapped else None, allow_pickle=False)


def _save(folder: str, name: str, array: Any) -> str:
    import numpy

    path = os.path.join(folder, name + ".npy")
    numpy.save(path, numpy.asarray(array), allow_pickle=False)
    return path


def failure(error: BaseException, adapter: Any) -> dict[str, Any]:
    """The response that stands for an exception."""
    message = _text_of(error)
    unsupported = getattr(adapter, "UnsupportedError", ())
    if isinstance(error, MemoryError) or any(text in message for text in MEMORY_TEXTS):
        status = "out_of_memory"
    else:
        status = "unsupported" if isinstance(error, unsupported) else "raised"
        status = "missing" if isinstance(error, getattr(adapter, "MissingError", ())) else status
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return {
        "status": status,
        "type": type(error).__name__,
        "message": message[:TRACEBACK_CHARACTERS],
        "place": str(getattr(error, "gradaudit_place", "")),
        "traceback": "".join(lines)[-TRACEBACK_CHARACTERS:],
    }


def _text_of(error: BaseException) -> str:
    """What the exception says of itself; user code may have exceptions that cannot say it."""
    try:
        return str(error)
    except Exception as another:
        return "(its text cannot be made: %s)" % type(another).__name__


if __name__ == "__main__":
    main(sys.argv[1:])
