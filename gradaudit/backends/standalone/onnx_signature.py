"""Which input of an ONNX file takes the logits, which output is the loss: by the spec, by name, type and shape.

Run by path in any Python from 3.8 with NumPy; imports nothing of gradaudit.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Optional

Array = Any

ROLES = ("logits", "targets", "weight", "upstream")

NAMES = {
    "logits": ("logits", "logit", "input", "inputs", "x", "scores", "predictions", "data", "input_0", "data_0"),
    "targets": ("targets", "target", "labels", "label", "y", "classes", "softmax_label"),
    "weight": ("weight", "weights", "w", "class_weight", "class_weights"),
    "upstream": ("upstream", "upstream_gradient", "grad_output", "grad_outputs", "head_grad", "head_gradient"),
}
"""What exporters and people call them, compared without regard to case."""

OUTPUTS = ("loss", "output", "result")
GRADIENT = re.compile(r"grad|^d_?(x|logits?|inputs?|z|scores)$|^adj_|^dloss", re.IGNORECASE)
"""How an output is called that holds the gradient of the logits."""

INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "float32", "float64")


class MismatchError(Exception):
    """What the file has and the case offers do not fit; a whole sentence."""


class Signature(NamedTuple):
    """Names in the file: `inputs` by role, the output, and the file's own gradient of the logits, if it has one."""

    inputs: Dict[str, str]
    output: str
    gradient: Optional[str]


def signature(file: Any, asked: Dict[str, Any], arrays: Dict[str, Array], due: List[int], origin: Any) -> Signature:
    """How `file` is to be fed and read.

    `asked` holds what the spec says ("inputs", "output", "gradient"), `arrays` what the case offers by role, `due`
    the shape of its output, and `origin(output)(name)` tells the operator that another output comes from, and
    whether the output depends on that.
    """
    inputs = _inputs(file, asked.get("inputs") or {}, arrays, due)
    _check_dtype(file, inputs, arrays)
    gradient = _gradient(file, asked, arrays["logits"].shape)
    output = _output(file, asked, gradient, due)
    if gradient is None and asked.get("gradient") != "none":
        _refuse_doubt(file, output, arrays["logits"].shape, origin)
    return Signature(inputs, output, gradient)


def _inputs(file: Any, said: Dict[str, str], arrays: Dict[str, Array], due: List[int]) -> Dict[str, str]:
    offers = {role: arrays[role] for role in ROLES if role in arrays}
    shapes = {role: tuple(array.shape) for role, array in offers.items()}
    shapes.setdefault("upstream", tuple(due))  # for a Jacobian each output's own cotangent is made later
    found: Dict[str, str] = {}
    for role, name in said.items():
        if name not in file.inputs:
            raise MismatchError("it has no input %r (inputs: %s: %s); %s" % (name, role, name, _has(file.inputs)))
        if role not in shapes:
            raise MismatchError("inputs: %s: %s, but the case has no %s" % (role, name, role))
        if not _fits(file.inputs[name], offers.get(role), shapes[role]):
            raise MismatchError(
                "its input %s does not take the case's %s" % (file.inputs[name], _offered(role, offers, shapes))
            )
        found[role] = name
    for by_name in (True, False):
        for role in ROLES:
            if role not in shapes or role in found or (role == "upstream" and not by_name):
                continue
            free = [each for each in file.inputs.values() if each.name not in found.values()]
            fitting = [each for each in free if _fits(each, offers.get(role), shapes[role])]
            if by_name:
                fitting = [each for each in fitting if each.name.lower() in NAMES[role]]
            if len(fitting) > 1:
                raise _unclear(role, offers, shapes, [each.name for each in fitting])
            if fitting:
                found[role] = fitting[0].name
    left = [name for name in file.inputs if name not in found.values()]
    missing: List[str] = [role for role in ("logits", "targets") if role in shapes and role not in found]
    if left or missing:
        raise _unmatched(file, offers, shapes, left, missing)
    return found


def _fits(value: Any, array: Any, shape: Any) -> bool:
    kinds = INTEGERS if array is not None and array.dtype.kind == "i" else (*FLOATS, "bfloat16")
    return value.dtype in kinds and value.takes(shape)


def _unclear(role: str, offers: Any, shapes: Any, names: List[str]) -> MismatchError:
    return MismatchError(
        "its inputs %s all take the case's %s; say which one by inputs: {%s: %s}"
        % (" and ".join(names), _offered(role, offers, shapes), role, names[0])
    )


