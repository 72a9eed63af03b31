"""MXNet's SoftmaxOutput: a softmax whose backward is that of a cross entropy, whatever the head gradient is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType

import numpy as np

from gradaudit.functions import cross_entropy
from gradaudit.functions.interface import Dialect, Function, Parameter, Setting
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs

NAME = "mxnet.SoftmaxOutput"
NORMALISER = "normaliser"
"""What the gradient is divided by: a number, found from the options, the shape and the labels."""


def output(m: Algebra[N], rows: Rows[N]) -> N:
    """p_j."""
    return m.softmax(rows.z)


def gradient(m: Algebra[N], rows: Rows[N]) -> N:
    """(p_j - t_j) grad_scale / normaliser, times the head gradient with `out_grad` alone."""
    found = cross_entropy.gradient(m, replace(rows, upstream=cotangent(m, rows)))
    return found * rows.upstream if rows.parameters.get("out_grad") else found


def cotangent(m: Algebra[N], rows: Rows[N]) -> N:
    """What SoftmaxOutput puts in the place of a loss's upstream gradient: grad_scale / normaliser."""
    scale, normaliser = (rows.parameters[name] for name in ("grad_scale", NORMALISER))
    assert isinstance(scale, float)
    assert isinstance(normaliser, float)
    return m.charged(m.parameter(np.array([[scale]])) / m.exact(normaliser), 1)


def inputs_of(inputs: Inputs) -> Inputs:
    """The same with what the options mean for these labels: rows to ignore, smoothing, the normaliser.

    Probabilities take none of them, as in MXNet.
    """
    own = dict(inputs.function.parameters)
    targets = inputs.targets
    assert targets is not None, "SoftmaxOutput has labels; the spec was validated"
    if targets.dtype.kind == "i":
        if own["use_ignore"]:
            own["ignore_index"] = own["ignore_label"]
        smooth = own["smooth_alpha"] if not own["multi_output"] else 0.0
        own |= {"smooth_alpha": smooth, NORMALISER: _normaliser(own, inputs.logits.shape, targets)}
    else:
        own |= {"smooth_alpha": 0.0, NORMALISER: 1.0}
    return replace(inputs, function=FunctionCall(NAME, MappingProxyType(own)))


def _normaliser(own: Mapping[str, object], shape: tuple[int, ...], labels: np.ndarray) -> float:
    """1, the number of labels, or of those that are not `ignore_label` (1 where there are none).

    With `multi_output` "batch" counts the first axis only, and both it and "null" divide by the axes behind the
    classes too.
    """
    if own["normalization"] == "valid":
        return float(max(1, int(np.count_nonzero(labels != own["ignore_label"]))))
    behind = prod(shape[2:]) if own["multi_output"] else 1
    if own["normalization"] == "batch":
        return float(behind * (shape[0] if own["multi_output"] else labels.size))
    return float(behind)


def class_axis(setting: Setting) -> int:
    """1 with `multi_output`, else the last."""
    return 1 if setting.parameters["multi_output"] else len(setting.shape) - 1


def problems(setting: Setting) -> Iterator[tuple[str, str]]:
    """Options that contradict one another, the logits' shape, or labels that are probabilities."""
    own, rank = setting.parameters, len(setting.shape)
    if own["multi_output"] and own["preserve_shape"]:
        yield "preserve_shape", "MXNet passes it over with multi_output: true; keep one of them"
    if rank < 2:
        yield "name", "SoftmaxOutput has a batch axis; write the logits in two brackets: [[0.1, 2]]"
    elif rank > 2 and not (own["multi_output"] or own["preserve_shape"]):
        yield (
            "name",
            f"logits of {rank} axes need multi_output: true (classes along axis 1) or preserve_shape: true (along "
            "the last)",
        )
    if own["smooth_alpha"] and own["multi_output"]:
        yield "smooth_alpha", "MXNet passes it over with multi_output: true; remove it"
    elif own["smooth_alpha"] and setting.shape and setting.shape[-1] < 2:
        yield "smooth_alpha", "there is one class only, and no other to give mass to"
    if setting.targets == "probabilities":
        given = {"use_ignore": own["use_ignore"], "smooth_alpha": own["smooth_alpha"]}
        given["normalization"] = own["normalization"] != "null"
        for name, value in given.items():
            if value:
                yield name, "MXNet passes it over where the labels are probabilities; remove it"


FUNCTION = Function(
    name="mxnet.SoftmaxOutput",
    summary="MXNet's SoftmaxOutput: probabilities, and the gradient of a cross entropy for any head gradient.",
    formula="p_j = exp(x_j) / sum_k exp(x_k), along axis 1 with multi_output, else along the last",
    gradient_formula="(p_j - t_ij) grad_scale / n. Labels: t_ij = 1 - a at the label, a / (K - 1) elsewhere, "
    "a = smooth_alpha; rows of ignore_label have no gradient with use_ignore; n is 1 (null), the number of "
    "labels (batch) or of those that are not ignore_label (valid); with multi_output null and batch divide by the "
    "axes behind the classes too. Probabilities: t_ij as given, n = 1. out_grad multiplies by the head gradient, "
    "element by element",
    jacobian="none: what is returned is not the gradient of the output",
    invariants=(
        "adding a constant to the logits changes nothing",
        "without out_grad the head gradient changes nothing",
        "ignored rows have a gradient of exactly 0",
    ),
    source="MXNet 1.9.1, src/operator/softmax_output-inl.h, and its documentation of nd.SoftmaxOutput; the docs "
    'describe out_grad as "multiplies gradient with output gradient element-wise"',
    parameters=(
        Parameter("grad_scale", "float", 1.0, "the gradient is multiplied by it"),
        Parameter("ignore_label", "int", -1, "a label that use_ignore and normalization: valid leave out"),
        Parameter("multi_output", "bool", False, "whether the classes are along axis 1"),
        Parameter("use_ignore", "bool", False, "whether rows labelled ignore_label have no gradient"),
        Parameter("preserve_shape", "bool", False, "whether logits of more than two axes keep them"),
        Parameter(
            "normalization", "choice", "null", "what the gradient is divided by", choices=("null", "batch", "valid")
        ),
        Parameter("out_grad", "bool", False, "whether the gradient is multiplied by the head gradient"),
        Parameter(
            "smooth_alpha", "float", 0.0, "mass taken from the label, for the others", minimum=0.0, maximum=1.0
        ),
    ),
    formulations=("fused",),
    takes_targets=True,
    has_row_output=False,
    gradient_row_sum="varies",
    output=output,
    gradient=gradient,
    dialect=Dialect(lambda _: NAME, inputs_of, problems, class_axis),
)
