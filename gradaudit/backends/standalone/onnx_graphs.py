"""ONNX graphs of softmax, log_softmax, logsumexp and cross entropy with their textbook backward.

One graph holds forward and backward, in primitives only: from the inputs "logits", "targets", "upstream" and
"weight" to "output" and "gradient". Loaded by path beside `onnxruntime_adapter.py`; needs NumPy and onnx.
"""

from __future__ import annotations

from typing import Any, Dict, NamedTuple

Array = Any
Request = Dict[str, Any]

OPSET, IR_VERSION = 18, 9
"""The first opset in which every reduction takes its axes as an input; ONNX Runtime reads it from 1.14 on."""

FLOAT, INT64, FLOAT16, DOUBLE, BFLOAT16 = 1, 7, 10, 11, 16
ELEMENT_TYPES = {"float16": FLOAT16, "bfloat16": BFLOAT16, "float32": FLOAT, "float64": DOUBLE}


class Layout(NamedTuple):
    """Where the classes are: in the logits, and in the graph, where they are one axis."""

    shape: tuple[int, ...]
    axes: list[int]
    outer: list[int]
    axis: int
    active: Array
    masked: bool

    def row_shape(self) -> list[int]:
        """The shape of one number a row, beside an array with the class axis."""
        return [*self.outer[: self.axis], 1, *self.outer[self.axis :]]

    def classes_last(self) -> list[int]:
        """The permutation that moves the class axes behind the others."""
        return [*(i for i in range(len(self.shape)) if i not in self.axes), *self.axes]


class Labels(NamedTuple):
    """Target mass t; which rows count (None: all); upstream / denominator; the mean's denominator."""

    mass: str
    counts: str | None
    factor: str
    denominator: str


