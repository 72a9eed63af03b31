"""One call of a user's torch function, forward and backward, and what it did to the memory it was handed.

The logits that the function sees are no leaf of the graph, as in training: in-place steps on them are allowed, and
what they do is looked for byte by byte, so that a write behind autograd's back is seen as well.

Run by path in any Python from 3.8 with NumPy and torch; imports nothing of gradaudit.
"""

from __future__ import annotations

import time
from typing import Any, Dict, List, NamedTuple, Optional

Tensor = Any
Request = Dict[str, Any]


class Fed(NamedTuple):
    """What one call is handed. `leaf` is what the gradient is taken for; `pristine` maps the name of each tensor to
    the tensor (with all the memory around it) and a copy of its bytes."""

    leaf: Tensor
    logits: Tensor
    targets: Optional[Tensor]
    upstream: Optional[Tensor]
    pristine: Dict[str, Any]


class Called(NamedTuple):
    """What a call returned. `gradient` is None where there is none, and `unusable` then says why."""

    output: Any
    gradient: Optional[Tensor]
    seconds: float
    unusable: str
    mutated: List[str]


def feed(request: Request, tensors: Dict[str, Tensor], soft_targets: bool = False) -> Fed:
    """Copies of the tensors in the memory layout that the request asks for."""
    import torch

    device = request["subject"].get("device", "cpu")
    leaf = tensors["logits"].detach().clone().to(device).requires_grad_()
    whole, logits = laid_out(leaf, request.get("layout", "contiguous"), list(request["axis"]))
    targets = tensors.get("targets")
    if targets is not None:
        targets = targets.detach().clone().to(device)
        targets = targets.requires_grad_() if soft_targets and targets.is_floating_point() else targets
    upstream, upstream_whole = tensors.get("upstream"), None
    if upstream is not None:
        upstream = upstream.detach().clone().to(device)
        upstream, upstream_whole = _upstream(upstream, request.get("upstream_layout", "contiguous"))
    handed = {"logits": logits, "targets": targets, "upstream gradient": upstream}
    around = {"the memory around the logits": whole, "the memory around the upstream gradient": upstream_whole}
    with torch.no_grad():
        pristine = {
            name: (tensor, tensor.detach().clone())
            for name, tensor in {**handed, **around}.items()
            if tensor is not None
        }
    return Fed(leaf, logits, targets, upstream, pristine)


def laid_out(leaf: Tensor, layout: str, axes: List[int]) -> Any:
    """The memory and the logits in it: "contiguous", "transposed" (the class axis varies slowest) or "strided"
    (every other element of memory that holds NaN between them)."""
    import torch

    if layout == "transposed" and leaf.dim() > 1:
        order = axes + [i for i in range(leaf.dim()) if i not in axes]
        if order == list(range(leaf.dim())):
            order = order[::-1]
        back = [order.index(i) for i in range(leaf.dim())]
        return None, leaf.permute(order).contiguous().clone(memory_format=torch.contiguous_format).permute(back)
    if layout == "strided" or (layout == "transposed" and leaf.dim() == 1):
        whole = torch.stack([leaf, torch.full_like(leaf, float("nan"))], dim=-1)
        return whole, whole[..., 0]
    return None, leaf.clone(memory_format=torch.contiguous_format)


def _upstream(upstream: Tensor, layout: str) -> Any:
    import torch

    if layout == "strided" and upstream.dim():
        whole = torch.stack([upstream, torch.full_like(upstream, float("nan"))], dim=-1)
        return whole[..., 0], whole
    if layout == "expanded":
        narrow = upstream
        for axis in range(upstream.dim()):
            first = narrow.narrow(axis, 0, min(1, narrow.shape[axis]))
            narrow = first if same_bits(narrow, first.expand_as(narrow)) else narrow
        return narrow.expand(upstream.shape), None
    return upstream, None


