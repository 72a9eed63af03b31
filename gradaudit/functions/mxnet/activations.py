"""MXNet's softmax, log_softmax and softmin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType

import numpy as np

from gradaudit.functions import log_softmax, softmax
from gradaudit.functions.interface import Dialect, Parameter, Setting
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs

TEMPERATURE = Parameter(
    "temperature",
    "float",
    None,
    "the data are divided by it; with 1.0 MXNet takes another kernel than with none",
    exclusive_minimum=0.0,
)
LENGTHS = (
    Parameter("use_length", "bool", False, "whether `length` counts"),
    Parameter("length", "ints", None, "how many of a row's first classes take part: one number a row, in C order"),
)
SOURCE = "MXNet 1.9.1, src/operator/nn/softmax-inl.h, and its documentation of nd.{}"


def softmax_inputs(inputs: Inputs) -> Inputs:
    """softmax with the logits beyond a row's length at -inf: probability 0, gradient 0."""
    own = inputs.function.parameters
    logits, length = inputs.logits, own.get("length")
    if own.get("use_length") and isinstance(length, tuple):
        (axis,) = inputs.axis
        rows = np.expand_dims(np.reshape(length, [n for i, n in enumerate(logits.shape) if i != axis]), axis)
        along = np.arange(logits.shape[axis]).reshape([-1 if i == axis else 1 for i in range(logits.ndim)])
        logits = np.where(along < rows, logits, np.asarray(-np.inf, logits.dtype))
    return replace(_with(inputs, "softmax", own), logits=logits)


def log_softmax_inputs(inputs: Inputs) -> Inputs:
    """log_softmax."""
    return _with(inputs, "log_softmax", inputs.function.parameters)


def softmin_inputs(inputs: Inputs) -> Inputs:
    """softmax of the logits times -1."""
    return _with(inputs, "softmax", inputs.function.parameters, logit_scale=-1.0)


def _with(inputs: Inputs, name: str, given: Mapping[str, object], **more: object) -> Inputs:
    temperature = given.get("temperature")
    parameters = {"temperature": 1.0 if temperature is None else temperature, "logit_scale": 1.0, **more}
    return replace(inputs, function=FunctionCall(name, MappingProxyType(parameters)))


def one_axis(setting: Setting) -> Iterator[tuple[str, str]]:
    """MXNet's operators run along one axis."""
    if len(setting.axis) != 1:
        yield "axis", f"MXNet's operators have one class axis, and these are {len(setting.axis)}"


def problems_of_length(setting: Setting) -> Iterator[tuple[str, str]]:
    """Lengths that are not given, not wanted, too many, too few, or beyond the axis."""
    yield from one_axis(setting)
    length = setting.parameters.get("length")
    if bool(setting.parameters.get("use_length")) != (length is not None):
        if length is None:
            yield "use_length", "true, but no length is given; add length: with one number for each row"
        else:
            yield "length", "it counts only with use_length: true, as in MXNet; add that, or remove it"
        return
    if length is None or len(setting.axis) != 1:
        return
    assert isinstance(length, tuple)
    classes = setting.shape[setting.axis[0]]
    rows = prod(setting.shape) // max(1, classes)
    if len(length) != rows:
        yield "length", f"{len(length)} lengths for {rows} rows; give one for each"
    for row, value in enumerate(length):
        if not 1 <= value <= classes:
            more = "MXNet then reads the next row" if value > classes else "that leaves no class"
            yield "length", f"{value} for row {row}: {more}; expected 1 to {classes}"
            return


SOFTMAX = replace(
    softmax.FUNCTION,
    name="mxnet.softmax",
    source=SOURCE.format("softmax"),
    formulations=("fused",),
    summary="MXNet's softmax: probabilities along one axis, of the first `length` classes of each row.",
    formula="p_j = exp(x_j / T) / sum_{k < n_i} exp(x_k / T) for j < n_i, else 0; n_i the length of row i, or all "
    "classes; T the temperature",
    gradient_formula="dL/dx_j = p_j (g_j - sum_k p_k g_k) / T, g the head gradient: ones where backward() is given "
    "none, and then exactly 0",
    parameters=(TEMPERATURE, *LENGTHS),
    dialect=Dialect(lambda _: "softmax", softmax_inputs, problems_of_length),
)
LOG_SOFTMAX = replace(
    log_softmax.FUNCTION,
    name="mxnet.log_softmax",
    source=SOURCE.format("log_softmax"),
    formulations=("fused",),
    summary="MXNet's log_softmax: logarithms of the probabilities along one axis.",
    formula="log p_j = x_j / T - log sum_k exp(x_k / T), T the temperature",
    gradient_formula="dL/dx_j = (g_j - p_j sum_k g_k) / T, g the head gradient",
    parameters=(TEMPERATURE,),
    dialect=Dialect(lambda _: "log_softmax", log_softmax_inputs, one_axis),
)
SOFTMIN = replace(
    softmax.FUNCTION,
    name="mxnet.softmin",
    source=SOURCE.format("softmin"),
    formulations=("fused",),
    summary="MXNet's softmin: the softmax of the negated data along one axis.",
    formula="p_j = exp(-x_j / T) / sum_k exp(-x_k / T), T the temperature",
    gradient_formula="dL/dx_j = -p_j (g_j - sum_k p_k g_k) / T, g the head gradient",
    parameters=(TEMPERATURE,),
    dialect=Dialect(lambda _: "softmax", softmin_inputs, one_axis),
)
