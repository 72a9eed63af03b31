"""Users' own losses and activations written in torch: `f(logits, targets)`, `f(logits)`, differentiated by autograd.

Run by path in any Python from 3.8 with NumPy and torch; imports nothing of gradaudit. The request is described in
`gradaudit.backends.interface`.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import os
import sys
import time
from typing import Any, Callable, Dict, NamedTuple, Optional

Tensor = Any
Request = Dict[str, Any]

_subjects: dict[str, Any] = {}
_process: dict[str, Any] = {}


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
MissingError = _sibling("torch_adapter").MissingError


class Modules(NamedTuple):
    """What the experiments need of this file: one call, the seeding and what it comes to, where a mistake stands."""

    runs: Any
    settled: Callable[[int], None]
    place: Callable[..., str]
    generators: Callable[[], dict[str, str]]


class UnsupportedError(Exception):
    """Not something that can be asked of this torch, or of the subject."""


def hello(threads: int) -> dict[str, Any]:
    """Import torch and pin its threads."""
    import torch

    result: dict[str, Any] = _sibling("torch_adapter").hello(threads)
    user_code.watch()
    spaces = {"torch": torch, "torch.nn.functional": torch.nn.functional, "torch.Tensor": torch.Tensor}
    _sibling("process_state").remember(spaces, _settings)
    return result


def _settings() -> dict[str, Any]:
    import torch

    return {
        "torch's default dtype": torch.get_default_dtype(),
        "torch's number of threads": torch.get_num_threads(),
        "whether gradients are enabled": torch.is_grad_enabled(),
        "whether anomalies are detected": torch.is_anomaly_enabled(),
        "whether subnormals are flushed": float(torch.tensor(1e-40)) == 0.0,
        "whether algorithms are deterministic": torch.are_deterministic_algorithms_enabled(),
        "torch's precision of float32 matrix products": torch.get_float32_matmul_precision(),
    }


def evaluate(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """One call of the subject, forward and backward, on what the arrays hold."""
    runs, function = _sibling("torch_runs"), None
    try:
        function, found = subject(request)
        tensors, ran = given(request, arrays), executed(function, request)
        if request["per_output"]:
            return _jacobian(request, ran, found, tensors)
        settled(request["seed"])
        result = runs.called(ran, request, runs.feed(request, tensors))
        user_code.refuse_forks()
    except BaseException as error:
        _refuse_what_cannot_be_compiled(error, request)
        user_code.mark(error, function)
        raise
    notes = noted(found, result)
    response: dict[str, Any] = {"seconds": result.seconds, "notes": notes}
    encoded = _sibling("torch_adapter").encoded
    if not notes["unusable"] or notes["returned_tensor"]:
        response["output"] = encoded(result.output)
    if result.gradient is not None:
        response["gradient"] = encoded(result.gradient)
    return response


def experiment(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """Further runs of the subject on the same arrays; `torch_experiments` says which."""
    start = time.perf_counter()
    function = None
    try:
        function, found = subject(request)
        modules = Modules(
            _sibling("torch_runs"), settled, lambda error, other=found: _place(error, other), generators
        )
        ran = executed(function, request)
        shown = _sibling("torch_experiments").run(ran, request, given(request, arrays), modules)
    except BaseException as error:
        user_code.mark(error, function)
        raise
    encoded = _sibling("torch_adapter").encoded
    kept = {name: encoded(tensor) for name, tensor in shown.arrays.items()}
    if request["function"] == "self" and not request["per_output"]:
        own = sys.modules[__name__]
        found_alone, note = _sibling("self_consistency").of_torch(request, arrays, own, modules.runs)
        kept.update({name: (array, "float64") for name, array in found_alone.items()})
        shown.notes.update(note)
    return {
        "experiments": kept,
        "notes": dict(shown.notes, process=_sibling("process_state").changes()),
        "seconds": time.perf_counter() - start,
    }


def executed(function: Any, request: Request) -> Any:
    """The function, compiled where the request asks for that."""
    compiled = request.get("execution", "eager") == "compiled"
    return _sibling("torch_compiled").of_subject(function, request) if compiled else function


def _refuse_what_cannot_be_compiled(error: BaseException, request: Request) -> None:
    """UnsupportedError where torch.compile has no compiler here, or none for this function."""
    import torch

    why = _sibling("torch_compiled").unsupported(error) if request.get("execution") == "compiled" else ""
    if why:
        raise UnsupportedError("torch %s: %s" % (torch.__version__, why)) from None


def _place(error: Any, found: Any) -> str:
    place = user_code.place_of(found) if error is None else user_code.place_of_failure(error, found)
    return "" if place is None else str(place)


def subject(request: Request) -> Any:
    """The callable that the request names, and the object that it was made of."""
    import torch

    asked = request["subject"]
    key = json.dumps([asked, request["dtype"]], sort_keys=True, default=id)
    if key not in _subjects:
        dtype = getattr(torch, request["dtype"])
        found = asked["live"] if "live" in asked else user_code.find(asked["target"], asked["folders"])
        kwargs = {name: _keyword(value, dtype, asked) for name, value in asked["kwargs"].items()}
        if isinstance(found, type) and issubclass(found, torch.autograd.Function) and not asked["factory"]:
            function = _applied(found, kwargs)
        else:
            function = _constructed(found, kwargs, asked, dtype)
        _subjects[key] = (function, found)
    return _subjects[key]


def _constructed(found: Any, kwargs: dict[str, Any], asked: dict[str, Any], dtype: Any) -> Any:
    import torch

    before = torch.get_default_dtype()
    if dtype == torch.float64 and "live" not in asked:
        torch.set_default_dtype(dtype)  # numbers that a constructor keeps are not to be rounded to float32 on the way
    try:
        function = user_code.bound(found, kwargs, asked["factory"])
    finally:
        if torch.get_default_dtype() == dtype:
            torch.set_default_dtype(before)
    if isinstance(function, torch.nn.Module) and "live" not in asked:
        function = function.to(device=asked.get("device", "cpu"), dtype=dtype)
    return function


def _keyword(value: Any, dtype: Any, asked: dict[str, Any]) -> Any:
    """{"tensor": [...]} as a tensor: numbers with a fraction in the case's dtype, whole numbers too."""
    import torch

    if isinstance(value, dict) and set(value) == {"tensor"}:
        return torch.tensor(value["tensor"], dtype=dtype, device=asked.get("device", "cpu"))
    return value


