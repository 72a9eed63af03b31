"""poly: cross entropy with the first term of its expansion in 1 - p changed."""

from __future__ import annotations

from gradaudit.functions import label_probability, losses
from gradaudit.functions.interface import Function, Parameter
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


def loss_of(m: Algebra[N], rows: Rows[N], remainder: N, log_p: N) -> N:
    """-log p_y + epsilon (1 - p_y)."""
    epsilon = m.parameter(losses.number(rows.parameters, "epsilon"))
    return losses.of_counted(m, rows, epsilon * remainder - log_p)


FUNCTION = Function(
    name="poly",
    summary="Poly-1 loss: cross entropy plus epsilon times 1 - p of the label.",
    formula="L_i = -log p_iy + epsilon (1 - p_iy), y the label of row i; ignored rows 0; mean divides by the number "
    "of rows that count",
    gradient_formula="dL/dz_ij = (g_i / den) (1 + epsilon p_y) (p_ij - [j = y])",
    jacobian="one output a row: J_i = (1 + epsilon p_y) (p_i - e_y), rows add up to 0",
    invariants=(
        "adding a constant to the logits changes nothing",
        "every gradient row adds up to 0",
        "epsilon = 0 is cross entropy",
        "ignored rows have a gradient of exactly 0",
    ),
    source="Leng et al. 2022, arXiv:2204.12511, equation 5",
    parameters=(
        *losses.LOSS_PARAMETERS,
        Parameter("epsilon", "float", 1.0, "what is added to the first coefficient of the expansion", minimum=-1.0),
    ),
    formulations=(),
    takes_targets=True,
    has_row_output=True,
    gradient_row_sum="zero",
    output=label_probability.formula(loss_of),
    spellings=label_probability.spellings(loss_of),
    targets="indices",
    readings=losses.READINGS,
)
