"""torch.compile: forward and backward as kernels that its inductor writes in C++ and has the system's compiler build.

A program is compiled for one function, dtype and set of shapes, and only the latest is kept: dynamo falls back to
eager execution in silence when one function has been compiled too often. Built kernels are kept in the folder of the
run, so that a program that is asked for again is read from there.

Run by path in any Python from 3.8 with NumPy and torch; imports nothing of gradaudit.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, Tuple

Tensor = Any
Request = Dict[str, Any]

CANNOT = ("torch._inductor", "torch._dynamo")
"""Where the exceptions come from that tell that nothing can be compiled here."""

_latest: Dict[str, Any] = {}


def forward(
    eager: Callable[..., Tensor], request: Request, logits: Tensor, tensors: Dict[str, Tensor], axes: Any
) -> Tensor:
    """What `eager(request, logits, tensors, axes)` returns, by a compiled program with a compiled backward."""
    _prepare(request)
    import torch

    others = {name: tensor for name, tensor in tensors.items() if name != "logits"}
    shapes = sorted((name, list(tensor.shape)) for name, tensor in dict(others, logits=logits).items())
    names = ("function", "parameters", "formulation", "dtype", "per_output")
    key = json.dumps([[request[name] for name in names], list(axes), shapes], sort_keys=True)
    if key not in _latest:
        _latest.clear()
        torch._dynamo.reset()
        kept = {name: request[name] for name in names}
        _latest[key] = torch.compile(lambda z, given: eager(kept, z, given, axes), dynamic=False)
    return _latest[key](logits, others)


def of_subject(function: Callable[..., Any], request: Request) -> Callable[..., Any]:
    """A user's function as a compiled program, whose backward is compiled too, and may be run twice."""
    _prepare(request)
    import torch._functorch.config as backward

    backward.donated_buffer = False  # else a backward that keeps the graph is refused, whatever the function is

    def call(*given: Any) -> Any:
        import torch

        kinds = [(str(each.dtype), list(each.shape), list(each.stride())) for each in given]
        key = json.dumps([id(function), kinds])
        if key not in _latest:
            _latest.clear()
            torch._dynamo.reset()
            # Not every callable is one that torch.compile takes.
            _latest[key] = torch.compile(lambda *arguments: function(*arguments), dynamic=False)  # noqa: PLW0108
        return _latest[key](*given)

    return call


def unsupported(error: BaseException) -> str:
    """Why nothing can be compiled, if that is what the exception tells; else an empty text."""
    seen: Tuple[BaseException, ...] = ()
    cause: Any = error
    while cause is not None and cause not in seen:
        seen += (cause,)
        if type(cause).__module__.startswith(CANNOT) or "torch.compile is not supported" in str(cause):
            lines = [line for line in str(cause).strip().splitlines() if line]
            return "torch.compile: %s: %s" % (type(cause).__name__, lines[0] if lines else "")
        cause = cause.__cause__ or cause.__context__
    return ""


def _prepare(request: Request) -> None:
    """Settings that are read when the first program is compiled."""
    if "folder" in request:
        cache = os.path.join(os.path.dirname(request["folder"]), "torch-inductor")
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", cache)
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # no pool of processes for one kernel at a time
    import torch._dynamo

    torch._dynamo.config.suppress_errors = False