def _unmatched(file: Any, offers: Any, shapes: Any, left: List[str], missing: List[str]) -> MismatchError:
    offered = ", ".join(_offered(role, offers, shapes) for role in ROLES[:3] if role in offers)
    lines = ["%s; the case offers %s" % (_has(file.inputs), offered)]
    for role in missing:
        whole = offers[role].dtype.kind == "i"
        alike = [name for name in left if (file.inputs[name].dtype in INTEGERS) == whole]
        reasons = [_why_not(file.inputs[name], role, offers[role]) for name in alike or left]
        lines.append("nothing takes the %s%s" % (role, ": " + ", ".join(reasons) if reasons else ""))
    if left and not missing:
        lines.append("nothing is offered for %s" % " and ".join(left))
    if len(left) > len(missing):
        lines.append(
            "say what is what by inputs: {%s: %s}, or change the case" % ((missing or ["weight"])[0], left[0])
        )
    return MismatchError("; ".join(lines))


def _why_not(value: Any, role: str, array: Array) -> str:
    whole = array.dtype.kind == "i"
    if (value.dtype in INTEGERS) != whole:
        hint = "; class indices become one-hot rows by targets: one_hot" if role == "targets" and whole else ""
        return "%s is %s and they are %s%s" % (value.name, value.dtype, array.dtype, hint)
    if value.shape is not None and len(value.shape) != array.ndim:
        return "%s has %d axes and they have %d" % (value.name, len(value.shape), array.ndim)
    for axis, (size, given) in enumerate(zip(value.shape or (), array.shape)):
        if isinstance(size, int) and size != given:
            return "%s is fixed to %d along axis %d and they have %d" % (value.name, size, axis, given)
    return "%s is %s" % (value.name, value.dtype)


def _check_dtype(file: Any, inputs: Dict[str, str], arrays: Dict[str, Array]) -> None:
    """The file's own element type is what it computes in: another one is not fed by a cast of ours."""
    logits, given = file.inputs[inputs["logits"]], arrays["logits"].dtype.name
    if logits.dtype != given:
        if logits.dtype == "bfloat16":
            raise MismatchError("its %s is bfloat16, which ONNX Runtime has no CPU kernels for" % logits.name)
        raise MismatchError(
            "it computes in %s (%s), and the case is of %s; write dtypes: [%s]"
            % (logits.dtype, logits.name, given, logits.dtype)
        )


def _gradient(file: Any, asked: Dict[str, Any], logits: Any) -> Optional[str]:
    """The output that holds the gradient of the logits: what the spec names, or what has that name and shape."""
    said = asked.get("gradient")
    if said == "none":
        return None
    if said is not None:
        if said not in file.outputs:
            raise MismatchError(
                "it has no output %r (gradient: %s); %s" % (said, said, _has(file.outputs, "outputs"))
            )
        return str(said)
    free = [each for each in file.outputs.values() if each.name != asked.get("output")]
    named = [
        each.name
        for each in free
        if GRADIENT.search(each.name)
        and each.dtype in FLOATS
        and each.takes(logits)
        and each.name != asked.get("output")
    ]
    if len(named) > 1:
        raise MismatchError(
            "its outputs %s may each be the gradient of the logits; say which one by gradient: %s"
            % (" and ".join(named), named[0])
        )
    return named[0] if named else None


def _output(file: Any, asked: Dict[str, Any], gradient: Optional[str], due: List[int]) -> str:
    said = asked.get("output")
    if said is not None:
        if said not in file.outputs:
            raise MismatchError("it has no output %r (output: %s); %s" % (said, said, _has(file.outputs, "outputs")))
        return str(said)
    free = [each for each in file.outputs.values() if each.dtype in FLOATS and each.name != gradient]
    fitting = [each for each in free if each.takes(due)] or free
    named = [each for each in fitting if each.name.lower() in OUTPUTS] if len(fitting) > 1 else fitting
    if len(named) != 1:
        what = "%d of them may be" % len(fitting) if fitting else "none of them is"
        raise MismatchError(
            "%s; %s the result of shape %s%s"
            % (_has(file.outputs, "outputs"), what, due, "; say which one by output: NAME" if fitting else "")
        )
    return str(named[0].name)


def _refuse_doubt(file: Any, output: str, logits: Any, origin: Any) -> None:
    """Another output of the logits' shape may be the gradient that is to be audited: nobody should have to guess."""
    for each in file.outputs.values():
        if each.name == output or each.dtype not in FLOATS or not each.takes(logits) or each.shape is None:
            continue
        operator, feeds = origin(output)(each.name)
        if not feeds and operator not in ("Softmax", "LogSoftmax", "SoftmaxCrossEntropyLoss"):
            raise MismatchError(
                "its output %s has the shape of the logits and is not called a gradient; write gradient: %s if it is "
                "one, or gradient: none" % (each, each.name)
            )


def _offered(role: str, offers: Dict[str, Array], shapes: Dict[str, Any]) -> str:
    dtype = offers[role].dtype.name + " " if role in offers else ""
    return "%s: %s%s" % (role, dtype, list(shapes[role]))


def _has(values: Dict[str, Any], what: str = "inputs") -> str:
    return "its %s are %s" % (what, ", ".join(map(str, values.values())) or "none")
