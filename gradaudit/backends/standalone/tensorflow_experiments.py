"""Further runs of a user's TensorFlow function, which show whether it behaves as a function.

The experiments, each with an "output" and a "gradient" where there are any ("again.output", "again.gradient"):

    again            the same call once more
    reseeded         the same call, the random generators seeded by another number
    retained         the backward of one call, kept by a persistent tape; "retained_twice" is it once more
    perturbed        one row of the logits doubled; the note "perturbed_row" is its index among the rows
    doubled          the upstream gradient doubled, which is exact
    graph            forward and backward inside one tf.function, where the request's execution is eager
    second_order     "direction", and "hessian" times it, by a tape around the tape (derivatives: 2)
    of_targets       the gradient of soft targets (derivatives: 2)

The note "written_by_hand" has the places where the graph of the function holds a `tf.custom_gradient`. An experiment
that raises is a note "raised": {experiment: message}. Tensors have one layout. Run by path in any Python from 3.8;
imports nothing of gradaudit.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List

Array = Any
Request = Dict[str, Any]

OTHER_SEED = 1
"""Added to the seed of a request for the call that is seeded otherwise."""


class Experiments:
    """What the runs of one request have shown so far; `own` is the adapter's file."""

    def __init__(self, function: Any, request: Request, tensors: Dict[str, Any], own: Any, found: Any) -> None:
        self.function, self.request, self.tensors, self.own, self.found = function, request, tensors, own, found
        self.arrays: Dict[str, Array] = {}
        self.raised: Dict[str, str] = {}
        self.notes: Dict[str, Any] = {"raised": self.raised}

    def attempt(self, name: str, run: Callable[[], None]) -> None:
        """Run one experiment; an exception of the user's is a note."""
        try:
            run()
        except Exception as error:
            place = self.own.place_of_failure(error, self.found)
            said = "%s: %s" % (type(error).__name__, str(error)[:500])
            self.raised[name] = "%s: %s" % (place, said) if place is not None else said

    def call(self, name: str, seed: int = 0, **changed: Any) -> None:
        """One call with something changed, its arrays kept under `name`."""

        def run() -> None:
            tensors = dict(self.tensors, **changed)
            request = dict(self.request, seed=self.request["seed"] + seed)
            result = self.own.called(self.function, request, tensors, [tensors.get("upstream")])
            if result.gradients:
                self.keep(name, result.output, result.gradients[0])

        self.attempt(name, run)

    def keep(self, name: str, output: Any, gradient: Any) -> None:
        """Keep the arrays of one run."""
        self.arrays[name + ".output"] = output.numpy()
        self.arrays[name + ".gradient"] = gradient.numpy()


def run(function: Any, request: Request, tensors: Dict[str, Any], own: Any, found: Any) -> Experiments:
    """Every experiment that applies to the request."""
    shown = Experiments(function, request, tensors, own, found)
    shown.call("again")
    shown.call("reseeded", seed=OTHER_SEED)
    shown.attempt("retained", lambda: _retained(shown))
    _perturbed(shown)
    if "upstream" in tensors:
        shown.call("doubled", upstream=tensors["upstream"] * 2)
    shown.attempt("graph", lambda: _in_graph(shown))
    if request.get("derivatives") == 2:
        shown.attempt("second_order", lambda: _second_order(shown))
        if "targets" in tensors and tensors["targets"].dtype.is_floating:
            shown.attempt("of_targets", lambda: _of_targets(shown))
    return shown


def _second_order(shown: Experiments) -> None:
    """The Hessian of upstream * output, times a direction, by a tape around the tape."""
    import numpy as np
    import tensorflow as tf

    own, request, logits = shown.own, shown.request, shown.tensors["logits"]
    rest = [shown.tensors["targets"]] if "targets" in shown.tensors else []
    drawn = np.random.RandomState(request["seed"] % (1 << 32)).standard_normal(logits.shape)
    direction = tf.cast(tf.constant(drawn), logits.dtype)
    step = own.differentiated(shown.function)

    def twice() -> Any:
        with tf.GradientTape() as outer:
            outer.watch(logits)
            _, gradients = step(logits, rest, [shown.tensors.get("upstream")])
        if not gradients:
            return None, None
        hessian = outer.gradient(gradients[0], logits, output_gradients=direction)
        return gradients[0], None if hessian is None else tf.convert_to_tensor(hessian)

    own.settled(request["seed"])
    execution = request.get("execution", "eager")
    gradient, hessian = (twice if execution == "eager" else tf.function(twice, jit_compile=execution == "compiled"))()
    if gradient is None:
        return
    shown.notes["second_order"] = "no path" if hessian is None else "a graph"
    for name, tensor in (("direction", direction), ("gradient", gradient), ("hessian", hessian)):
        if tensor is not None:
            shown.arrays["second_order." + name] = tensor.numpy()


