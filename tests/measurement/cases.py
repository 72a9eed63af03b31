"""Inputs of small cases, and the exact results of them."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from gradaudit.numerics import formats
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.reference.truth import Truth

NEUTRAL = {"temperature": 1.0, "logit_scale": 1.0, "masked_classes": ()}


def inputs(
    function: str,
    logits: object,
    dtype: str = "float32",
    *,
    targets: Sequence[object] | None = None,
    upstream: object = 1.0,
    weight: Sequence[float] | None = None,
    per_output: bool = False,
    **parameters: object,
) -> Inputs:
    """Rows of logits with the classes last; cross entropy is not reduced unless `reduction` says so."""
    stored = formats.dtype(dtype)
    x = np.asarray(logits, dtype=np.float64).astype(stored)
    chosen = {**NEUTRAL, **parameters}
    if function == "cross_entropy":
        chosen = {"reduction": "none", "label_smoothing": 0.0, "ignore_index": -100, **chosen}
    shape = x.shape if function in {"softmax", "log_softmax"} else x.shape[:-1]
    if chosen.get("reduction", "none") != "none":
        shape = ()
    own = None if targets is None else np.asarray(targets)
    if own is not None:
        own = own.astype(np.int64) if own.dtype.kind == "i" else own.astype(stored)
    given = np.broadcast_to(np.asarray(upstream, dtype=np.float64), shape).astype(stored)
    return Inputs(
        function=FunctionCall(function, MappingProxyType(chosen)),
        dtype=dtype,
        scale=1.0,
        axis=(x.ndim - 1,),
        logits=x,
        targets=own,
        upstream=None if per_output else given,
        per_output=per_output,
        weight=None if weight is None else np.asarray(weight, dtype=np.float64).astype(stored),
    )


def truth(function: str, logits: object, dtype: str = "float32", **options: object) -> Truth:
    """The exact results of :func:`inputs`."""
    return Truth(inputs(function, logits, dtype, **options))  # type: ignore[arg-type]
