"""What a case audits, in words: the call of its function, and its inputs."""

from __future__ import annotations

from gradaudit.records.case import Case, RandomArray, Upstream
from gradaudit.records.function_call import FunctionCall
from gradaudit.reports.number_format import quantity, shape

NEUTRAL = {
    "temperature": 1.0,
    "logit_scale": 1.0,
    "label_smoothing": 0.0,
    "weight": None,
    "masked_classes": (),
    "ignore_index": -100,
    "softcap": None,
    "z_loss": 0.0,
    "entropy_regularization": 0.0,
    "logit_adjustment": None,
    # MXNet's
    "grad_scale": 1.0,
    "ignore_label": -1,
    "multi_output": False,
    "preserve_shape": False,
    "normalization": "null",
    "use_ignore": False,
    "use_length": False,
    "out_grad": False,
    "smooth_alpha": 0.0,
    "sparse_label": True,
    "from_logits": False,
    "batch_axis": 0,
}
"""Values at which a parameter changes nothing that a reader would look for."""
LISTED_ENTRIES = 6
"""So many entries of a parameter are listed; of longer ones the number is given."""


def call(function: FunctionCall) -> str:
    """The function with those of its parameters that change something; a formula as the user wrote it.

    Their order does not depend on that of the mapping: JSON sorts it.
    """
    if function.expression is not None:
        return f"{function.name} {function.expression.text}"
    given = [
        f"{name}={_argument(value)}"
        for name, value in sorted(function.parameters.items(), key=_place)
        if value is not None and (name not in NEUTRAL or _plain(value) != NEUTRAL[name])
    ]
    return f"{function.name}({', '.join(given)})" if given else function.name


def scope(case: Case) -> str:
    """The shape of the logits, the class axes and the upstream gradient."""
    axes = case.axis[0] if len(case.axis) == 1 else list(case.axis)
    return f"logits {shape(case.shape)}, class axis {axes}, upstream {_upstream(case.upstream)}"


def _upstream(upstream: Upstream) -> str:
    """`ones`, `per_output`, `random` or `given`."""
    if upstream.kind != "values":
        return upstream.kind
    return "random" if isinstance(upstream.source, RandomArray) else "given"


def _place(parameter: tuple[str, object]) -> tuple[int, str]:
    """A function's own parameters by name, then those that are common to many in the order of NEUTRAL."""
    name = parameter[0]
    return [*NEUTRAL].index(name) if name in NEUTRAL else -1, name


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _argument(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[{len(value)} values]" if len(value) > LISTED_ENTRIES else str(list(value))
    return quantity(value)
