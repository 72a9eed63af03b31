"""MXNet's softmax_cross_entropy, and gluon's SoftmaxCrossEntropyLoss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType

import numpy as np

from gradaudit.functions import cross_entropy
from gradaudit.functions.interface import Dialect, Parameter, Setting
from gradaudit.functions.mxnet.activations import one_axis
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs

SAMPLE_AXIS = "sample_axis"
"""Parameter of a translated cross entropy whose rows are averaged sample by sample: the axis that counts samples."""


def sum_inputs(inputs: Inputs) -> Inputs:
    """The sum of the rows' losses, its head gradient a single number."""
    upstream = None if inputs.upstream is None else inputs.upstream.reshape(())
    return replace(inputs, function=_cross_entropy("sum"), upstream=upstream)


def gluon_inputs(inputs: Inputs) -> Inputs:
    """The rows' losses, or their means sample by sample where there is more than one row to a sample."""
    own, shape, (axis,) = inputs.function.parameters, inputs.logits.shape, inputs.axis
    sample_axis = _sample_axis(own, len(shape))
    rows = [size for i, size in enumerate(shape) if i != axis]
    upstream = inputs.upstream
    if upstream is not None:
        along = [size if i == sample_axis else 1 for i, size in enumerate(shape) if i != axis]
        upstream = np.ascontiguousarray(np.broadcast_to(upstream.reshape(along), rows))
    grouped = prod(rows) > shape[sample_axis]
    call = _cross_entropy("mean", **{SAMPLE_AXIS: sample_axis}) if grouped else _cross_entropy("none")
    weight = own.get("weight")
    return replace(
        inputs,
        function=call,
        upstream=upstream,
        weight=None if weight is None else np.full(shape[axis], weight).astype(inputs.logits.dtype),
        reading="log_probabilities" if own["from_logits"] else "logits",
    )


def _cross_entropy(reduction: str, **more: object) -> FunctionCall:
    parameters: dict[str, object] = {"temperature": 1.0, "logit_scale": 1.0, "label_smoothing": 0.0, "weight": None}
    return FunctionCall("cross_entropy", MappingProxyType({**parameters, "reduction": reduction, **more}))


def _sample_axis(parameters: Mapping[str, object], rank: int) -> int:
    axis = parameters["batch_axis"]
    assert isinstance(axis, int)
    return axis % rank


def gluon_shape(setting: Setting) -> tuple[int, ...]:
    """One loss a sample."""
    return (setting.shape[_sample_axis(setting.parameters, len(setting.shape))],)


def problems_of_sum(setting: Setting) -> Iterator[tuple[str, str]]:
    """Logits that are not one row a sample, and labels that are no indices."""
    if len(setting.shape) != 2 or setting.axis != (1,):
        yield "name", "softmax_cross_entropy takes logits (N, C) with the classes along the last axis"


def problems_of_gluon(setting: Setting) -> Iterator[tuple[str, str]]:
    """Axes that are none, or the same; labels of the other kind."""
    yield from one_axis(setting)
    own, rank = setting.parameters, len(setting.shape)
    if rank < 2:
        yield "name", "the loss has a batch axis; write the logits in two brackets: [[0.1, 2]]"
        return
    batch_axis = own["batch_axis"]
    assert isinstance(batch_axis, int)
    if not -rank <= batch_axis < rank:
        yield "batch_axis", f"{batch_axis} is out of range; the logits have the axes 0 to {rank - 1}"
    elif (batch_axis % rank,) == setting.axis:
        yield "batch_axis", f"axis {batch_axis} is that of the classes"
    wanted = "indices" if own["sparse_label"] else "probabilities"
    if setting.targets not in (None, wanted):
        yield (
            "sparse_label",
            f"{str(own['sparse_label']).lower()} takes {wanted}, and the targets are {setting.targets}; change one "
            "of them",
        )


SOFTMAX_CROSS_ENTROPY = replace(
    cross_entropy.FUNCTION,
    name="mxnet.softmax_cross_entropy",
    summary="MXNet's softmax_cross_entropy: the sum of the rows' cross entropies, of shape (1,).",
    formula="L = -sum_i log p_iy, y the label of row i",
    gradient_formula="dL/dx_ij = g (p_ij - [j = y]), g the head gradient",
    source="MXNet 1.9.1, src/operator/loss_binary_op-inl.h, and its documentation of nd.softmax_cross_entropy",
    parameters=(),
    formulations=("fused",),
    targets="indices",
    dialect=Dialect(lambda _: "cross_entropy", sum_inputs, problems_of_sum, output_shape=lambda _: (1,)),
)
GLUON = replace(
    cross_entropy.FUNCTION,
    name="mxnet.SoftmaxCrossEntropyLoss",
    summary="gluon's SoftmaxCrossEntropyLoss: one cross entropy a sample, the mean over all axes but the batch's.",
    formula="L_n = weight / d sum_i -sum_j q_ij log p_ij over the d rows i of sample n; q one-hot for labels, else "
    "as given; with from_logits the data already are log p",
    gradient_formula="dL/dx_ij = g_n weight / d (T_i p_ij - q_ij), T_i = sum_j q_ij, g_n the sample's head gradient; "
    "with from_logits -g_n weight / d q_ij",
    source="MXNet 1.9.1, python/mxnet/gluon/loss.py",
    parameters=(
        Parameter("sparse_label", "bool", True, "whether the labels are class indices, not probabilities"),
        Parameter("from_logits", "bool", False, "whether the data are log-probabilities already"),
        Parameter("weight", "float", None, "the loss is multiplied by it"),
        Parameter("batch_axis", "int", 0, "the axis of the samples"),
    ),
    formulations=("fused",),
    dialect=Dialect(lambda _: "cross_entropy", gluon_inputs, problems_of_gluon, output_shape=gluon_shape),
)
