"""log_softmax: the log-probabilities of a row."""

from __future__ import annotations

from gradaudit.functions.interface import LOGIT_PARAMETERS, Function
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


def output(m: Algebra[N], rows: Rows[N]) -> N:
    """z_j - log sum_k exp(z_k)."""
    return m.log_softmax(rows.z)


def gradient(m: Algebra[N], rows: Rows[N]) -> N:
    """g_j - p_j sum_k g_k, spelled g_j (1 - p_j) - p_j sum_{k != j} g_k so that a saturated row keeps its digits."""
    p = m.softmax(rows.z)
    g = rows.upstream
    return g * m.complement(rows.z) - p * (m.sum(g) - g)


FUNCTION = Function(
    name="log_softmax",
    summary="Logarithms of the probabilities of a row.",
    formula="log p_j = z_j - log sum_k exp(z_k), z = logits * logit_scale / temperature",
    gradient_formula="dL/dz_j = g_j - p_j sum_k g_k, g the upstream gradient",
    jacobian="J = I - 1 p^T: every row adds up to 0, every column j to 1 - n p_j",
    invariants=(
        "adding a constant to the logits changes nothing",
        "the exponentials of a row add up to 1",
        "every gradient row adds up to 0",
    ),
    source="Blanchard, Higham and Higham 2021, doi:10.1093/imanum/draa038",
    parameters=LOGIT_PARAMETERS,
    formulations=("fused", "unfused", "unshifted"),
    takes_targets=False,
    has_row_output=False,
    gradient_row_sum="zero",
    output=output,
    gradient=gradient,
)
