"""kl_divergence: how far the probabilities are from given ones."""

from __future__ import annotations

from gradaudit.functions import losses
from gradaudit.functions.interface import LOGIT_PARAMETERS, Function, Spelling
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


def output(m: Algebra[N], rows: Rows[N]) -> N:
    """sum_j q_j (log q_j - log p_j), with 0 log 0 = 0."""
    return m.sum(_mass(rows) * (_logarithm(m, rows) - losses.log_probabilities(m, rows)))


def termwise(m: Algebra[N], rows: Rows[N]) -> N:
    """sum_j (q_j log q_j - q_j log p_j), as torch's kl_div."""
    q = _mass(rows)
    return m.sum(q * _logarithm(m, rows) - q * losses.log_probabilities(m, rows))


def two_sums(m: Algebra[N], rows: Rows[N]) -> N:
    """sum_j q_j log q_j - sum_j q_j log p_j: cross entropy less entropy."""
    q = _mass(rows)
    return m.sum(q * _logarithm(m, rows)) - m.sum(q * losses.log_probabilities(m, rows))


def by_normaliser(m: Algebra[N], rows: Rows[N]) -> N:
    """log p_j = z_j - logsumexp z."""
    q = _mass(rows)
    return m.sum(q * (_logarithm(m, rows) - (rows.z - m.logsumexp(rows.z))))


def by_ratio(m: Algebra[N], rows: Rows[N]) -> N:
    """sum_j q_j log(q_j / p_j) with p from a softmax: infinite where p_j is 0."""
    q, p = _mass(rows), losses.probabilities(m, rows)
    assert rows.support is not None
    return m.sum(q * m.log(m.where(rows.support, m.in_range(q / p), m.exact(1.0))))


def _mass(rows: Rows[N]) -> N:
    dense = losses.targets_of(rows).dense
    assert dense is not None, "the targets are probabilities; the spec was validated"
    return dense


def _logarithm(m: Algebra[N], rows: Rows[N]) -> N:
    """log q_j, 0 where q_j is 0."""
    assert rows.support is not None
    return m.log(m.where(rows.support, _mass(rows), m.exact(1.0)))


FUNCTION = Function(
    name="kl_divergence",
    summary="Kullback-Leibler divergence of the probabilities from given ones.",
    formula="L_i = sum_j q_ij (log q_ij - log p_ij), q the targets, q log q = 0 at q = 0; mean divides by the number "
    "of rows (torch's batchmean)",
    gradient_formula="dL/dz_ij = (g_i / den) (T_i p_ij - q_ij), T_i = sum_j q_ij; dL/dq_ij = (g_i / den) (log q_ij "
    "+ 1 - log p_ij)",
    jacobian="one output a row: J_i = T_i p_i - q_i, rows add up to 0",
    invariants=(
        "adding a constant to the logits changes nothing",
        "every gradient row adds up to 0",
        "L_i >= 0 where q_i adds up to 1, and 0 at p = q alone",
    ),
    source="Kullback and Leibler 1951, doi:10.1214/aoms/1177729694; semantics: torch.nn.functional.kl_div(log p, q)",
    parameters=(*LOGIT_PARAMETERS, losses.REDUCTION),
    formulations=(),
    takes_targets=True,
    has_row_output=True,
    gradient_row_sum="zero",
    output=output,
    spellings=(
        Spelling("q (log q - log p)", output),
        Spelling("q log q - q log p", termwise),
        Spelling("sum q log q - sum q log p", two_sums),
        Spelling("log p = z - logsumexp", by_normaliser, looser=True, common_offset=True, reading="logits"),
        Spelling("q log(q / p)", by_ratio, looser=True, reading="logits"),
    ),
    targets="probabilities",
    readings=losses.READINGS,
)