class Graph:
    """The nodes and constants of a graph in the making; values go by their names.

    `outside` is the element type of inputs and outputs, `elements` that of arrays inside, and `row` that of the
    numbers of a whole row or batch in the reduction: float32 where the elements have 16 bits.
    """

    def __init__(self, dtype: str) -> None:
        self.outside = ELEMENT_TYPES[dtype]
        self.elements = FLOAT if self.outside == BFLOAT16 else self.outside
        self.row = DOUBLE if self.outside == DOUBLE else FLOAT
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        from onnx import helper

        name = "%s_%d" % (kind.lower(), len(self.nodes))
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def entry(self, name: str) -> str:
        """The graph input `name` in the type of elements."""
        return self.op("Cast", name, to=FLOAT) if self.outside == BFLOAT16 else name

    def exit(self, value: str, name: str) -> None:
        """Make `value` the graph output `name`."""
        from onnx import helper

        self.nodes.append(helper.make_node("Cast", [value], [name], to=self.outside))

    def constant(self, value: Array) -> str:
        """An array as it is."""
        from onnx import numpy_helper

        name = "constant_%d" % len(self.constants)
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def integers(self, values: Any) -> str:
        """A list of int64: a shape, axes, indices."""
        import numpy as np

        return self.constant(np.asarray(values, np.int64))

    def with_number(self, kind: str, value: str, number: float) -> str:
        """An operation with a parameter, which is rounded to the type of rows only."""
        if self.elements == self.row:
            return self.op(kind, value, self.row_scalar(number))
        wide = self.op(kind, self.op("Cast", value, to=self.row), self.row_scalar(number))
        return self.op("Cast", wide, to=self.elements)

    def scalar(self, value: float) -> str:
        """A number in the type of elements: 0 or infinity, which every type has."""
        return self._number(value, self.elements)

    def row_scalar(self, value: float) -> str:
        """A number in the type of rows."""
        return self._number(value, self.row)

    def _number(self, value: float, element_type: int) -> str:
        import numpy as np

        types = {FLOAT16: np.float16, FLOAT: np.float32, DOUBLE: np.float64}
        return self.constant(np.asarray(value, types[element_type]))

    def serialised(self, arrays: dict[str, Array]) -> bytes:
        """The model whose inputs are those of `arrays` that the nodes read."""
        from onnx import helper

        read = {name for node in self.nodes for name in node.input}
        inputs = [
            helper.make_tensor_value_info(name, INT64 if array.dtype.kind == "i" else self.outside, list(array.shape))
            for name, array in arrays.items()
            if name in read
        ]
        outputs = [helper.make_tensor_value_info(name, self.outside, None) for name in ("output", "gradient")]
        graph = helper.make_graph(self.nodes, "gradaudit", inputs, outputs, initializer=self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        return bytes(model.SerializeToString())


def active_classes(parameters: dict[str, Any], shape: tuple[int, ...], axes: list[int]) -> Array:
    """The classes that take part, counted along the flattened class axes."""
    import numpy as np

    classes = np.arange(int(np.prod([shape[axis] for axis in axes])))
    return np.setdiff1d(classes, list(parameters.get("masked_classes") or ()))


def build(request: Request, arrays: dict[str, Array], axes: list[int]) -> bytes:
    """The serialised model that answers `request` for arrays of these shapes."""
    import numpy as np

    parameters, function = request["parameters"], request["function"]
    shape = arrays["logits"].shape
    outer = [size for i, size in enumerate(shape) if i not in axes]
    active = active_classes(parameters, shape, axes)
    masked = len(active) < int(np.prod([shape[axis] for axis in axes]))
    layout = Layout(shape, axes, outer, axes[0] if len(axes) == 1 else len(outer), active, masked)
    scale, temperature = (float(parameters.get(name, 1.0)) for name in ("logit_scale", "temperature"))
    graph = Graph(request["dtype"])
    z = graph.entry("logits")
    z = z if scale == 1.0 else graph.with_number("Mul", z, scale)
    z = z if temperature == 1.0 else graph.with_number("Div", z, temperature)
    z = _together(graph, layout, z)
    if function == "cross_entropy":
        labels = _labels(graph, layout, request, arrays)
        loss, gradient = _cross_entropy(graph, layout, z, labels, request["formulation"])
        output = _reduced(graph, layout, loss, labels.denominator, parameters.get("reduction", "mean"))
    elif function == "logsumexp":
        output, gradient = _logsumexp(graph, layout, z, request)
    else:
        compute = {"softmax": _softmax, "log_softmax": _log_softmax}[function]
        upstream = _together(graph, layout, graph.entry("upstream"))
        output, gradient = compute(graph, layout, z, upstream, request["formulation"])
        output = _apart(graph, layout, output, 0.0 if function == "softmax" else float("-inf"))
    gradient = _apart(graph, layout, gradient, 0.0)
    gradient = gradient if temperature == 1.0 else graph.with_number("Div", gradient, temperature)
    gradient = gradient if scale == 1.0 else graph.with_number("Mul", gradient, scale)
    graph.exit(output, "output")
    graph.exit(gradient, "gradient")
    return graph.serialised(arrays)


def _softmax(graph: Graph, layout: Layout, z: str, g: str, formulation: str) -> tuple[str, str]:
    if formulation == "log_softmax":
        p = graph.op("Exp", graph.op("LogSoftmax", z, axis=layout.axis))
        return p, _log_softmax_vjp(graph, layout, p, graph.op("Mul", p, g))
    unshifted = formulation == "unshifted"
    p = _unshifted(graph, layout, z)[1] if unshifted else graph.op("Softmax", z, axis=layout.axis)
    return p, _softmax_vjp(graph, layout, p, g)


def _log_softmax(graph: Graph, layout: Layout, z: str, g: str, formulation: str) -> tuple[str, str]:
    if formulation == "unfused":
        p = graph.op("Softmax", z, axis=layout.axis)
        return graph.op("Log", p), _softmax_vjp(graph, layout, p, graph.op("Div", g, p))
    if formulation == "unshifted":
        log_sum, p = _unshifted(graph, layout, z)
        return graph.op("Sub", z, log_sum), _log_softmax_vjp(graph, layout, p, g)
    log_p = graph.op("LogSoftmax", z, axis=layout.axis)
    return log_p, _log_softmax_vjp(graph, layout, graph.op("Exp", log_p), g)


def _logsumexp(graph: Graph, layout: Layout, z: str, request: Request) -> tuple[str, str]:
    if request["formulation"] == "unshifted":
        result, p = _unshifted(graph, layout, z)
    else:
        largest = graph.op("ReduceMax", z, graph.integers([layout.axis]), keepdims=1)
        # An infinite maximum is its own result; inf - inf would lose it.
        infinite = graph.op("Equal", graph.op("Abs", largest), graph.scalar(float("inf")))
        largest = graph.op("Where", infinite, graph.scalar(0.0), largest)
        w = graph.op("Exp", graph.op("Sub", z, largest))
        s = _total(graph, layout, w)
        result, p = graph.op("Add", graph.op("Log", s), largest), graph.op("Div", w, s)
    output = graph.op("Reshape", result, graph.integers(layout.outer))
    if request["per_output"]:
        return output, p
    upstream = graph.op("Reshape", graph.entry("upstream"), graph.integers(layout.row_shape()))
    return output, graph.op("Mul", upstream, p)


def _cross_entropy(graph: Graph, layout: Layout, z: str, labels: Labels, formulation: str) -> tuple[str, str]:
    """The loss of each row and the gradient."""
    t = labels.mass
    if formulation in ("fused", "unshifted"):
        if formulation == "fused":
            log_p = graph.op("LogSoftmax", z, axis=layout.axis)
            p = graph.op("Softmax", z, axis=layout.axis)
        else:
            log_sum, p = _unshifted(graph, layout, z)
            log_p = graph.op("Sub", z, log_sum)
        residual = graph.op("Sub", graph.op("Mul", _total(graph, layout, t), p), t)
        gradient = _times_factor(graph, residual, labels.factor)
    else:
        h = _times_factor(graph, graph.op("Neg", t), labels.factor)
        if formulation == "unfused":
            p = graph.op("Softmax", z, axis=layout.axis)
            log_p = graph.op("Log", p)
            gradient = _softmax_vjp(graph, layout, p, graph.op("Div", h, p))
        else:
            log_p = graph.op("LogSoftmax", z, axis=layout.axis)
            gradient = _log_softmax_vjp(graph, layout, graph.op("Exp", log_p), h)
    zero = graph.scalar(0.0)
    if labels.counts is not None:
        gradient = graph.op("Where", labels.counts, gradient, zero)
    # 0 log 0 is 0: a class without target mass adds nothing, whatever its probability.
    products = graph.op("Where", graph.op("Equal", t, zero), zero, graph.op("Mul", t, log_p))
    return graph.op("Neg", _total(graph, layout, products)), gradient


def _unshifted(graph: Graph, layout: Layout, z: str) -> tuple[str, str]:
    """log(sum exp z) and exp(z) / sum exp z."""
    w = graph.op("Exp", z)
    s = _total(graph, layout, w)
    return graph.op("Log", s), graph.op("Div", w, s)


def _softmax_vjp(graph: Graph, layout: Layout, p: str, g: str) -> str:
    c = _total(graph, layout, graph.op("Mul", p, g))
    return graph.op("Mul", p, graph.op("Sub", g, c))


def _log_softmax_vjp(graph: Graph, layout: Layout, p: str, g: str) -> str:
    return graph.op("Sub", g, graph.op("Mul", p, _total(graph, layout, g)))


def _total(graph: Graph, layout: Layout, value: str) -> str:
    return graph.op("ReduceSum", value, graph.integers([layout.axis]), keepdims=1)


def _times_factor(graph: Graph, value: str, factor: str) -> str:
    product = graph.op("Mul", graph.op("Cast", value, to=graph.row), factor)
    return graph.op("Cast", product, to=graph.elements)


def _labels(graph: Graph, layout: Layout, request: Request, arrays: dict[str, Array]) -> Labels:
    """t_ij = w_j ((1 - eps) q_ij + eps / C), q one-hot for class indices."""
    import numpy as np

    parameters, classes = request["parameters"], len(layout.active)
    along = [classes if i == layout.axis else 1 for i in range(len(layout.outer) + 1)]
    weight = None
    if "weight" in arrays:
        weight = graph.op("Gather", graph.entry("weight"), graph.integers(layout.active), axis=0)
        weight = graph.op("Reshape", weight, graph.integers(along))
    counts = None
    if arrays["targets"].dtype.kind == "i":
        indices = graph.op("Reshape", "targets", graph.integers(layout.row_shape()))
        ignore_index = graph.integers([parameters.get("ignore_index", -100)])
        counts = graph.op("Not", graph.op("Equal", indices, ignore_index))
        own = graph.op("Equal", indices, graph.constant(np.asarray(layout.active, np.int64).reshape(along)))
        t = graph.op("Cast", graph.op("And", own, counts), to=graph.elements)
        own_weight = t if weight is None else graph.op("Mul", t, weight)
        denominator = graph.op("ReduceSum", graph.op("Cast", own_weight, to=graph.row), keepdims=0)
    else:
        t = _together(graph, layout, graph.entry("targets"))
        denominator = graph.row_scalar(float(np.prod(layout.outer)))
    smoothing = float(parameters.get("label_smoothing", 0.0))
    if smoothing:
        t = graph.with_number("Mul", t, 1.0 - smoothing)
        t = graph.with_number("Add", t, smoothing / classes)
    t = t if weight is None else graph.op("Mul", t, weight)
    if smoothing and counts is not None:
        t = graph.op("Where", counts, t, graph.scalar(0.0))
    return Labels(t, counts, _factor(graph, layout, request, denominator), denominator)


def _factor(graph: Graph, layout: Layout, request: Request, denominator: str) -> str:
    """upstream / denominator in the type of rows: one number, or one for each row."""
    reduction = request["parameters"].get("reduction", "mean")
    if request["per_output"]:
        upstream = graph.row_scalar(1.0)
    else:
        upstream = graph.op("Cast", "upstream", to=graph.row)
        if reduction == "none":
            upstream = graph.op("Reshape", upstream, graph.integers(layout.row_shape()))
    return graph.op("Div", upstream, denominator) if reduction == "mean" else upstream


def _reduced(graph: Graph, layout: Layout, losses: str, denominator: str, reduction: str) -> str:
    if reduction == "none":
        return graph.op("Reshape", losses, graph.integers(layout.outer))
    total = graph.op("ReduceSum", graph.op("Cast", losses, to=graph.row), keepdims=0)
    total = graph.op("Div", total, denominator) if reduction == "mean" else total
    return graph.op("Cast", total, to=graph.elements)


def _together(graph: Graph, layout: Layout, value: str) -> str:
    """Several class axes flattened into a last one; then the classes that take part."""
    if len(layout.axes) > 1:
        value = graph.op("Transpose", value, perm=layout.classes_last())
        value = graph.op("Reshape", value, graph.integers([*layout.outer, -1]))
    if layout.masked:
        value = graph.op("Gather", value, graph.integers(layout.active), axis=layout.axis)
    return value


def _apart(graph: Graph, layout: Layout, value: str, missing: float) -> str:
    """The inverse: `missing` for classes that take no part, and the axes where they were."""
    import numpy as np

    if layout.masked:
        filler = graph.op("Expand", graph.scalar(missing), graph.integers(layout.row_shape()))
        value = graph.op("Concat", value, filler, axis=layout.axis)
        source = np.full(int(np.prod([layout.shape[i] for i in layout.axes])), len(layout.active), np.int64)
        source[layout.active] = np.arange(len(layout.active))
        value = graph.op("Gather", value, graph.constant(source), axis=layout.axis)
    if len(layout.axes) > 1:
        order = layout.classes_last()
        value = graph.op("Reshape", value, graph.integers([layout.shape[i] for i in order]))
        value = graph.op("Transpose", value, perm=[int(i) for i in np.argsort(order)])
    return value