def _of_targets(shown: Experiments) -> None:
    """The function with its arguments exchanged, and the gradient of what stands first."""
    tensors = shown.tensors
    step = shown.own.differentiated(lambda targets, logits: shown.function(logits, targets))
    shown.own.settled(shown.request["seed"])
    output, gradients = step(tensors["targets"], [tensors["logits"]], [tensors.get("upstream")])
    if shown.own.why_no_gradient(output):
        return
    shown.notes["of_targets"] = "a graph" if gradients else "no path"
    if gradients:
        shown.arrays["of_targets.gradient"] = gradients[0].numpy()


def _retained(shown: Experiments) -> None:
    head = shown.tensors.get("upstream")
    result = shown.own.called(shown.function, shown.request, shown.tensors, [head, head])
    for name, gradient in zip(("retained", "retained_twice"), result.gradients):
        shown.arrays[name + ".gradient"] = gradient.numpy()


def _perturbed(shown: Experiments) -> None:
    """Double the row in the middle of those that have targets: exact, and another function value."""
    numpy_subjects = shown.own._sibling("numpy_subjects")
    arrays = {name: tensor.numpy() for name, tensor in shown.tensors.items()}
    row = numpy_subjects.middle_row(shown.request, arrays)
    if row is None:
        return
    changed = numpy_subjects.doubled(arrays["logits"], row, list(shown.request["axis"]))
    shown.notes["perturbed_row"] = row
    shown.call("perturbed", logits=shown.own._sibling("tensorflow_adapter").as_tensor(changed))


def _in_graph(shown: Experiments) -> None:
    """The same step as a training loop runs it; what the graph holds of gradients written by hand."""
    import tensorflow as tf

    rest = [] if "targets" not in shown.tensors else [shown.tensors["targets"]]
    found: List[str] = []
    differentiated = shown.own.differentiated(shown.function)

    def step(logits: Any, rest: Any, heads: Any) -> Any:
        pair = differentiated(logits, rest, heads)
        found.extend(_written_by_hand(tf.compat.v1.get_default_graph(), shown))
        return pair

    shown.own.settled(shown.request["seed"])
    pair = tf.function(step)(shown.tensors["logits"], rest, [shown.tensors.get("upstream")])
    shown.notes["written_by_hand"] = list(dict.fromkeys(found))
    if pair and pair[1] and shown.request.get("execution", "eager") == "eager":
        shown.keep("graph", pair[0], pair[1][0])


def _written_by_hand(graph: Any, shown: Experiments) -> List[str]:
    """Where the operations with a gradient of their own were made: the user's line that calls such a function."""
    user_code, found = shown.own.user_code, []
    own_file = user_code.place_of(shown.found).file
    for operation in graph.get_operations():
        kind = operation.node_def.attr.get("_gradient_op_type") if operation.node_def.attr else None
        if kind is None or not kind.s.startswith(b"CustomGradient"):
            continue
        frames = [frame for frame in operation.traceback if user_code.is_users(frame.filename, own_file)]
        if frames:
            found.append(str(user_code.Place(frames[-1].filename, frames[-1].lineno, frames[-1].name)))
        else:
            found.append(str(user_code.place_of(shown.found)))
    return found


def of_itself(request: Request, arrays: Dict[str, Array], own: Any) -> Any:
    """What the value of the function says of its gradient (`self_consistency`)."""
    import numpy as np

    consistency = own._sibling("self_consistency")

    def make(dtype: str) -> Any:
        import tensorflow as tf

        asked = dict(request, dtype=dtype)
        function, _ = own.subject(asked)
        tensors = {
            name: tf.cast(tensor, dtype) if tensor.dtype.is_floating else tensor
            for name, tensor in own.given(request, arrays).items()
        }
        head = tensors.get("upstream")
        first = own.called(function, asked, tensors, [head])
        if not first.gradients:
            raise TypeError(first.unusable)
        fits = head is not None and head.shape == first.output.shape
        if not fits:
            drawn = np.random.RandomState(request["seed"] % (1 << 32)).standard_normal(first.output.shape)
            head = tf.cast(tf.constant(drawn), first.output.dtype)
            first = own.called(function, asked, tensors, [head])
        weights = np.asarray(head).astype(np.float64)
        rest = [tensors["targets"]] if "targets" in tensors else []

        def value(x: Array) -> Any:
            own.settled(request["seed"])
            rounded = tf.cast(tf.constant(np.asarray(x, np.float64)), dtype)
            parts = weights * function(rounded, *rest).numpy().astype(np.float64)
            return float(parts.sum()), float(np.abs(parts).sum()), rounded.numpy().astype(np.float64)

        def jvp(d: Array) -> float:
            own.settled(request["seed"])
            direction = tf.cast(tf.constant(np.asarray(d, np.float64)), dtype)
            with tf.autodiff.ForwardAccumulator(tensors["logits"], direction) as forward:
                output = function(tensors["logits"], *rest)
            tangent = forward.jvp(output)
            if tangent is None:
                raise TypeError("no tangent came back")
            return float((weights * tangent.numpy().astype(np.float64)).sum())

        start = tensors["logits"].numpy().astype(np.float64)
        slope = first.gradients[0].numpy().astype(np.float64)
        return consistency.Differentiable(start, slope, value, jvp, dtype, "given" if fits else "drawn")

    return consistency.run(request, make)
