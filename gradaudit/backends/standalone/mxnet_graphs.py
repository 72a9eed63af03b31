"""ONNX graphs with the semantics of MXNet's operators: forward, and backward under a head gradient.

softmax, log_softmax and softmin with a temperature, softmax with lengths; SoftmaxOutput with its options;
softmax_cross_entropy; gluon's SoftmaxCrossEntropyLoss. Everything is spelled with primitives and classes along the
axis of the request. The formulation "as_mxnet" has the faults that MXNet 1.9.1 has, and "fused" has none of them:

* log_softmax in float32 takes its logarithm from oneDNN's table of 32 entries for each power of two, and each entry
  is off by up to 3.4e-6 (`OFF`);
* softmax_cross_entropy takes the logarithm of max(p, 1e-8), its gradient does not;
* SoftmaxOutput's out_grad multiplies by the output of the forward, not by the head gradient.

Loaded by path beside `onnxruntime_adapter.py`; needs NumPy, and the sibling file of graphs.
"""

from __future__ import annotations

from typing import Any, Dict

Array = Any
Request = Dict[str, Any]

PREFIX = "mxnet."
PER_CLASS = ("softmax", "log_softmax", "softmin", "SoftmaxOutput")
"""Operators with an output for every class."""

AS_MXNET = "as_mxnet"

CLAMP = 1e-8
"""What softmax_cross_entropy cuts probabilities off at."""

_MILLIONTHS = (
    *(-1.43, 3.41, -2.9, 0.572, -3.17, -1.47, -1.49, 0.803, 2.8, 2.8, -1.91, -1.91),
    *(2.86, 2.83, -0.0696, -0.0558, -2.23, -2.25, -2.44, -2.43, -2.39, -3.25, -3.29, -0.953),
    *(-0.966, -1, -1.02, -0.0157, -0.00529, 0.00946, -1.43, -1.43),
)
OFF = tuple(1e-6 * each for each in _MILLIONTHS)
"""What oneDNN's logarithm is off by in each 32nd of [1, 2): found by running MXNet 1.9.1 on x86-64 with AVX-512."""


def build(graphs: Any, request: Request, arrays: dict[str, Array], axis: int) -> bytes:
    """The serialised model that answers `request`; `graphs` is the loaded file of the plain ones."""
    operator = request["function"][len(PREFIX) :]
    graph = graphs.Graph(request["dtype"])
    make = {
        "SoftmaxOutput": _softmax_output,
        "softmax_cross_entropy": _softmax_cross_entropy,
        "SoftmaxCrossEntropyLoss": _gluon,
    }.get(operator, _activation)
    output, gradient = make(graph, Operator(request, arrays, axis), operator)
    graph.exit(output, "output")
    graph.exit(gradient, "gradient")
    return bytes(graph.serialised(arrays))


class Operator:
    """One operator at arrays of known shapes: its parameters, and what is read off them.

    `shape` is that of the data. For a Jacobian the logits have a first axis more, one copy for each cotangent; so
    `last` counts the class axis from the end, and whatever is laid out along `shape` meets them all.
    """

    def __init__(self, request: Request, arrays: dict[str, Array], axis: int) -> None:
        self.parameters = request["parameters"]
        self.faulty = request["formulation"] == AS_MXNET
        self.dtype = request["dtype"]
        self.per_output = request["per_output"]
        copies = int(request["per_output"] and request["function"][len(PREFIX) :] in PER_CLASS)
        self.shape = list(arrays["logits"].shape)[copies:]
        self.axis = axis - copies
        self.last = self.axis - len(self.shape)
        self.labels = "targets" in arrays and arrays["targets"].dtype.kind == "i"

    @property
    def classes(self) -> int:
        """K."""
        return int(self.shape[self.axis])

    @property
    def rows(self) -> list[int]:
        """The data's shape with one class."""
        return [1 if i == self.axis else size for i, size in enumerate(self.shape)]

    def along(self) -> Array:
        """The number of each class, [K] along the class axis."""
        import numpy as np

        return np.arange(self.classes).reshape([-1 if i == self.axis else 1 for i in range(len(self.shape))])


# -- softmax, log_softmax, softmin -----------------------------------------------------------------------------------


