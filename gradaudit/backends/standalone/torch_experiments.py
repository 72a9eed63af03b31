"""Further runs of a user's torch function, which show whether it behaves as a function.

The experiments, each with an "output" and a "gradient" where there are any ("again.output", "again.gradient"):

    again            the same call once more
    reseeded         the same call, the random generators seeded by another number
    retained         a backward that keeps the graph; "retained_twice" is a second one through the same graph
    perturbed        one row of the logits doubled; the note "perturbed_row" is its index among the rows
    doubled          the upstream gradient doubled, which is exact
    transposed       the logits as a view of memory in which the class axis varies slowest
    strided          the logits as every other element of memory that holds NaN between them
    expanded         the upstream gradient with stride 0, where it is the same for all outputs
    second_order     "direction", and "hessian" times it, by a second backward (derivatives: 2)
    of_targets       the gradient of soft targets (derivatives: 2)

One that raises is a note "raised": {experiment: message}. Run by path in any Python from 3.8; imports nothing of
gradaudit.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, Optional

Tensor = Any
Request = Dict[str, Any]

OTHER_SEED = 1
"""Added to the seed of a request for the call that is seeded otherwise."""


class Experiments:
    """What the runs of one request have shown so far."""

    def __init__(self, function: Any, request: Request, tensors: Dict[str, Tensor], modules: Any) -> None:
        self.function, self.request, self.tensors = function, request, tensors
        self.runs, self.settled, self.place = modules.runs, modules.settled, modules.place
        self.arrays: Dict[str, Tensor] = {}
        self.raised: Dict[str, str] = {}
        self.notes: Dict[str, Any] = {"raised": self.raised}

    def attempt(self, name: str, run: Callable[[], None]) -> None:
        """Run one experiment; an exception of the user's is a note."""
        self.settled(self.request["seed"])
        try:
            run()
        except Exception as error:
            place = self.place(error)
            said = "%s: %s" % (type(error).__name__, str(error)[:500])
            self.raised[name] = "%s: %s" % (place, said) if place is not None else said

    def call(self, name: str, tensors: Optional[Dict[str, Tensor]] = None, **changes: Any) -> None:
        """One call with something changed, its arrays kept under `name`."""

        def run() -> None:
            request = dict(self.request, **changes)
            if "seed" in changes:
                self.settled(changes["seed"])
            result = self.runs.called(self.function, request, self.runs.feed(request, tensors or self.tensors))
            self.keep(name + ".output", result.output)
            self.keep(name + ".gradient", result.gradient)

        self.attempt(name, run)

    def keep(self, name: str, value: Any) -> None:
        """Keep an array, if it is one of floating-point numbers."""
        import torch

        if isinstance(value, torch.Tensor) and value.is_floating_point():
            self.arrays[name] = value.detach()


def run(function: Any, request: Request, tensors: Dict[str, Tensor], modules: Any) -> Experiments:
    """Every experiment that applies to the request."""
    found = Experiments(function, request, tensors, modules)
    found.call("again")
    before = modules.generators()
    found.call("reseeded", seed=request["seed"] + OTHER_SEED)
    after = modules.generators()
    # Two calls that began in different states end in one only where somebody else has seeded.
    found.notes["seeded"] = [name for name, state in before.items() if after[name] == state]
    found.attempt("retained", lambda: _retained(found))
    _perturbed(found)
    if "upstream" in tensors:
        found.call("doubled", dict(tensors, upstream=tensors["upstream"] * 2))
    for layout in ("transposed", "strided"):
        if request.get("layout", "contiguous") == "contiguous":
            found.call(layout, layout=layout)
    if _is_constant(tensors.get("upstream")):
        found.call("expanded", upstream_layout="expanded")
    if request.get("derivatives") == 2:
        found.attempt("second_order", lambda: _second_order(found))
        if "targets" in tensors and tensors["targets"].is_floating_point():
            found.attempt("of_targets", lambda: _of_targets(found))
    return found


