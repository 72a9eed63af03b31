"""What is made of a user's ONNX model: the part up to its loss, the same in another element type, its gradient graph.

Run by path in any Python from 3.8 with NumPy, onnx and onnx-ad (for `adjoint` only); imports nothing of gradaudit.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Set, Tuple

Array = Any
Model = Any

FLOAT, FLOAT16, DOUBLE, COMPLEX = 1, 10, 11, 15
FLOATS = (FLOAT, FLOAT16, DOUBLE, 16)
"""ONNX's numbers of the element types that a loss computes in."""

ADJOINT_OPSET = 18
"""Older models are converted to it where onnx-ad asks for that: from 13 on softmax has one axis, from 16 on what was
gathered can be scattered back, from 18 on every reduction takes its axes as an input."""

STEP = 1e-200
"""The step of complex differentiation: its square underflows, so nothing is truncated and nothing cancels."""

NOT_ANALYTIC = {
    *("Abs", "Sign", "ReduceL1", "ReduceL2", "LpNormalization", "Floor", "Ceil", "Round", "Mod"),
    *("If", "Loop", "Scan"),
}
"""What onnx.reference computes of a complex number is no analytic function there."""


class NotDifferentiableError(Exception):
    """Why no gradient graph, or no oracle, can be had; a whole sentence."""


class Adjoint(NamedTuple):
    """A model that returns `gradient` [*logits, K] of K cotangents, fed as `seed` [*output, K]."""

    model: Model
    seed: str
    gradient: str
    made_by: str


def up_to(model: Model, output: str) -> Model:
    """The part of `model` that `output` is computed by, with the inputs that it needs."""
    kept: List[Any] = []
    needed = {output}
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= _reads(node)
    part = type(model)()
    part.CopyFrom(model)
    for field in ("node", "output", "input", "initializer", "sparse_initializer", "value_info"):
        part.graph.ClearField(field)
    part.graph.node.extend(reversed(kept))
    part.graph.output.extend(each for each in model.graph.output if each.name == output)
    part.graph.input.extend(each for each in model.graph.input if each.name in needed)
    part.graph.initializer.extend(each for each in model.graph.initializer if each.name in needed)
    part.graph.sparse_initializer.extend(
        each for each in model.graph.sparse_initializer if each.values.name in needed
    )
    return part


def origin(model: Model, output: str) -> Callable[[str], Tuple[str, bool]]:
    """For another output: the operator that it comes from, and whether `output` is computed by it."""
    producers = {name: node.op_type for node in model.graph.node for name in node.output}
    produced = {name for node in up_to(model, output).graph.node for name in _reads(node)}
    return lambda name: (producers.get(name, ""), name in produced)


def _reads(node: Any) -> Set[str]:
    """The names that a node reads, those that its subgraphs take from around them included."""
    found = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            found |= {name for inner in graph.node for name in _reads(inner)}
            found |= {each.name for each in graph.output}
    return found


def with_sizes(model: Model, shapes: Dict[str, Any]) -> Model:
    """The model with the inputs' sizes written down, for the bodies of functions that are made for their shapes."""
    sized = type(model)()
    sized.CopyFrom(model)
    del sized.graph.value_info[:]
    for each in sized.graph.input:
        if each.name in shapes:
            del each.type.tensor_type.shape.dim[:]
            for size in shapes[each.name]:
                each.type.tensor_type.shape.dim.add().dim_value = int(size)
    return sized


def in_type(model: Model, element: int) -> Model:
    """The same computation with every floating-point number in the element type FLOAT, DOUBLE or COMPLEX.

    Constants keep the values that they were rounded to, as far as that type has them.
    """
    wide = type(model)()
    wide.CopyFrom(model)
    _widen(wide.graph, element)
    return wide


