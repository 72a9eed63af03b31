"""The formulations of torch and TensorFlow as a few lines each, where there is nothing special about the case."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gradaudit.records.evaluation import EAGER, EvaluationKey
from gradaudit.records.inputs import Inputs
from gradaudit.replay.script import literals
from gradaudit.replay.script.page import Call

PLAIN = {"masked_classes": ((), None), "softcap": (None,), "logit_adjustment": (None,)}
ZERO = ("z_loss", "entropy_regularization")


def call(key: EvaluationKey, inputs: Inputs) -> Call | None:
    """The source of `function`; None where no few lines spell what was asked for."""
    parameters = inputs.function.parameters
    special = any(parameters.get(name, plain[0]) not in plain for name, plain in PLAIN.items())
    special = special or any(parameters.get(name, 0.0) for name in ZERO)
    spell = SPELLED.get(key.backend)
    if special or spell is None or len(inputs.axis) != 1 or key.execution != EAGER:
        return None
    lines = spell(key.formulation, inputs)
    if lines is None:
        return None
    arguments = "logits" if inputs.targets is None else "logits, targets"
    source = f"def function({arguments}):\n" + "\n".join(f"    {line}" for line in (*_scaled(parameters), *lines))
    return Call((), (), source)


def _scaled(parameters: Mapping[str, object]) -> list[str]:
    scale, temperature = parameters.get("logit_scale", 1.0), parameters.get("temperature", 1.0)
    lines = ["z = logits"]
    lines += [f"z = z * {literals.number(scale)}"] if isinstance(scale, float) and scale != 1.0 else []
    lines += (
        [f"z = z / {literals.number(temperature)}"] if isinstance(temperature, float) and temperature != 1.0 else []
    )
    return lines


def _returned(value: str | None, axis: int, first: str) -> list[str] | None:
    """The lines that return `value`, which may need that of the line `first`."""
    if value is None:
        return None
    return [*([first] if value.startswith("w ") else []), f"return {value.format(axis=axis)}"]


def _torch(formulation: str, inputs: Inputs) -> list[str] | None:
    (axis,), name = inputs.axis, inputs.function.name
    if name in ("softmax", "log_softmax"):
        return _returned(_TORCH[name].get(formulation), axis, "w = z.exp()")
    if name == "logsumexp":
        plain = f"z.exp().sum({axis}).log()"
        return [f"return torch.logsumexp(z, {axis})" if formulation == "fused" else f"return {plain}"]
    return _torch_cross_entropy(formulation, inputs, axis) if name == "cross_entropy" else None


def _torch_cross_entropy(formulation: str, inputs: Inputs, axis: int) -> list[str] | None:
    parameters, dims = inputs.function.parameters, inputs.logits.ndim
    assert inputs.targets is not None
    indices = inputs.targets.dtype.kind == "i"
    smoothing = parameters.get("label_smoothing", 0.0)
    log_p = _TORCH["log_softmax"].get(formulation)
    if log_p is None or (formulation != "fused" and (smoothing or not indices)):
        return None
    lines = []
    if dims > 2 and axis == dims - 1:
        flat = "targets.reshape(-1)" if indices else "targets.reshape(z.shape)"
        lines += [f"z = z.reshape(-1, z.shape[{axis}])", f"targets = {flat}"]
    elif dims > 1 and axis != 1:
        lines += [f"z = z.movedim({axis}, 1)"] + ([] if indices else [f"targets = targets.movedim({axis}, 1)"])
    reduction = str(parameters.get("reduction", "mean"))
    options = [f"reduction={reduction!r}"]
    if inputs.weight is not None:
        weight = literals.array(literals.readable(inputs.weight))
        options.append(f"weight=torch.from_numpy({weight}).to(z.dtype)")
    if indices:
        options.append(f"ignore_index={parameters.get('ignore_index', -100)}")
    if formulation == "fused":
        options += (
            [f"label_smoothing={literals.number(smoothing)}"] if isinstance(smoothing, float) and smoothing else []
        )
        lines.append(f"loss = torch.nn.functional.cross_entropy(z, targets, {', '.join(options)})")
    else:
        lines.append(f"log_p = ({log_p.format(axis=min(dims - 1, 1))}).contiguous()")
        lines.append(f"loss = torch.nn.functional.nll_loss(log_p, targets, {', '.join(options)})")
    if reduction == "none":
        outer = tuple(size for i, size in enumerate(inputs.logits.shape) if i != axis)
        return [*lines, f"return loss.reshape({outer})"]
    return [*lines, "return loss"]


def _tensorflow(formulation: str, inputs: Inputs) -> list[str] | None:
    (axis,), name, parameters = inputs.axis, inputs.function.name, inputs.function.parameters
    if name in ("softmax", "log_softmax"):
        return _returned(_TENSORFLOW[name].get(formulation), axis, "w = tf.exp(z)")
    if name != "cross_entropy" or inputs.targets is None or inputs.weight is not None:
        return None
    last, reduction = axis == inputs.logits.ndim - 1, parameters.get("reduction", "mean")
    ignored = bool((inputs.targets == parameters.get("ignore_index", -100)).any())
    log_p = _TENSORFLOW["log_softmax"].get(formulation)
    if not last or ignored or parameters.get("label_smoothing") or log_p is None:
        return None
    indices = inputs.targets.dtype.kind == "i"
    if formulation == "fused":
        kind = "sparse_softmax_cross_entropy_with_logits" if indices else "softmax_cross_entropy_with_logits"
        lines = [f"losses = tf.nn.{kind}(labels=targets, logits=z)"]
    else:
        lines = [f"log_p = {log_p.format(axis=axis)}"]
        picked = f"tf.gather(log_p, targets, batch_dims={axis})" if indices else "tf.reduce_sum(targets * log_p, -1)"
        lines.append(f"losses = -{picked}")
    return [
        *lines,
        {"none": "return losses", "sum": "return tf.reduce_sum(losses)"}.get(
            str(reduction), "return tf.reduce_mean(losses)"
        ),
    ]


_TORCH = {
    "softmax": {
        "fused": "torch.softmax(z, {axis})",
        "log_softmax": "torch.log_softmax(z, {axis}).exp()",
        "unfused": "w / w.sum({axis}, keepdim=True)",
        "unshifted": "w / w.sum({axis}, keepdim=True)",
    },
    "log_softmax": {
        "fused": "torch.log_softmax(z, {axis})",
        "log_softmax": "torch.log_softmax(z, {axis})",
        "unfused": "torch.softmax(z, {axis}).log()",
        "unshifted": "z - z.exp().sum({axis}, keepdim=True).log()",
    },
}

_TENSORFLOW = {
    "softmax": {
        "fused": "tf.nn.softmax(z, {axis})",
        "log_softmax": "tf.exp(tf.nn.log_softmax(z, {axis}))",
        "unshifted": "w / tf.reduce_sum(w, {axis}, keepdims=True)",
    },
    "log_softmax": {
        "fused": "tf.nn.log_softmax(z, {axis})",
        "log_softmax": "tf.nn.log_softmax(z, {axis})",
        "unfused": "tf.math.log(tf.nn.softmax(z, {axis}))",
        "unshifted": "z - tf.math.log(tf.reduce_sum(tf.exp(z), {axis}, keepdims=True))",
    },
}

SPELLED: Mapping[str, Callable[[str, Inputs], list[str] | None]] = {"torch": _torch, "tensorflow": _tensorflow}
