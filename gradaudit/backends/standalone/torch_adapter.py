"""torch's own operations and its autograd, on the CPU.

Class axes stay where they are: torch has different kernels for the last dimension and for others, and the audit
is to see the one that the user's layout gets. Only what a user must do himself is done: several class axes are
flattened into one, and cross entropy gets its classes at dimension 1 (flattened rows where they are last).

Run by path in any Python from 3.8 with NumPy and torch; imports nothing of gradaudit.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from typing import Any, Dict

Tensor = Any
Request = Dict[str, Any]


class UnsupportedError(Exception):
    """This torch has no kernel for the dtype."""


class MissingError(Exception):
    """This torch, or this machine, has not the device."""


def hello(threads: int) -> dict[str, Any]:
    """Import torch and pin its threads."""
    import torch

    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    details = {
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cuda_tf32": str(torch.backends.cuda.matmul.allow_tf32),
        "onednn": "on" if torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled else "off",
        "deterministic_algorithms": str(torch.are_deterministic_algorithms_enabled()),
    }
    return {
        "versions": {"torch": torch.__version__},
        "dtypes": ["float16", "bfloat16", "float32", "float64"],
        "threads": torch.get_num_threads(),
        "details": details,
    }


def draw(distribution: str, shape: tuple[int, ...], seed: int) -> Any:
    """What `torch.manual_seed(seed); torch.rand(shape)` (or randn, for "normal") gives: float32."""
    import torch

    torch.manual_seed(seed)
    return {"uniform": torch.rand, "normal": torch.randn}[distribution](shape, dtype=torch.float32).numpy()


def evaluate(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """Forward and backward of one function; see `gradaudit.backends.interface` for the request."""
    import torch

    device = device_of(request)
    tensors = {name: as_tensor(array).to(device) for name, array in arrays.items()}
    axes, per_class = list(request["axis"]), request["function"] in ("softmax", "log_softmax")
    jacobian = request["per_output"] and per_class
    if jacobian:
        tensors["logits"], tensors["upstream"] = _tiled(tensors["logits"], axes)
        axes = [axis + 1 for axis in axes]
    logits = tensors["logits"].requires_grad_()
    try:
        start = time.perf_counter()
        if request.get("execution", "eager") == "compiled":
            output = _compiled().forward(_forward, request, logits, tensors, axes)
        else:
            output = _forward(request, logits, tensors, axes)
        forward_seconds = time.perf_counter() - start
        # Autograd is given the upstream gradient by a hook: the first time that it is passed to `grad`, torch
        # imports some 500 modules to compare two shapes, for 0.3 seconds.
        upstream = tensors.get("upstream")
        output.register_hook(lambda ones: ones if upstream is None else upstream)
        root = output.sum()
        start = time.perf_counter()
        (gradient,) = torch.autograd.grad(root, logits)
        seconds = forward_seconds + time.perf_counter() - start
    except RuntimeError as error:  # NotImplementedError is one
        if "not implemented for" in str(error):
            raise UnsupportedError("torch %s: %s" % (torch.__version__, error)) from None
        why = _compiled().unsupported(error) if request.get("execution") == "compiled" else ""
        if why:
            raise UnsupportedError("torch %s: %s" % (torch.__version__, why)) from None
        raise
    result: dict[str, Any] = {"seconds": seconds, "output": encoded(output[0] if jacobian else output)}
    if request["per_output"]:
        result["jacobian"] = encoded(gradient if jacobian else gradient[None])
    else:
        result["gradient"] = encoded(gradient)
    return result


def _compiled() -> Any:
    """The file beside this one that compiles, loaded by path like this one."""
    name = "gradaudit_adapter_torch_compiled"
    if name not in sys.modules:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "torch_compiled.py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def device_of(request: Request) -> Any:
    """The device that is asked for; MissingError where there is none."""
    import torch

    name = request.get("device", "cpu")
    there = {"cpu": lambda: True, "cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    device = torch.device(name)
    if not there[device.type]() or (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()):
        raise MissingError("torch %s has no device %r here" % (torch.__version__, name))
    return device


def as_tensor(array: Any) -> Tensor:
    """A tensor over the array's own memory; bfloat16 arrives as its bits."""
    import torch

    if array.dtype == "uint16":
        return torch.from_numpy(array.view("int16")).view(torch.bfloat16)
    return torch.from_numpy(array)