def _applied(found: Any, kwargs: dict[str, Any]) -> Any:
    """An autograd.Function's `apply`, which takes positions only; keyword arguments go where forward has them."""
    if not kwargs:
        return found.apply
    parameters = list(inspect.signature(found.forward).parameters.values())
    names = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    if "setup_context" not in found.__dict__:
        names = names[1:]  # ctx
    unknown = sorted(set(kwargs) - set(names))
    if unknown:
        raise user_code.UnusableSubjectError(
            "the forward of %s has no argument %r; it has %s"
            % (found.__qualname__, unknown[0], ", ".join(names) or "none by name")
        )
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}

    def apply(*given: Any) -> Any:
        rest = [kwargs[name] if name in kwargs else defaults[name] for name in _kept(names[len(given) :], kwargs)]
        return found.apply(*given, *rest)

    apply.__wrapped__ = found.forward  # type: ignore[attr-defined]
    return apply


def _kept(names: list[str], kwargs: dict[str, Any]) -> list[str]:
    """The arguments up to the last one that was given."""
    last = max([i for i, name in enumerate(names) if name in kwargs], default=-1)
    return names[: last + 1]


def given(request: Request, arrays: dict[str, Any]) -> dict[str, Tensor]:
    """The arrays as tensors; class indices as one-hot rows where the subject wants those."""
    as_tensor = _sibling("torch_adapter").as_tensor
    tensors = {name: as_tensor(array) for name, array in arrays.items() if name != "weight"}
    targets = tensors.get("targets")
    if request["subject"].get("targets") == "one_hot" and targets is not None and not targets.is_floating_point():
        tensors["targets"] = _one_hot(request, targets, tensors["logits"])
    _sibling("torch_adapter").device_of(request)
    return tensors