def _activation(graph: Any, own: Operator, operator: str) -> tuple[str, str]:
    import numpy as np

    temperature = own.parameters.get("temperature")
    scaled = temperature is not None and temperature != 1.0
    z = graph.entry("logits")
    z = graph.op("Neg", z) if operator == "softmin" else z
    z = graph.with_number("Div", z, temperature) if scaled else z
    taking_part = None
    if own.parameters.get("use_length"):
        length = np.reshape(np.asarray(own.parameters["length"], np.int64), own.rows)
        taking_part = graph.constant(own.along() < length)
        z = graph.op("Where", taking_part, z, graph.scalar(float("-inf")))
    g = graph.entry("upstream")
    if operator == "log_softmax":
        output = _log_softmax(graph, own, z, oneDNN=temperature is None)
        spread = graph.op("Mul", graph.op("Exp", output), _total(graph, own, g))
        gradient = graph.op("Sub", g, spread)
    else:
        output = graph.op("Softmax", z, axis=own.last)
        if taking_part is not None:
            g = graph.op("Where", taking_part, g, graph.scalar(0.0))
        inner = _total(graph, own, graph.op("Mul", output, g))
        gradient = graph.op("Mul", output, graph.op("Sub", g, inner))
    gradient = graph.with_number("Div", gradient, temperature) if scaled else gradient
    return output, graph.op("Neg", gradient) if operator == "softmin" else gradient


def _log_softmax(graph: Any, own: Operator, z: str, *, oneDNN: bool) -> str:  # noqa: N803 - its name
    """log p; as MXNet has it where that is asked for and oneDNN computes it there."""
    if not (own.faulty and oneDNN and own.dtype == "float32" and own.axis == len(own.shape) - 1):
        return str(graph.op("LogSoftmax", z, axis=own.last))
    shifted = graph.op("Sub", z, graph.op("ReduceMax", z, graph.integers([own.last]), keepdims=1))
    logarithm = _logarithm_by_table(graph, _total(graph, own, graph.op("Exp", shifted)))
    return str(graph.op("Sub", shifted, logarithm))


def _logarithm_by_table(graph: Any, s: str) -> str:
    """log s for s >= 1, off by what oneDNN's table is off for the 32nd of [2^e, 2^(e + 1)) in which s is."""
    import numpy as np

    logarithm = graph.op("Log", s)
    exponent = graph.op("Floor", graph.op("Mul", logarithm, graph.row_scalar(1.0 / np.log(2.0))))
    mantissa = graph.op("Div", s, graph.op("Pow", graph.row_scalar(2.0), exponent))
    number = graph.op("Mul", graph.op("Sub", mantissa, graph.row_scalar(1.0)), graph.row_scalar(float(len(OFF))))
    number = graph.op("Cast", graph.op("Floor", number), to=7)
    number = graph.op("Max", graph.op("Min", number, graph.integers(len(OFF) - 1)), graph.integers(0))
    return str(graph.op("Add", logarithm, graph.op("Gather", graph.constant(np.asarray(OFF, np.float32)), number)))


# -- losses ----------------------------------------------------------------------------------------------------------


def _softmax_output(graph: Any, own: Operator, _: str) -> tuple[str, str]:
    """p, and (p - t) grad_scale / n."""
    given = own.parameters
    p = graph.op("Softmax", graph.entry("logits"), axis=own.last)
    t, counts = _mass(graph, own)
    if own.labels and given["smooth_alpha"] and not given["multi_output"]:
        alpha = float(given["smooth_alpha"])
        hot = graph.op("Cast", t, to=graph.row)
        at = graph.op("Mul", hot, graph.row_scalar(1.0 - alpha))
        others = graph.op("Sub", graph.row_scalar(1.0), hot)
        others = graph.op("Mul", others, graph.row_scalar(alpha / (own.classes - 1)))
        t = graph.op("Cast", graph.op("Add", at, others), to=graph.elements)
    gradient = graph.op("Sub", p, t)
    if counts is not None:
        gradient = graph.op("Where", counts, gradient, graph.scalar(0.0))
    factor = graph.op("Div", graph.row_scalar(float(given["grad_scale"])), _normaliser(graph, own))
    gradient = graph.op("Cast", graph.op("Mul", graph.op("Cast", gradient, to=graph.row), factor), to=graph.elements)
    if given["out_grad"]:
        gradient = graph.op("Mul", gradient, p if own.faulty else graph.entry("upstream"))
    return p, gradient


