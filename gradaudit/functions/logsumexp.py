"""logsumexp: the logarithm of the sum of exponentials of a row."""

from __future__ import annotations

from gradaudit.functions.interface import LOGIT_PARAMETERS, Function
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


def output(m: Algebra[N], rows: Rows[N]) -> N:
    """log sum_k exp(z_k)."""
    return m.logsumexp(rows.z)


def gradient(m: Algebra[N], rows: Rows[N]) -> N:
    """p_j times the row's upstream gradient."""
    return m.softmax(rows.z) * rows.upstream


FUNCTION = Function(
    name="logsumexp",
    summary="Logarithm of the sum of exponentials of a row: a smooth maximum, and the normaliser of softmax.",
    formula="L = log sum_k exp(z_k), z = logits * logit_scale / temperature",
    gradient_formula="dL/dz_j = g p_j, g the upstream gradient of the row",
    jacobian="J = p^T: every row adds up to 1",
    invariants=(
        "adding a constant to the logits adds it to the output",
        "max z <= L <= max z + log n",
        "every gradient row adds up to the row's upstream gradient",
    ),
    source="Blanchard, Higham and Higham 2021, doi:10.1093/imanum/draa038",
    parameters=LOGIT_PARAMETERS,
    formulations=("fused", "unshifted"),
    takes_targets=False,
    has_row_output=True,
    gradient_row_sum="upstream",
    output=output,
    gradient=gradient,
)