def encoded(tensor: Tensor) -> tuple[Any, str]:
    """The array of a tensor, bfloat16 as its bits, and the name of its dtype."""
    import torch

    tensor, dtype = tensor.detach().cpu(), str(tensor.dtype).rpartition(".")[2]
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view("uint16"), dtype
    return tensor.numpy(), dtype


def _tiled(logits: Tensor, axes: list[int]) -> tuple[Tensor, Tensor]:
    """The logits once for every class along a new first dimension, and one-hot upstream gradients."""
    import torch

    classes = 1
    for axis in axes:
        classes *= logits.shape[axis]
    one_hot = torch.eye(classes, dtype=logits.dtype, device=logits.device)
    one_hot = one_hot.reshape([classes] + [size if i in axes else 1 for i, size in enumerate(logits.shape)])
    shape = (classes, *logits.shape)
    return logits.expand(shape).clone(memory_format=torch.contiguous_format), one_hot.expand(shape)


def _forward(request: Request, logits: Tensor, tensors: dict[str, Tensor], axes: list[int]) -> Tensor:
    import torch

    parameters, formulation = request["parameters"], request["formulation"]
    scale, temperature = float(parameters.get("logit_scale", 1.0)), float(parameters.get("temperature", 1.0))
    z = logits if scale == 1.0 else logits * scale
    z = z if temperature == 1.0 else z / temperature
    masked = parameters.get("masked_classes") or ()
    if request["function"] == "logsumexp" and not masked:
        return torch.logsumexp(z, axes) if formulation == "fused" else z.exp().sum(axes).log()
    z, axis = _one_class_axis(z, axes)
    classes = z.shape[axis]
    kept = [j for j in range(classes) if j not in set(masked)]
    active = torch.tensor(kept, device=z.device) if masked else None
    z = z if active is None else z.index_select(axis, active)
    if request["function"] == "logsumexp":
        return torch.logsumexp(z, axis) if formulation == "fused" else z.exp().sum(axis).log()
    if request["function"] == "cross_entropy":
        return _cross_entropy(request, z, axis, tensors, axes, active)
    if request["function"] == "softmax":
        y, missing = _softmax(z, axis, formulation), 0.0
    else:
        y, missing = _log_softmax(z, axis, formulation), float("-inf")
    if active is not None:
        shape = (*y.shape[:axis], classes, *y.shape[axis + 1 :])
        y = torch.full(shape, missing, dtype=y.dtype, device=y.device).index_copy(axis, active, y)
    return _class_axes_restored(y, axis, logits.shape, axes)


def _one_class_axis(tensor: Tensor, axes: list[int]) -> tuple[Tensor, int]:
    """Several class axes flattened into one: in place where they are neighbours, else moved last."""
    if axes == list(range(axes[0], axes[-1] + 1)):
        return tensor.flatten(axes[0], axes[-1]) if len(axes) > 1 else tensor, axes[0]
    last = list(range(tensor.dim() - len(axes), tensor.dim()))
    return tensor.movedim(axes, last).flatten(last[0]), last[0]


def _class_axes_restored(tensor: Tensor, axis: int, shape: Any, axes: list[int]) -> Tensor:
    if len(axes) == 1:
        return tensor
    tensor = tensor.unflatten(axis, [shape[i] for i in axes])
    return tensor.movedim(list(range(axis, axis + len(axes))), axes)


def _softmax(z: Tensor, axis: int, formulation: str) -> Tensor:
    import torch

    if formulation == "fused":
        return torch.softmax(z, axis)
    if formulation == "log_softmax":
        return torch.log_softmax(z, axis).exp()
    w = z.exp()
    return w / w.sum(axis, keepdim=True)


def _log_softmax(z: Tensor, axis: int, formulation: str) -> Tensor:
    import torch

    if formulation in ("fused", "log_softmax"):
        return torch.log_softmax(z, axis)
    if formulation == "unfused":
        return torch.softmax(z, axis).log()
    return z - z.exp().sum(axis, keepdim=True).log()


