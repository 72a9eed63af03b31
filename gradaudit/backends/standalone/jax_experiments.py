"""Further runs of a user's JAX function, which show whether it behaves as a function.

The experiments, each with an "output" and a "gradient" where there are any ("again.output", "again.gradient"):

    again            the same call once more
    reseeded         the same call, the random generators of Python and NumPy seeded by another number
    retained         the backward of one call; "retained_twice" is the same backward once more
    perturbed        one row of the logits doubled; the note "perturbed_row" is its index among the rows
    doubled          the upstream gradient doubled, which is exact
    compiled         forward and backward as one program of `jax.jit`, where the request's execution is eager
    second_order     "direction", and "hessian" times it, by a second backward (derivatives: 2)
    of_targets       the gradient of soft targets (derivatives: 2)

The note "written_by_hand" has the places of the user's custom_vjp and custom_jvp. An experiment that raises is a note
"raised": {experiment: message}. Run by path in any Python from 3.8; imports nothing of gradaudit.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Callable, Dict, Iterator, List, Optional

Array = Any
Request = Dict[str, Any]

OTHER_SEED = 1
"""Added to the seed of a request for the call that is seeded otherwise."""


class Experiments:
    """What the runs of one request have shown so far; `own` is the adapter's file."""

    def __init__(self, function: Any, request: Request, tensors: Dict[str, Array], own: Any, found: Any) -> None:
        self.function, self.request, self.tensors, self.own, self.found = function, request, tensors, own, found
        self.arrays: Dict[str, Array] = {}
        self.raised: Dict[str, str] = {}
        self.notes: Dict[str, Any] = {"raised": self.raised}

    def attempt(self, name: str, run: Callable[[], None]) -> None:
        """Run one experiment; an exception of the user's is a note."""
        try:
            run()
        except Exception as error:
            place = self.own.user_code.place_of_failure(error, self.found)
            said = "%s: %s" % (type(error).__name__, str(error)[:500])
            self.raised[name] = "%s: %s" % (place, said) if place is not None else said

    def call(self, name: str, compiled: Optional[bool] = None, seed: int = 0, **changed: Array) -> None:
        """One call with something changed, its arrays kept under `name`."""

        def run() -> None:
            request = dict(self.request, seed=self.request["seed"] + seed)
            result = self.own.called(self.function, request, dict(self.tensors, **changed), compiled)
            if result.gradient is not None:
                self.arrays[name + ".output"] = result.output
                self.arrays[name + ".gradient"] = result.gradient

        self.attempt(name, run)


def run(function: Any, request: Request, tensors: Dict[str, Array], own: Any, found: Any) -> Experiments:
    """Every experiment that applies to the request."""
    shown = Experiments(function, request, tensors, own, found)
    shown.call("again")
    shown.call("reseeded", seed=OTHER_SEED)
    shown.attempt("retained", lambda: _retained(shown))
    _perturbed(shown)
    if "upstream" in tensors:
        shown.call("doubled", upstream=tensors["upstream"] * 2)
    if request.get("execution", "eager") == "eager":
        shown.call("compiled", compiled=True)
    if request.get("derivatives") == 2:
        shown.attempt("second_order", lambda: _second_order(shown))
        if "targets" in tensors and tensors["targets"].dtype.kind not in "iu":
            shown.attempt("of_targets", lambda: _of_targets(shown))
    return shown