def _normaliser(graph: Any, own: Operator) -> str:
    """What SoftmaxOutput divides by, in the type of rows."""
    import numpy as np

    given = own.parameters
    if not own.labels:
        return str(graph.row_scalar(1.0))
    behind = int(np.prod(own.shape[2:])) if given["multi_output"] else 1
    if given["normalization"] == "valid":
        valid = graph.op("Not", graph.op("Equal", "targets", graph.integers(given["ignore_label"])))
        count = graph.op("ReduceSum", graph.op("Cast", valid, to=graph.row), keepdims=0)
        return str(graph.op("Max", count, graph.row_scalar(1.0)))
    if given["normalization"] == "batch":
        behind *= own.shape[0] if given["multi_output"] else int(np.prod(own.rows))
    return str(graph.row_scalar(float(behind)))


def _softmax_cross_entropy(graph: Any, own: Operator, _: str) -> tuple[str, str]:
    """-sum_i log p_iy, of shape (1,), and (p - t) g."""
    z = graph.entry("logits")
    p = graph.op("Softmax", z, axis=own.last)
    t = _mass(graph, own)[0]
    if own.faulty:
        log_p = graph.op("Log", graph.op("Max", p, graph.scalar(CLAMP)))
    else:
        log_p = graph.op("LogSoftmax", z, axis=own.last)
    losses = _total(graph, own, _products(graph, t, log_p))
    total = graph.op("ReduceSum", graph.op("Cast", losses, to=graph.row), keepdims=0)
    output = graph.op("Cast", graph.op("Reshape", graph.op("Neg", total), graph.integers([1])), to=graph.elements)
    return output, graph.op("Mul", graph.op("Sub", p, t), _head(graph, own, [1]))


def _gluon(graph: Any, own: Operator, _: str) -> tuple[str, str]:
    """-weight / d sum log p_y over the d rows of each sample, and the gradient by log_softmax."""
    import numpy as np

    given, rank = own.parameters, len(own.shape)
    sample_axis = given["batch_axis"] % rank
    z = graph.entry("logits")
    log_p = z if given["from_logits"] else _log_softmax(graph, own, z, oneDNN=True)
    t = _mass(graph, own)[0]
    losses = graph.op("Neg", _total(graph, own, _products(graph, t, log_p)))
    samples = [size if i == sample_axis else 1 for i, size in enumerate(own.shape)]
    count = float(np.prod(own.rows)) / own.shape[sample_axis]
    g = _head(graph, own, samples)
    if given["weight"] is not None:
        # As MXNet does, and as class weights are: rounded to the dtype first.
        weight = graph.op("Cast", graph.row_scalar(float(given["weight"])), to=graph.outside)
        weight = graph.op("Cast", weight, to=graph.elements)
        losses = graph.op("Mul", losses, weight)
    if count != 1.0:
        g = graph.with_number("Div", g, count)
    if given["weight"] is not None:
        g = graph.op("Mul", g, weight)
    others = [i for i in range(rank) if i != sample_axis]
    output = graph.op("ReduceSum", graph.op("Cast", losses, to=graph.row), graph.integers(others), keepdims=0)
    output = graph.op("Div", output, graph.row_scalar(count)) if count != 1.0 else output
    h = graph.op("Neg", graph.op("Mul", t, g))
    if not given["from_logits"]:
        h = graph.op("Sub", h, graph.op("Mul", graph.op("Exp", log_p), _total(graph, own, h)))
    return graph.op("Cast", output, to=graph.elements), h


def _mass(graph: Any, own: Operator) -> tuple[str, str | None]:
    """t [rows, K], and which rows have a gradient (None: all)."""
    if not own.labels:
        return graph.entry("targets"), None
    indices = graph.op("Reshape", "targets", graph.integers(own.rows))
    own_class = graph.op("Equal", indices, graph.integers(own.along()))
    counts = None
    if own.parameters.get("use_ignore"):
        counts = graph.op("Not", graph.op("Equal", indices, graph.integers(own.parameters["ignore_label"])))
    return graph.op("Cast", own_class, to=graph.elements), counts


def _products(graph: Any, t: str, log_p: str) -> str:
    """t log p; 0 log 0 is 0."""
    zero = graph.scalar(0.0)
    return str(graph.op("Where", graph.op("Equal", t, zero), zero, graph.op("Mul", t, log_p)))


def _head(graph: Any, own: Operator, shape: list[int]) -> str:
    """The head gradient of a loss, laid out to meet the logits."""
    if own.per_output:
        return str(graph.scalar(1.0))
    return str(graph.op("Reshape", graph.entry("upstream"), graph.integers(shape)))


def _total(graph: Any, own: Operator, value: str) -> str:
    return str(graph.op("ReduceSum", value, graph.integers([own.last]), keepdims=1))