def _widen(graph: Any, element: int) -> None:
    del graph.value_info[:]
    for each in [*graph.input, *graph.output]:
        if each.type.HasField("tensor_type") and each.type.tensor_type.elem_type in FLOATS:
            each.type.tensor_type.elem_type = element
    for tensor in graph.initializer:
        _widen_tensor(tensor, element)
    for sparse in graph.sparse_initializer:
        _widen_tensor(sparse.values, element)
    for node in graph.node:
        for attribute in node.attribute:
            _widen_attribute(node, attribute, element)
    if element in (DOUBLE, COMPLEX):
        nodes = [each for node in graph.node for each in _with_kernel(node, element)]
        del graph.node[:]
        graph.node.extend(nodes)


def _name(own: str, what: str) -> str:
    """A name that no exporter gives."""
    return "gradaudit:%s:%s" % (own, what)


def _with_kernel(node: Any, element: int) -> List[Any]:
    """OneHot has no kernel for float64: numbers of a narrower type lose nothing on the way through float32.

    That of onnx.reference takes its depth as a number only, and files have it as an array of one.
    """
    from onnx import helper

    if node.op_type != "OneHot":
        return [node]
    if element == COMPLEX:
        depth = helper.make_node("ReduceMax", [node.input[1]], [_name(node.output[0], "depth")], keepdims=0)
        copy = type(node).FromString(node.SerializeToString())
        copy.input[1] = depth.output[0]
        return [depth, copy]
    values, own = node.input[2], node.output[0]
    narrow = helper.make_node("OneHot", [*node.input[:2], _name(own, "values")], [_name(own, "narrow")])
    narrow.attribute.extend(node.attribute)
    return [
        helper.make_node("Cast", [values], [_name(own, "values")], to=FLOAT),
        narrow,
        helper.make_node("Cast", [_name(own, "narrow")], [own], to=DOUBLE),
    ]


def _widen_attribute(node: Any, attribute: Any, element: int) -> None:
    import numpy as np
    from onnx import AttributeProto, numpy_helper

    if attribute.name in ("to", "dtype", "output_dtype") and attribute.i in FLOATS:
        attribute.i = element
    elif node.op_type == "Constant" and attribute.name in ("value_float", "value_floats"):
        scalar = attribute.name == "value_float"
        values = np.asarray(attribute.f if scalar else list(attribute.floats), np.float64)
        attribute.Clear()
        attribute.name, attribute.type = "value", AttributeProto.TENSOR
        attribute.t.CopyFrom(numpy_helper.from_array(values))
        _widen_tensor(attribute.t, element)
    elif attribute.HasField("t"):
        _widen_tensor(attribute.t, element)
    elif attribute.HasField("g"):
        _widen(attribute.g, element)
    for graph in attribute.graphs:
        _widen(graph, element)


def _widen_tensor(tensor: Any, element: int) -> None:
    import numpy as np
    from onnx import numpy_helper

    if tensor.data_type in FLOATS:
        kind = {FLOAT: np.float32, DOUBLE: np.float64, COMPLEX: np.complex128}[element]
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(kind), tensor.name))


def adjoint(part: Model, logits: str) -> Adjoint:
    """The gradient graph of a model with one output, by onnx-ad; NotDifferentiableError where it has no rule."""
    import onnx_ad

    foreign = sorted({each.op_type for each in _nodes(part.graph) if each.domain not in ("", "ai.onnx")})
    if foreign:
        raise NotDifferentiableError(
            "its %s is an operator of ONNX Runtime alone, which onnx-ad cannot differentiate; export the file with "
            "standard operators, or with its gradient as an output" % foreign[0]
        )
    refused: List[str] = []
    for model in _converted(part, refused):
        try:
            made = onnx_ad.reverse(
                model, inputs=[logits], outputs=[model.graph.output[0].name], layout="onnx", prefix="adjoint_of_"
            )
        except onnx_ad.UnsupportedOperator as error:
            refused.append(str(error))
        except Exception as error:  # a young library: what it trips over is no fault of the file
            refused.append("%s: %s" % (type(error).__name__, error))
        else:
            _divide(made.graph)
            _scatter_in_float32(made.graph, {name for node in model.graph.node for name in node.output})
            name = "onnx-ad %s" % onnx_ad.__version__
            return Adjoint(made, made.graph.input[-1].name, made.graph.output[-1].name, name)
    raise NotDifferentiableError(
        "onnx-ad %s cannot differentiate it: %s; export the file with its gradient as an output"
        % (onnx_ad.__version__, refused[0][:400])
    )


