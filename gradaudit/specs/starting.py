"""A first spec for a user's loss, with comments that say what to check and what else there is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import pairwise

from gradaudit.specs.sketch import Sketch
from gradaudit.specs.source_traits import UPSTREAMS

WORDS: Mapping[str, tuple[str, ...]] = {
    "focal": ("focal",),
    "poly": ("poly",),
    "margin": ("margin", "arcface", "cosface"),
    "kl_divergence": ("kl", "kldiv", "kullback", "distillation"),
    "log_softmax": ("log_softmax", "logsoftmax"),
    "logsumexp": ("logsumexp", "lse"),
    "softmax": ("softmax",),
}
"""Words in a name that speak for a function; a loss is cross entropy otherwise."""

ACTIVATIONS = ("log_softmax", "logsumexp", "softmax")
SAME_PARAMETER = {"smoothing": "label_smoothing", "eps": "label_smoothing", "epsilon": "label_smoothing"}
"""Parameters of users' losses that are usually called so."""

OF_LOSSES: Mapping[str, tuple[str, ...]] = {
    "cross_entropy": ("label_smoothing", "ignore_index", "reduction"),
    "focal": ("gamma", "ignore_index", "reduction"),
    "poly": ("epsilon", "ignore_index", "reduction"),
    "margin": ("margin", "scale", "ignore_index", "reduction"),
}
"""Parameters of a function that are taken from the defaults of the loss."""

PADDING = re.compile(r"ignore|pad|mask|-100", re.IGNORECASE)
CLASSES = 10
"""How many classes the drawn logits have."""
CLASS_COUNTS = frozenset(
    {"num_classes", "n_classes", "nclasses", "classes", "num_class", "n_class", "num_labels", "vocab_size", "vocab"}
)
"""Parameters without a default that are usually the number of classes."""

UNPADDED = "[ordinary, ones, gap-far-loser, gap-far-winner, offset-large, many-classes, one-row]"
"""Probes without ignored rows."""