def _one_hot(request: Request, labels: Tensor, logits: Tensor) -> Tensor:
    """Rows of the logits' shape and dtype, 1 at the label; ignored rows are 0 throughout."""
    import torch

    axes = list(request["axis"])
    classes = 1
    for axis in axes:
        classes *= logits.shape[axis]
    ignored = labels == request["parameters"].get("ignore_index", -100)
    wrong = labels[~ignored & ((labels < 0) | (labels >= classes))]
    if wrong.numel():
        raise UnsupportedError("no one-hot row of %d classes stands for the label %d" % (classes, int(wrong[0])))
    rows = torch.nn.functional.one_hot(labels.masked_fill(ignored, 0), classes).to(logits.dtype)
    rows = rows * (~ignored).unsqueeze(-1).to(rows.dtype)
    rows = rows.unflatten(-1, [logits.shape[axis] for axis in axes])
    return rows.movedim(list(range(rows.dim() - len(axes), rows.dim())), axes).contiguous()


def settled(seed: int) -> None:
    """Every call starts from the same state of the random generators."""
    import torch

    # torch.manual_seed also queues calls, each with a stack trace, for every kind of device that was never used.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    user_code.settle(seed)


def generators() -> dict[str, str]:
    """The states of the random generators, by whose they are."""
    import torch

    state = torch.default_generator.get_state().numpy().tobytes().hex()
    return dict(user_code.generators(), **{"torch's": state})


def _jacobian(request: Request, function: Any, found: Any, tensors: dict[str, Tensor]) -> dict[str, Any]:
    """One call for each output of a row, each with its one-hot upstream gradient."""
    import torch

    runs, adapter, axes = _sibling("torch_runs"), _sibling("torch_adapter"), list(request["axis"])
    logits = tensors["logits"]
    heads: list[Optional[Tensor]] = [None]
    if list(request["output_shape"]) == list(logits.shape) and request["outputs_of_a_row"] > 1:
        sizes = [size if i in axes else 1 for i, size in enumerate(logits.shape)]
        eye = torch.eye(request["outputs_of_a_row"], dtype=logits.dtype)
        heads = [row.reshape(sizes).expand(logits.shape) for row in eye]
    seconds, gradients, first, mutated = 0.0, [], None, []
    for head in heads:
        settled(request["seed"])
        fed = dict(tensors) if head is None else dict(tensors, upstream=head)
        result = runs.called(function, request, runs.feed(request, fed))
        first = result if first is None else first
        seconds += result.seconds
        mutated += [each for each in result.mutated if each not in mutated]
        gradients.append(result.gradient)
        if result.gradient is None:
            break
    user_code.refuse_forks()
    assert first is not None
    notes = dict(noted(found, first), mutated=mutated)
    response: dict[str, Any] = {"seconds": seconds, "notes": notes}
    if notes["returned_tensor"]:
        response["output"] = adapter.encoded(first.output)
    if all(gradient is not None for gradient in gradients):
        response["jacobian"] = adapter.encoded(torch.stack([each.cpu() for each in gradients]))
    return response


def noted(found: Any, result: Any) -> dict[str, Any]:
    """What is known of a call beside its arrays."""
    import torch

    tensor = isinstance(result.output, torch.Tensor)
    return {
        "defined": str(user_code.place_of(found)),
        "returned": _sibling("torch_runs").described(result.output),
        "returned_tensor": tensor and result.output.is_floating_point(),
        "unusable": result.unusable,
        "mutated": result.mutated,
        "process": _sibling("process_state").changes(),
    }
