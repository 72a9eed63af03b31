"""poly: cross entropy with the first term of its expansion in 1 - p changed."""

from __future__ import annotations

from gradaudit.functions import losses
from gradaudit.functions.interface import Function, Parameter, Spelling
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


def output(m: Algebra[N], rows: Rows[N]) -> N:
    """-log p_y + epsilon (1 - p_y)."""
    labels = losses.labels_of(rows)
    return _loss(m, rows, losses.remainder(m, rows, labels), losses.log_probabilities(m, rows, labels))


def by_exp(m: Algebra[N], rows: Rows[N]) -> N:
    """p_y = exp(log p_y), then 1 - p_y."""
    log_p = losses.log_probabilities(m, rows, losses.labels_of(rows))
    return _loss(m, rows, m.exact(1.0) - m.exp(log_p), log_p)


def by_expm1(m: Algebra[N], rows: Rows[N]) -> N:
    """1 - p_y = -expm1(log p_y)."""
    log_p = losses.log_probabilities(m, rows, losses.labels_of(rows))
    return _loss(m, rows, -m.expm1(log_p), log_p)


def by_softmax(m: Algebra[N], rows: Rows[N]) -> N:
    """p_y from a softmax, log p_y from a log-softmax."""
    labels = losses.labels_of(rows)
    p = m.take(losses.probabilities(m, rows), labels)
    return _loss(m, rows, m.exact(1.0) - p, losses.log_probabilities(m, rows, labels))


def by_normaliser(m: Algebra[N], rows: Rows[N]) -> N:
    """-log p_y = logsumexp z - z_y, p_y = exp of its negative."""
    log_p = m.take(rows.z, losses.labels_of(rows)) - m.logsumexp(rows.z)
    return _loss(m, rows, m.exact(1.0) - m.exp(log_p), log_p)


def _loss(m: Algebra[N], rows: Rows[N], remainder: N, log_p: N) -> N:
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
    output=output,
    spellings=(
        Spelling("1 - p = -expm1(log p)", by_expm1),
        Spelling("p = exp(log p)", by_exp),
        Spelling("p by softmax, log p by log_softmax", by_softmax),
        Spelling("log p = z_y - logsumexp", by_normaliser, looser=True, common_offset=True, reading="logits"),
    ),
    targets="indices",
    readings=losses.READINGS,
)