def function_of(found: Sketch) -> tuple[str, dict[str, object]]:
    """What the function is probably meant to compute: by its name, its inputs and the defaults of its parameters."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", found.attribute).lower()
    parts = [part for part in re.split(r"[._]+", words) if part]
    names = {*parts, *(f"{first}_{second}" for first, second in pairwise(parts))}
    takes_targets = len(_inputs(found)) != 1
    possible = [name for name in WORDS if (name not in ACTIVATIONS) == takes_targets]
    default = "cross_entropy" if takes_targets else "softmax"
    name = next((name for name in possible if names & set(WORDS[name])), default)
    known = OF_LOSSES.get(name, ())
    parameters: dict[str, object] = {}
    for option, value in found.options:
        parameter = option if option in known else SAME_PARAMETER.get(option, option)
        if parameter in known and _fits(parameter, value):
            parameters[parameter] = value
    return name, parameters


def spec_text(found: Sketch, target: str) -> str:
    """The spec, as text, of one loss; `target` names it from where the spec stands."""
    name, parameters = function_of(found)
    read_off = ", ".join(f"{key} {value}" for key, value in parameters.items())
    call = name if not parameters else f"{{name: {name}, {', '.join(f'{k}: {v}' for k, v in parameters.items())}}}"
    labels = name not in (*ACTIVATIONS, "kl_divergence")
    padded = labels and PADDING.search(found.text) is not None
    lines = [
        f"# An audit of {found.attribute}: gradaudit check THIS_FILE. Every key: gradaudit schema.",
        "version: 1",
        f"name: {_scalar(found.attribute.rpartition('.')[2])}",
        "",
        "# What it is meant to compute, which nobody but you knows. " + _guess(read_off),
        f"# `gradaudit explain {name}` tells of it; a formula may stand here too: {{formula: ...}}.",
        f"function: {call}",
        "",
        "# The inputs that you care about; values, or a file: {file: logits.npy}.",
        f"logits: {{random: {{distribution: normal, shape: [16, {CLASSES}], scale: 2.0, seed: 1}}}}",
    ]
    if labels:
        lines.append(f"targets: {{random: {{seed: 2{', ignored: 3' if padded else ''}}}}}")
    elif name == "kl_divergence":
        lines.append("targets: {random: {seed: 2, kind: probabilities}}")
    lines += [
        "upstream: random           # ones, or per_output for a Jacobian",
        "scale: [1, 10]             # multiplies the logits: large ones saturate",
        "dtypes: [float32]          # float16, bfloat16 and float64 too",
        "",
        *_subject(found, target, labels=labels),
    ]
    if labels and not padded:
        lines += [
            "",
            "# Nothing in it speaks of ignored rows. If it is never given any, ask about the others alone:",
            f"# probes: {UNPADDED}",
        ]
    lines += [
        "",
        "# A finding that is known and meant: it must then occur, and no other error may.",
        "# expect: [BUG402]",
    ]
    return "\n".join(lines) + "\n"


def to_fill_in(found: Sketch) -> tuple[str, ...]:
    """The parameters without a default for which nobody but the user knows a value."""
    return tuple(name for name in found.required if name not in CLASS_COUNTS)


def called_otherwise(found: Sketch) -> str:
    """What to do about a loss whose parameters are not those that it is called with; "" where they are.

    Inputs in the order of Keras, or a NumPy function that leaves the upstream gradient to its caller.
    """
    name, inputs = found.attribute, ", ".join(found.inputs)
    due, call = "logits, targets", "targets, logits" if found.targets_first else "logits, targets"
    if found.framework == "numpy" and len(found.inputs) == 2 == len(_inputs(found)):
        due, wrapped = f"{due}, upstream", f"loss, gradient = {name}({call}); return loss, gradient * upstream"
    elif found.targets_first:
        wrapped = f"return {name}({call})"
    else:
        return ""
    return (
        f"{name} is called with ({due}), and its parameters are ({inputs}); put this beside it, and name it in the "
        f"spec:\n  def audited({due}): {wrapped}"
    )


def _inputs(found: Sketch) -> tuple[str, ...]:
    """The inputs without the upstream gradient, which NumPy functions take too."""
    taken = found.inputs[:2] if found.framework == "numpy" else found.inputs
    return tuple(name for name in taken if found.framework != "numpy" or name.lower() not in UPSTREAMS)


def _subject(found: Sketch, target: str, *, labels: bool) -> list[str]:
    """The entry of the loss, with what shows in its source, and with what else there is as comments."""
    lines = [f"# {line}" for line in called_otherwise(found).splitlines()] + ["subjects:"]
    lines.append(f"  - {found.framework}: {_scalar(target)}")
    if found.factory:
        lines.append("    factory: true          # it is called with kwargs, and what it returns is audited")
    counts = [f"{key}: {CLASSES}" for key in found.required if key in CLASS_COUNTS]
    if to_fill_in(found):
        needed = ", ".join([*counts, *(f"{key}: ..." for key in to_fill_in(found))])
        lines.append(f"    # kwargs: {{{needed}}}   # to be filled in: it has no default")
    elif counts:
        lines.append(f"    kwargs: {{{', '.join(counts)}}}   # as many as the logits have")
    else:
        options = ", ".join(f"{key}: {_scalar(value)}" for key, value in found.options if value is not None)
        lines.append(f"    # kwargs: {{{options or 'name: value'}}}   # other than its defaults")
    if found.reading == "logits":
        lines.append("    # input: probabilities    # where it does not take logits")
    else:
        lines.append(f"    input: {found.reading}   # by the name of its first parameter")
    if labels and found.one_hot:
        lines.append("    targets: one_hot       # labels as rows: its source takes them so")
    elif labels:
        lines.append("    # targets: one_hot")
    return lines


def _guess(read_off: str) -> str:
    return f"Guessed from its name{' and its defaults: ' + read_off if read_off else ''}."


def _fits(parameter: str, value: object) -> bool:
    if parameter == "reduction":
        return value in ("mean", "sum", "none")
    if parameter == "ignore_index":
        return type(value) is int
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return 0 <= value <= (1 if parameter == "label_smoothing" else 1000)


def _scalar(value: object) -> str:
    """A value as YAML has it; text that could be read as anything else in quotes."""
    text = str(value)
    if isinstance(value, str) and (
        not re.fullmatch(r"[A-Za-z_.][\w./:-]*", text, re.ASCII) or text.lower() in ("true", "false", "null", "none")
    ):
        return json.dumps(text, ensure_ascii=False)
    return text.lower() if isinstance(value, bool) else text
