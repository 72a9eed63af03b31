"""softcap: logits kept within (-c, c) by a tanh."""

from __future__ import annotations

from gradaudit.functions import losses
from gradaudit.functions.interface import LOGIT_PARAMETERS, Function, Parameter, Spelling
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


def output(m: Algebra[N], rows: Rows[N]) -> N:
    """c tanh(z_j / c)."""
    cap = m.parameter(losses.number(rows.parameters, "cap"))
    return cap * m.tanh(rows.z / cap)


def by_reciprocal(m: Algebra[N], rows: Rows[N]) -> N:
    """c tanh(z_j * (1 / c))."""
    cap = m.parameter(losses.number(rows.parameters, "cap"))
    return cap * m.tanh(rows.z * m.charged(m.reciprocal(cap), 1))


FUNCTION = Function(
    name="softcap",
    summary="Logits capped smoothly at plus and minus c.",
    formula="s_j = c tanh(z_j / c), z = logits * logit_scale / temperature",
    gradient_formula="dL/dz_j = g_j (1 - tanh^2(z_j / c)), g the upstream gradient",
    jacobian="J = diag(1 - tanh^2(z / c)): entries in (0, 1]",
    invariants=("|s_j| < c", "s is odd", "adding a constant to the logits is not undone: softmax(s) changes with it"),
    source="Gemma Team 2024, arXiv:2408.00118, section 2; Bello et al. 2016, arXiv:1611.09940",
    parameters=(
        *LOGIT_PARAMETERS,
        Parameter("cap", "float", 30.0, "c, the bound of what comes out", exclusive_minimum=0.0),
    ),
    formulations=(),
    takes_targets=False,
    has_row_output=False,
    gradient_row_sum="varies",
    output=output,
    spellings=(Spelling("c tanh(z / c)", output), Spelling("c tanh(z (1 / c))", by_reciprocal)),
    cap="cap",
)