def _second_order(shown: Experiments) -> None:
    """The Hessian of upstream * output, times a direction, by a backward through the backward."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    own, request, logits = shown.own, shown.request, shown.tensors["logits"]
    rest = [shown.tensors["targets"]] if "targets" in shown.tensors else []
    head = shown.tensors.get("upstream")

    def of_gradient(z: Array, direction: Array) -> Any:
        gradient, vjp = jax.vjp(lambda x: own.gradient(shown.function, x, rest, head), z)
        return gradient, vjp(direction)[0]

    drawn = np.random.RandomState(request["seed"] % (1 << 32)).standard_normal(logits.shape)
    direction = jnp.asarray(drawn, logits.dtype)
    own.settled(request["seed"])
    compiled = request.get("execution", "eager") == "compiled"
    gradient, hessian = (jax.jit(of_gradient) if compiled else of_gradient)(logits, direction)
    shown.notes["second_order"] = "a graph"
    for name, array in (("direction", direction), ("gradient", gradient), ("hessian", hessian)):
        shown.arrays["second_order." + name] = array


def _of_targets(shown: Experiments) -> None:
    logits, head = shown.tensors["logits"], shown.tensors.get("upstream")
    shown.own.settled(shown.request["seed"])
    gradient = shown.own.gradient(lambda targets: shown.function(logits, targets), shown.tensors["targets"], [], head)
    shown.notes["of_targets"] = "a graph"
    shown.arrays["of_targets.gradient"] = gradient


def _retained(shown: Experiments) -> None:
    import jax.numpy as jnp

    result = shown.own.called(shown.function, shown.request, shown.tensors)
    if result.backward is None:
        return
    rest = [shown.tensors["targets"]] if "targets" in shown.tensors else []
    shown.notes["written_by_hand"] = list(_written_by_hand(shown, rest))
    head = shown.tensors.get("upstream")
    head = jnp.ones_like(result.output) if head is None else head
    shown.arrays["retained.gradient"] = result.backward(head)
    shown.arrays["retained_twice.gradient"] = result.backward(head)


def _perturbed(shown: Experiments) -> None:
    """Double the row in the middle of those that have targets: exact, and another function value."""
    import jax.numpy as jnp
    import numpy as np

    logits, axes = np.array(shown.tensors["logits"]), list(shown.request["axis"])
    outer = [i for i in range(logits.ndim) if i not in axes]
    order = outer + axes
    rows = int(np.prod([logits.shape[i] for i in outer], dtype=np.int64))
    if rows < 2:
        return
    moved = logits.transpose(order).reshape(rows, -1)
    values = moved.astype(np.float64)
    counts = np.isfinite(values).any(1) & (values != 0).any(1)
    targets = shown.tensors.get("targets")
    if targets is not None and targets.dtype.kind == "i":
        ignore = shown.request["parameters"].get("ignore_index", -100)
        counts &= np.asarray(targets).reshape(-1) != ignore
    candidates = np.flatnonzero(counts)
    if not candidates.size:
        return
    row = int(candidates[len(candidates) // 2])
    moved = moved.copy()
    moved[row] *= moved.dtype.type(2)
    changed = moved.reshape([logits.shape[i] for i in order]).transpose(np.argsort(order))
    shown.notes["perturbed_row"] = row
    shown.call("perturbed", logits=jnp.array(changed))


def _written_by_hand(shown: Experiments, rest: List[Array]) -> Iterator[str]:
    """Where the functions with derivatives written by hand stand, of all that the user's function calls."""
    import jax

    closed = jax.make_jaxpr(lambda logits: shown.function(logits, *rest))(shown.tensors["logits"])
    seen = set()
    for equation in _equations(closed.jaxpr):
        inner = equation.params.get("call_jaxpr", equation.params.get("fun_jaxpr"))
        if not equation.primitive.name.startswith(("custom_vjp", "custom_jvp")) or inner is None:
            continue
        # "loss at /path/losses.py:9"
        debug = getattr(getattr(inner, "jaxpr", inner), "debug_info", None)
        name, _, where = str(getattr(debug, "func_src_info", "") or "").rpartition(" at ")
        file, _, line = where.rpartition(":")
        if re.match(r"\d+$", line) and shown.own.user_code.is_users(file):
            place = str(shown.own.user_code.Place(file, int(line), name))
            if place not in seen:
                seen.add(place)
                yield place


def _equations(jaxpr: Any) -> Iterator[Any]:
    """Every equation, those inside of others too."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for each in value if isinstance(value, (tuple, list)) else [value]:
                inner = getattr(each, "jaxpr", each)
                if hasattr(inner, "eqns"):
                    yield from _equations(inner)


def of_itself(request: Request, arrays: Dict[str, Array], own: Any) -> Any:
    """What the value of the function says of its gradient (`self_consistency`)."""
    import numpy as np

    consistency = sys.modules.get("gradaudit_adapter_self_consistency") or own._sibling("self_consistency")

    def make(dtype: str) -> Any:
        import jax
        import jax.numpy as jnp

        asked = dict(request, dtype=dtype)
        with own.precision(dtype):
            function, _ = own.subject(asked)
            tensors = {
                name: array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array
                for name, array in own.given(request, arrays).items()
            }
            first = own.called(function, asked, tensors)
            if first.gradient is None:
                raise TypeError(first.unusable)
            head = tensors.get("upstream")
            fits = head is not None and head.shape == first.output.shape
            if not fits:
                drawn = np.random.RandomState(request["seed"] % (1 << 32)).standard_normal(first.output.shape)
                head = jnp.asarray(drawn, first.output.dtype)
                first = own.called(function, asked, dict(tensors, upstream=head))
        weights, rest = np.asarray(head, np.float64), [tensors["targets"]] if "targets" in tensors else []

        def value(x: Array) -> Any:
            with own.precision(dtype):
                own.settled(request["seed"])
                rounded = jnp.asarray(np.asarray(x, np.float64), dtype)
                parts = weights * np.asarray(function(rounded, *rest), np.float64)
                return float(parts.sum()), float(np.abs(parts).sum()), np.asarray(rounded, np.float64)

        def jvp(d: Array) -> float:
            with own.precision(dtype):
                own.settled(request["seed"])
                direction = jnp.asarray(np.asarray(d, np.float64), dtype)
                _, tangent = jax.jvp(lambda z: function(z, *rest), (tensors["logits"],), (direction,))
                return float((weights * np.asarray(tangent, np.float64)).sum())

        start, slope = np.asarray(tensors["logits"], np.float64), np.asarray(first.gradient, np.float64)
        return consistency.Differentiable(start, slope, value, jvp, dtype, "given" if fits else "drawn")

    return consistency.run(request, make)