def called(function: Any, request: Request, fed: Fed) -> Called:
    """Forward and backward, with the upstream gradient of `fed` (ones where it does not fit what came back)."""
    start = time.perf_counter()
    output = forward(function, request, fed)
    seconds = time.perf_counter() - start
    mutated = ["forward: " + name for name in changed(fed)]
    unusable = why_no_gradient(output)
    if unusable:
        return Called(output, None, seconds, unusable, mutated)
    start = time.perf_counter()
    (gradient,) = backward(output, [fed.leaf], fed.upstream)
    seconds += time.perf_counter() - start
    seen = {each.partition(": ")[2] for each in mutated}
    mutated += ["backward: " + name for name in changed(fed) if name not in seen]
    if gradient is None:
        unusable = "the gradient of the logits is None: what it returned does not depend on them in the graph"
    return Called(output, gradient, seconds, unusable, mutated)


def forward(function: Any, request: Request, fed: Fed) -> Any:
    """What the function returns, under autocast if the request asks for it."""
    import torch

    arguments = [fed.logits] if fed.targets is None else [fed.logits, fed.targets]
    autocast = request["subject"].get("autocast")
    if not autocast:
        return function(*arguments)
    device = torch.device(request["subject"].get("device", "cpu")).type
    with torch.autocast(device, dtype=getattr(torch, autocast)):
        return function(*arguments)


def backward(
    output: Tensor, wanted: List[Tensor], upstream: Optional[Tensor], keep: bool = False, create: bool = False
) -> Any:
    """The gradients of `output` for the tensors `wanted` (None where there is none), as they come from the graph."""
    import torch

    # Autograd is given the upstream gradient by a hook: the first time that it is passed to `grad`, torch imports
    # some 500 modules to compare two shapes, for 0.3 seconds.
    fits = upstream is not None and upstream.shape == output.shape
    handle = output.register_hook(lambda ones: _cast(upstream, output) if fits else torch.ones_like(ones))
    try:
        return torch.autograd.grad(
            output.sum(), wanted, retain_graph=keep or create, create_graph=create, allow_unused=True
        )
    finally:
        handle.remove()


def _cast(upstream: Any, output: Tensor) -> Tensor:
    return upstream if upstream.dtype == output.dtype else upstream.to(output.dtype)


def why_no_gradient(output: Any) -> str:
    """Why what a function returned cannot be differentiated; empty if it can."""
    import torch

    if not isinstance(output, torch.Tensor):
        return "it returned %s where a tensor is due" % described(output)
    if not output.is_floating_point():
        return "it returned %s where floating-point numbers are due" % described(output)
    if not output.requires_grad:
        return (
            "what it returned carries no gradient (requires_grad is False): it was computed under no_grad, by "
            "detach(), .data, .item() or NumPy, and nothing flows back to the logits"
        )
    return ""


def described(value: Any) -> str:
    """A value by its kind: "None", "the int 3", "a tuple of 2 (Tensor, dict)", "a float32 tensor of shape [7]"."""
    import torch

    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).rpartition(".")[2]
        return "a %s tensor of shape %s" % (dtype, list(value.shape))
    if value is None:
        return "None"
    if isinstance(value, (bool, int, float)):
        return "the %s %r" % (type(value).__name__, value)
    if isinstance(value, (tuple, list)):
        kinds = ", ".join(type(each).__name__ for each in value[:4])
        return "a %s of %d (%s)" % (type(value).__name__, len(value), kinds)
    shape = getattr(value, "shape", None)
    kind = "%s.%s" % (type(value).__module__, type(value).__qualname__)
    return "a %s%s" % (kind, " of shape %s" % list(shape) if isinstance(shape, tuple) else "")


def changed(fed: Fed) -> List[str]:
    """The names of what does not hold the bytes any more that it was handed over with."""
    found = [name for name, (tensor, pristine) in fed.pristine.items() if not same_bits(tensor, pristine)]
    # Whoever wrote to the logits wrote to the memory around them too: one name is enough.
    return [name for name in found if not (name.startswith("the memory") and name.split("the ")[-1] in found)]


def same_bits(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors agree in shape, dtype and every bit: NaN equals itself, and -0 is not 0."""
    import torch

    first, second = first.detach(), second.detach()
    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    integers = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    if not first.is_floating_point():
        return torch.equal(first, second)
    kind = integers[first.element_size()]
    return torch.equal(first.contiguous().view(kind), second.contiguous().view(kind))