def _retained(found: Experiments) -> None:
    fed = found.runs.feed(found.request, found.tensors)
    output = found.runs.forward(found.function, found.request, fed)
    if found.runs.why_no_gradient(output):
        return
    found.notes["written_by_hand"] = _written_by_hand(output, found.place)
    (first,) = found.runs.backward(output, [fed.leaf], fed.upstream, keep=True)
    found.keep("retained.gradient", first)
    # The first result may be memory that the second backward writes to.
    found.arrays = {name: tensor.clone() if "retained" in name else tensor for name, tensor in found.arrays.items()}
    (second,) = found.runs.backward(output, [fed.leaf], fed.upstream, keep=True)
    found.keep("retained_twice.gradient", second)


def _perturbed(found: Experiments) -> None:
    """Double the row in the middle of those that have targets: exact, and another function value."""
    import torch

    logits, axes = found.tensors["logits"], list(found.request["axis"])
    outer = [i for i in range(logits.dim()) if i not in axes]
    rows = 1
    for axis in outer:
        rows *= logits.shape[axis]
    if rows < 2:
        return
    moved = logits.permute(outer + axes).reshape(rows, -1)
    counts = torch.isfinite(moved).any(1) & (moved != 0).any(1)
    targets = found.tensors.get("targets")
    if targets is not None and not targets.is_floating_point():
        counts = counts & (targets.reshape(-1) != found.request["parameters"].get("ignore_index", -100))
    candidates = counts.nonzero().reshape(-1)
    if not candidates.numel():
        return
    row = int(candidates[len(candidates) // 2])
    changed = moved.clone()
    changed[row] *= 2
    back = [(outer + axes).index(i) for i in range(logits.dim())]
    changed = changed.reshape([logits.shape[i] for i in outer + axes]).permute(back).contiguous()
    found.notes["perturbed_row"] = row
    found.call("perturbed", dict(found.tensors, logits=changed))


def _is_constant(upstream: Any) -> bool:
    if upstream is None or upstream.dim() == 0 or upstream.numel() < 2:
        return False
    return bool((upstream == upstream.reshape(-1)[0]).all())


def _second_order(found: Experiments) -> None:
    """The Hessian of upstream * output, times a direction, by a second backward."""
    import torch

    fed = found.runs.feed(found.request, found.tensors)
    output = found.runs.forward(found.function, found.request, fed)
    if found.runs.why_no_gradient(output):
        return
    generator = torch.Generator().manual_seed(found.request["seed"])
    direction = torch.randn(fed.leaf.shape, generator=generator, dtype=torch.float64).to(fed.leaf.dtype)
    direction = direction.to(fed.leaf.device)
    found.keep("second_order.direction", direction)
    # A backward marked once_differentiable refuses a second one only where its own upstream gradient has a graph.
    upstream = torch.ones_like(output) if fed.upstream is None else fed.upstream
    (gradient,) = found.runs.backward(output, [fed.leaf], upstream.detach().requires_grad_(), create=True)
    found.keep("second_order.gradient", gradient)
    found.notes["second_order"] = "a graph"
    if gradient is None or not gradient.requires_grad:
        found.notes["second_order"] = "no graph"
        return
    if any(node.name().endswith("Error") for node in _graph(gradient)):
        found.notes["second_order"] = "refused"  # once_differentiable
        return
    (hessian,) = torch.autograd.grad((gradient * direction).sum(), fed.leaf, allow_unused=True)
    if hessian is None:
        found.notes["second_order"] = "no path"
    else:
        found.keep("second_order.hessian", hessian)


def _of_targets(found: Experiments) -> None:
    fed = found.runs.feed(found.request, found.tensors, soft_targets=True)
    output = found.runs.forward(found.function, found.request, fed)
    if found.runs.why_no_gradient(output):
        return
    (gradient,) = found.runs.backward(output, [fed.targets], fed.upstream)
    found.notes["of_targets"] = "a graph" if gradient is not None else "no path"
    found.keep("of_targets.gradient", gradient)


def _written_by_hand(output: Tensor, place: Any) -> List[str]:
    """Where the autograd.Functions written by hand stand, of all that the graph of `output` holds.

    The class that is applied, not its backward: that may be inherited, or hand out what the forward precomputed.
    """
    import torch

    found: List[str] = []
    for node in _graph(output):
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            where = place(None, type(node)._forward_cls)
            found += [where] if where not in found else []
    return found


def _graph(output: Tensor) -> Iterator[Any]:
    """Every node of the graph that `output` stands at the end of, once."""
    waiting, seen = [output.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting += [following for following, _ in node.next_functions]