def _cross_entropy(
    request: Request, z: Tensor, axis: int, tensors: dict[str, Tensor], axes: list[int], active: Tensor
) -> Tensor:
    from torch.nn import functional

    parameters, targets, weight = request["parameters"], tensors["targets"], tensors.get("weight")
    reduction = parameters.get("reduction", "mean")
    options: dict[str, Any] = {
        "weight": weight if weight is None or active is None else weight.index_select(0, active)
    }
    indices = not targets.is_floating_point()
    outer = z.shape[:axis] + z.shape[axis + 1 :]
    if indices:
        options["ignore_index"] = parameters.get("ignore_index", -100)
        if active is not None:
            targets = _renumbered(targets, active, options["ignore_index"])
            options["ignore_index"] = -100
    else:
        targets = _one_class_axis(targets, axes)[0]
        targets = targets if active is None else targets.index_select(axis, active)
    if z.dim() > 2 and axis == z.dim() - 1:
        z = z.reshape(-1, z.shape[axis])
        targets = targets.reshape(-1) if indices else targets.reshape(z.shape)
    elif z.dim() > 1 and axis != 1:
        z = z.movedim(axis, 1)
        targets = targets if indices else targets.movedim(axis, 1)
    smoothing = float(parameters.get("label_smoothing", 0.0))
    if request["formulation"] == "fused":
        loss = functional.cross_entropy(z, targets, reduction=reduction, label_smoothing=smoothing, **options)
    else:
        # The backward of nll_loss over images refuses an input that is not contiguous (torch 2.13).
        log_p = _log_softmax(z, min(z.dim() - 1, 1), request["formulation"]).contiguous()
        compose = _nll_of_indices if indices else _nll_of_probabilities
        loss = compose(log_p, targets, reduction, smoothing, **options)
    return loss.reshape(outer) if reduction == "none" else loss


def _renumbered(labels: Tensor, active: Tensor, ignore_index: int) -> Tensor:
    """Labels counted among the classes that take part; ignored ones become -100."""
    import torch

    position = torch.searchsorted(active, labels.contiguous()).clamp(max=len(active) - 1)
    ignored = labels == ignore_index
    wrong = labels[(active[position] != labels) & ~ignored]
    if wrong.numel():
        raise IndexError("label %d is not one of the %d classes that take part" % (wrong[0], len(active)))
    return position.masked_fill(ignored, -100)


def _nll_of_indices(
    log_p: Tensor, labels: Tensor, reduction: str, smoothing: float, weight: Tensor, ignore_index: int
) -> Tensor:
    """`nll_loss`, and where labels are smoothed the mean over the classes beside it."""
    from torch.nn import functional

    options = {"weight": weight, "ignore_index": ignore_index}
    if not smoothing:
        return functional.nll_loss(log_p, labels, reduction=reduction, **options)
    axis = min(log_p.dim() - 1, 1)
    ignored = labels == ignore_index
    spread = log_p if weight is None else log_p * _along(weight, log_p, axis)
    losses = (1.0 - smoothing) * functional.nll_loss(log_p, labels, reduction="none", **options)
    losses = losses + (smoothing / log_p.shape[axis]) * (-spread.sum(axis)).masked_fill(ignored, 0.0)
    if reduction != "mean":
        return losses if reduction == "none" else losses.sum()
    counted = (~ignored).to(log_p.dtype)
    if weight is not None:
        counted = weight[labels.masked_fill(ignored, 0)] * counted
    return losses.sum() / counted.sum()


def _nll_of_probabilities(log_p: Tensor, q: Tensor, reduction: str, smoothing: float, weight: Tensor) -> Tensor:
    """-sum t log p with t as `cross_entropy` forms it."""
    axis = min(log_p.dim() - 1, 1)
    t = q * (1.0 - smoothing) + smoothing / log_p.shape[axis] if smoothing else q
    t = t if weight is None else t * _along(weight, log_p, axis)
    losses = -(t * log_p).sum(axis)
    return {"none": losses, "mean": losses.mean(), "sum": losses.sum()}[reduction]


def _along(weight: Tensor, log_p: Tensor, axis: int) -> Tensor:
    return weight.reshape([-1 if i == axis else 1 for i in range(log_p.dim())])
