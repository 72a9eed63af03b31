"""Inputs for the tests of the reference floor: every family under every function and parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from tests.oracle import families


@dataclass(frozen=True)
class Variant:
    """A function with parameters, and what its inputs are like beyond the logits.

    `targets` is "labels", "ignored" (labels, every third of them ignored), "soft" or None. `masked` masks one class
    in five, `first` puts the classes on axis 0, `per_output` asks for the Jacobian.
    """

    name: str
    function: str
    parameters: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    targets: str | None = None
    weighted: bool = False
    masked: bool = False
    first: bool = False
    per_output: bool = False
    ones: bool = False


def _cross_entropy(name: str, targets: str = "labels", **options: object) -> Variant:
    flags = {key: options.pop(key) for key in ("weighted", "masked", "first", "per_output") if key in options}
    parameters = {"reduction": "mean", "label_smoothing": 0.0, "ignore_index": -100, **options}
    return Variant(f"cross_entropy {name}", "cross_entropy", MappingProxyType(parameters), targets, **flags)


PLAIN = (
    Variant("softmax", "softmax"),
    Variant("log_softmax", "log_softmax"),
    Variant("logsumexp", "logsumexp"),
    _cross_entropy("mean"),
)

VARIED = (
    *(
        Variant(f"{name} {label}", name, MappingProxyType(parameters), **flags)
        for name in ("softmax", "log_softmax", "logsumexp")
        for label, parameters, flags in (
            ("ones", {}, {"ones": True}),
            ("temperature", {"temperature": 0.7}, {}),
            ("scale", {"logit_scale": 2.5, "temperature": 3.0}, {"first": True}),
            ("masked", {}, {"masked": True}),
            ("axis 0", {}, {"first": True}),
            ("jacobian", {}, {"per_output": True}),
        )
    ),
    _cross_entropy("none", reduction="none"),
    _cross_entropy("sum", reduction="sum"),
    _cross_entropy("jacobian", reduction="none", per_output=True),
    _cross_entropy("axis 0", reduction="none", first=True),
    _cross_entropy("smoothing", label_smoothing=0.1),
    _cross_entropy("all smoothing", label_smoothing=1.0, reduction="sum"),
    _cross_entropy("ignored", "ignored"),
    _cross_entropy("ignored sum", "ignored", reduction="sum", ignore_index=1),
    _cross_entropy("weights", weighted=True),
    _cross_entropy("weights none", weighted=True, reduction="none"),
    _cross_entropy("weights smoothing ignored", "ignored", weighted=True, label_smoothing=0.1),
    _cross_entropy("temperature", temperature=0.7),
    _cross_entropy("scale smoothing", logit_scale=14.3, label_smoothing=0.1),
    _cross_entropy("masked smoothing", label_smoothing=0.2, masked=True),
    _cross_entropy("soft", "soft"),
    _cross_entropy("soft none", "soft", reduction="none"),
    _cross_entropy("soft sum", "soft", reduction="sum"),
    _cross_entropy("soft smoothing", "soft", label_smoothing=0.1, first=True),
    _cross_entropy("soft weights", "soft", weighted=True, reduction="none"),
    _cross_entropy("soft weights smoothing temperature", "soft", weighted=True, label_smoothing=0.1, temperature=0.7),
    _cross_entropy("soft masked scale", "soft", masked=True, logit_scale=2.5),
)


def inputs_of(variant: Variant, logits: np.ndarray, dtype: str, seed: int) -> Inputs:
    """The `Inputs` of a variant on logits `[rows, n]` of a family."""
    rows, n = logits.shape
    parameters = {"temperature": 1.0, "logit_scale": 1.0, "masked_classes": (), **variant.parameters}
    active = np.arange(n)
    if variant.masked:
        parameters["masked_classes"] = tuple(range(1, n, 5)) if n > 2 else (1,)
        active = np.setdiff1d(active, parameters["masked_classes"])
    targets = None
    if variant.targets == "soft":
        targets = families.probabilities(logits, dtype, seed)
    elif variant.targets is not None:
        targets = active[families.labels(logits[:, active], seed)].astype(np.int64)
        if variant.targets == "ignored":
            targets[1::3] = parameters["ignore_index"]
    shape = logits.shape if variant.targets is None and variant.function != "logsumexp" else (rows,)
    if parameters.get("reduction", "none") != "none":
        shape = ()
    upstream = None
    if not variant.per_output:
        ones = np.ones(shape, families.DTYPES[dtype])
        upstream = ones if variant.ones else families.upstream(shape, dtype, seed)
    if variant.first:
        logits = np.ascontiguousarray(logits.T)
        upstream = np.ascontiguousarray(upstream.T) if upstream is not None and upstream.ndim == 2 else upstream
        targets = np.ascontiguousarray(targets.T) if targets is not None and targets.ndim == 2 else targets
    return Inputs(
        function=FunctionCall(variant.function, MappingProxyType(parameters)),
        dtype=dtype,
        scale=1.0,
        axis=(0,) if variant.first else (1,),
        logits=logits,
        targets=targets,
        upstream=upstream,
        per_output=variant.per_output,
        weight=families.weights(n, dtype, seed) if variant.weighted else None,
    )


def too_large(variant: Variant, logits: np.ndarray) -> bool:
    """Whether a Jacobian of these logits would be more than a test needs."""
    return variant.per_output and variant.function in ("softmax", "log_softmax") and logits.shape[1] > 10


def cases(
    dtype: str, sizes: tuple[int, ...], elements: int, varied: int, seed: int
) -> Iterator[tuple[str, Variant, Inputs]]:
    """Yield (family, variant, inputs): the plain functions on every family and size, and some varied ones in turn.

    `elements` is about how many logits a case has, `varied` how many of the varied functions a family and size get;
    they take turns, so that each meets different families and sizes.
    """
    turn = seed
    for n in sizes:
        rows = max(4, elements // n)
        for family, logits in families.families(dtype, n, rows, seed):
            for variant in PLAIN:
                yield family, variant, inputs_of(variant, logits, dtype, seed)
            for _ in range(varied):
                variant = VARIED[turn % len(VARIED)]
                turn += 1
                if not too_large(variant, logits):
                    yield family, variant, inputs_of(variant, logits, dtype, seed + turn)
