"""focal: cross entropy that counts less where the row is right already."""

from __future__ import annotations

from gradaudit.functions import label_probability, losses
from gradaudit.functions.interface import Function, Parameter, Spelling
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


def loss_of(m: Algebra[N], rows: Rows[N], remainder: N, log_p: N) -> N:
    """alpha_y (1 - p_y)^gamma (-log p_y)."""
    loss = m.power(remainder, losses.number(rows.parameters, "gamma")) * -log_p
    alpha = losses.per_class(m, rows, "alpha")
    if alpha is not None:
        loss = m.take(alpha, losses.labels_of(rows)) * loss
    return losses.of_counted(m, rows, loss)


def by_logarithm(m: Algebra[N], rows: Rows[N]) -> N:
    """log of a softmax: without digits where p_y is near 1, -inf where it is 0."""
    p = m.take(losses.probabilities(m, rows), losses.labels_of(rows))
    return loss_of(m, rows, m.exact(1.0) - p, m.log(p))


FUNCTION = Function(
    name="focal",
    summary="Focal loss: the negative log-probability of the label, times (1 - p)^gamma.",
    formula="L_i = alpha_y (1 - p_iy)^gamma (-log p_iy), y the label of row i; ignored rows 0; mean divides by the "
    "number of rows that count",
    gradient_formula="dL/dz_ij = (g_i / den) alpha_y G (p_ij - [j = y]), G = (1 - p_y)^gamma + gamma p_y "
    "(1 - p_y)^(gamma - 1) (-log p_y): both terms are positive",
    jacobian="one output a row: J_i = alpha_y G (p_i - e_y), rows add up to 0",
    invariants=(
        "adding a constant to the logits changes nothing",
        "every gradient row adds up to 0",
        "gamma = 0 is cross entropy",
        "ignored rows have a gradient of exactly 0",
    ),
    source="Lin et al. 2017, arXiv:1708.02002, equation 5; gradient: its appendix B",
    parameters=(
        *losses.LOSS_PARAMETERS,
        Parameter("gamma", "float", 2.0, "how much less a row counts that is right already", minimum=0.0),
        Parameter("alpha", "floats", None, "one factor for each class", minimum=0.0),
    ),
    formulations=(),
    takes_targets=True,
    has_row_output=True,
    gradient_row_sum="zero",
    output=label_probability.formula(loss_of),
    spellings=(
        *label_probability.spellings(loss_of),
        Spelling("log of softmax", by_logarithm, looser=True, reading="logits"),
    ),
    targets="indices",
    readings=losses.READINGS,
)
