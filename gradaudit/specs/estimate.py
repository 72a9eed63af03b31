"""How much memory an audit needs, before anything is allocated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from gradaudit.errors import FlagError, RequestError, SpecError
from gradaudit.records.case import Case, FileArray, InlineArray, RandomArray
from gradaudit.records.location import COMMAND_LINE
from gradaudit.specs import shapes
from gradaudit.specs.wording import shape_text

DEFAULT_LIMIT = 8 << 30
"""Bytes that one evaluation may hold."""

ITEM_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a case holds, in bytes, at its widest dtype.

    `logits`, `targets`, `upstream`, `output` and `derivative` (gradient or Jacobian) are the arrays of one
    evaluation, `copies` the logits that are tiled for a batched Jacobian, `per_evaluation` their sum, and `total`
    what all `evaluations` leave behind together.
    """

    evaluations: int
    logits: int
    targets: int
    upstream: int
    output: int
    derivative: int
    copies: int
    per_evaluation: int
    total: int


def estimate(case: Case) -> Estimate:
    """The bytes of a case, from its shapes alone."""
    item = max(ITEM_BYTES[dtype] for dtype in case.dtypes)
    logits = prod(case.shape) * item
    output = prod(shapes.output_shape(case.function, case.shape, case.axis)) * item
    per_output = case.upstream.kind == "per_output"
    cotangents = shapes.outputs_of_a_row(case.function, case.shape, case.axis) if per_output else 1
    targets = 0
    if case.targets is not None:
        indices = prod(shapes.row_shape(case.shape, case.axis)) * 8
        targets = logits if _dense_targets(case) else indices
    # A batched Jacobian tiles the logits K times and feeds a head of the tiled output's size.
    copies = cotangents * logits if cotangents > 1 else 0
    upstream, outputs, derivative = cotangents * output, cotangents * output, cotangents * logits
    together = logits + targets + upstream + outputs + derivative + copies
    evaluated = len(case.backends) * len(case.formulations) + len(case.subjects)
    evaluations = evaluated * len(case.dtypes) * len(case.scale)
    total = evaluations * (output + derivative) + len(case.dtypes) * len(case.scale) * (logits + targets + upstream)
    return Estimate(evaluations, logits, targets, upstream, outputs, derivative, copies, together, total)


def require_memory(cases: Iterable[Case], limit: int = DEFAULT_LIMIT) -> None:
    """Raise SpecError (FlagError for a case of flags) for the first case whose evaluation holds more than `limit`."""
    for case in cases:
        needed = estimate(case)
        if needed.per_evaluation > limit:
            raise _too_large(case, needed, limit)


def size_text(count: int) -> str:
    """A number of bytes as people read it: `1.5 GiB`."""
    if count < 1024:
        return f"{count} bytes"
    units = ("KiB", "MiB", "GiB", "TiB", "PiB")
    power = min((count.bit_length() - 1) // 10, len(units))
    value = count / 1024**power
    return f"{value:.3g} {units[power - 1]}" if value < 1000 else f"{value:,.0f} {units[power - 1]}"


def _too_large(case: Case, needed: Estimate, limit: int) -> RequestError:
    classes = shapes.outputs_of_a_row(case.function, case.shape, case.axis)
    shape = shape_text(case.shape)
    if needed.copies:
        what = f"the Jacobian of upstream: per_output has {classes:,} x {shape} entries"
        advice = "audit one upstream gradient (upstream: random), or fewer classes or rows"
    else:
        what = f"logits {shape}"
        advice = "audit fewer rows at a time, or a narrower dtype"
    message = (
        f"{what}; one evaluation holds {size_text(needed.per_evaluation)}, more than the {size_text(limit)} of "
        f"--max-memory: {advice}"
    )
    if case.source == COMMAND_LINE:
        return FlagError(f"--{'upstream per_output' if needed.copies else 'logits'}: {message}")
    return SpecError(f"{case.name}: {message}", case.source)


def _dense_targets(case: Case) -> bool:
    source = case.targets
    if isinstance(source, InlineArray):
        return source.values.dtype.kind == "f"
    if isinstance(source, FileArray):
        return source.dtype.startswith("float")
    return isinstance(source, RandomArray) and source.distribution == "probabilities"
