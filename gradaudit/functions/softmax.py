"""softmax: the probabilities of a row."""

from __future__ import annotations

from gradaudit.functions.interface import LOGIT_PARAMETERS, Function
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


def output(m: Algebra[N], rows: Rows[N]) -> N:
    """p_j."""
    return m.softmax(rows.z)


def gradient(m: Algebra[N], rows: Rows[N]) -> N:
    """p_j (g_j - sum_k p_k g_k), with g counted from its entry at the largest logit.

    A constant in g changes nothing; taken away beforehand it cannot cancel afterwards, and a saturated row keeps
    the digits of its gradient.
    """
    p = m.softmax(rows.z)
    g = m.center(rows.upstream, rows.z)
    return p * (g - m.sum(p * g))


FUNCTION = Function(
    name="softmax",
    summary="Probabilities of a row: exponentials of the logits, normalised to add up to 1.",
    formula="p_j = exp(z_j) / sum_k exp(z_k), z = logits * logit_scale / temperature",
    gradient_formula="dL/dz_j = p_j (g_j - sum_k p_k g_k), g the upstream gradient",
    jacobian="J = diag(p) - p p^T: symmetric, rank n - 1, rows and columns add up to 0, entries at most 1/4",
    invariants=(
        "adding a constant to the logits changes nothing",
        "the outputs of a row add up to 1, so a constant upstream gradient gives exactly 0",
        "every gradient row adds up to 0",
        "permuting the logits permutes the outputs",
    ),
    source="Bridle 1990, doi:10.1007/978-3-642-76153-9_28; rounding errors: Blanchard, Higham and Higham 2021, "
    "doi:10.1093/imanum/draa038",
    parameters=LOGIT_PARAMETERS,
    formulations=("fused", "log_softmax", "unshifted"),
    takes_targets=False,
    has_row_output=False,
    gradient_row_sum="zero",
    output=output,
    gradient=gradient,
)
