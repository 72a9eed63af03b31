"""What stands for the mathematics where there is none at hand: `function: self`, and a formula that is not read yet.

Shapes are known, values are not.
"""

from __future__ import annotations

from typing import Never

from gradaudit.errors import AuditError
from gradaudit.functions.interface import Function, Parameter
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N
from gradaudit.records.function_call import FunctionCall

OUTPUT, TAKES_TARGETS = "output", "takes_targets"
"""Parameters of the call that hold what shapes depend on; the spec fills them in."""

LOSS, ACTIVATION = "loss", "activation"
OUTPUTS = (LOSS, ACTIVATION)
"""One number per row (before the reduction), or one per class."""

PARAMETERS = (
    Parameter("reduction", "choice", "mean", "how the rows' losses are combined", choices=("none", "mean", "sum")),
    Parameter("ignore_index", "int", -100, "a label whose rows take no part"),
)
"""What `function: self` has: enough to know the shape of what comes back."""


def function(call: FunctionCall) -> Function:
    """The shapes of a call whose mathematics is not at hand."""
    return Function(
        name=call.name,
        summary="A function whose mathematics is not at hand.",
        formula="",
        gradient_formula="",
        jacobian="",
        invariants=(),
        source="the subject's own forward",
        parameters=PARAMETERS,
        formulations=(),
        takes_targets=bool(call.parameters.get(TAKES_TARGETS, False)),
        has_row_output=call.parameters.get(OUTPUT, LOSS) == LOSS,
        gradient_row_sum="varies",
        output=_no_truth,
    )


def _no_truth(m: Algebra[N], rows: Rows[N]) -> Never:  # noqa: ARG001 - a formula's signature
    raise AuditError("there is no truth at hand: this case has no function that could be enclosed")