def _scatter_in_float32(graph: Any, known: Set[str]) -> None:
    """Adding at places has no float16 kernel: the sums of a float16 gradient graph are added in float32."""
    from onnx import helper

    if not any(each.type.tensor_type.elem_type == FLOAT16 for each in graph.input):
        return
    nodes: List[Any] = []
    for node in graph.node:
        own = node.output[0]
        if own in known or not any(each.name == "reduction" and each.s == b"add" for each in node.attribute):
            nodes.append(node)
            continue
        data, updates = node.input[0], node.input[2]
        nodes += [
            helper.make_node("Cast", [data], [_name(own, "data")], to=FLOAT),
            helper.make_node("Cast", [updates], [_name(own, "updates")], to=FLOAT),
            node,
            helper.make_node("Cast", [_name(own, "wide")], [own], to=FLOAT16),
        ]
        node.input[0], node.input[2], node.output[0] = _name(own, "data"), _name(own, "updates"), _name(own, "wide")
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _divide(graph: Any) -> None:
    """g (1 / p) made g / p, as autograd has it: the first overflows where p is subnormal, and the second need not."""
    producers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type != "Mul":
            continue
        lifted = producers.get(node.input[1])
        inverse = producers.get(lifted.input[0]) if lifted is not None and lifted.op_type == "Unsqueeze" else None
        if lifted is None or inverse is None or inverse.op_type != "Reciprocal":
            continue
        readers = [each for each in graph.node for name in each.input if name in (*lifted.output, *inverse.output)]
        if len(readers) == 2:  # the Unsqueeze and this product: nobody else reads 1 / p
            node.op_type = "Div"
            lifted.input[0] = inverse.input[0]


def _converted(part: Model, refused: List[str]) -> Iterator[Model]:
    """The model as it is, then in a newer opset."""
    from onnx import version_converter

    opset = max([each.version for each in part.opset_import if each.domain in ("", "ai.onnx")] or [1])
    if opset >= 13:
        yield part
    if opset < ADJOINT_OPSET:
        try:
            newer = version_converter.convert_version(part, ADJOINT_OPSET)
        except Exception as error:  # the converter's errors are RuntimeErrors and its own
            refused.append("its opset %d cannot be converted to %d: %s" % (opset, ADJOINT_OPSET, str(error)[:200]))
            return
        yield newer


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from _nodes(inner)


def complex_step(part: Model, feeds: Dict[str, Array], logits: str) -> Callable[[Array, Array], Array]:
    """The derivative of the output at a point along a direction, by onnx.reference with complex numbers.

    It shares no code with ONNX Runtime or onnx-ad. NotDifferentiableError where an operator is not analytic there.
    """
    import warnings

    import numpy as np
    from onnx.reference import ReferenceEvaluator

    for node in _nodes(part.graph):
        if node.op_type in NOT_ANALYTIC or node.domain not in ("", "ai.onnx"):
            raise NotDifferentiableError("%s is not analytic in onnx.reference" % node.op_type)
    evaluator = ReferenceEvaluator(in_type(part, COMPLEX))
    fed = {name: array.astype(np.complex128) if array.dtype.kind == "f" else array for name, array in feeds.items()}

    def along(x: Array, d: Array) -> Array:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            warnings.filterwarnings("error", category=getattr(np, "exceptions", np).ComplexWarning)
            (result,) = evaluator.run(None, dict(fed, **{logits: x + 1j * (STEP * d)}))
        if np.asarray(result).dtype.kind != "c":
            raise NotDifferentiableError("the imaginary part was lost on the way")
        return np.imag(result) / STEP

    return along
