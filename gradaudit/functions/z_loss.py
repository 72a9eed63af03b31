"""z_loss: cross entropy plus the square of the normaliser, which keeps logits from drifting."""

from __future__ import annotations

from gradaudit.functions import losses
from gradaudit.functions.interface import Function, Parameter, Spelling
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


def output(m: Algebra[N], rows: Rows[N]) -> N:
    """-sum_j t_j log p_j + a logsumexp(z)^2."""
    return _with(m, rows, losses.negative_log_likelihood(m, rows), m.logsumexp(rows.z))


def shared(m: Algebra[N], rows: Rows[N]) -> N:
    """logsumexp z - z_y + a logsumexp^2 with one logsumexp for both."""
    normaliser = m.logsumexp(rows.z)
    return _with(m, rows, normaliser - m.take(rows.z, losses.labels_of(rows)), normaliser)


def _with(m: Algebra[N], rows: Rows[N], loss: N, normaliser: N) -> N:
    extra = losses.squared(m, normaliser, losses.number(rows.parameters, "coefficient"))
    return losses.of_counted(m, rows, loss + extra)


FUNCTION = Function(
    name="z_loss",
    summary="Cross entropy plus a multiple of the squared logsumexp.",
    formula="L_i = -sum_j t_ij log p_ij + a (log sum_k exp(z_ik))^2, t as in cross_entropy; ignored rows 0; mean "
    "divides by the number of rows that count",
    gradient_formula="dL/dz_ij = (g_i / den) (T_i p_ij - t_ij + 2 a L_i p_ij), L_i = logsumexp(z_i)",
    jacobian="one output a row: J_i = T_i p_i - t_i + 2 a L_i p_i, rows add up to 2 a L_i",
    invariants=(
        "adding a constant to the logits adds it to logsumexp, and nothing to the cross entropy",
        "ignored rows have a gradient of exactly 0",
    ),
    source="Chowdhery et al. 2022 (PaLM), arXiv:2204.02311, section 5; de Brebisson and Vincent 2016, "
    "arXiv:1604.08859",
    parameters=(
        *losses.LOSS_PARAMETERS,
        Parameter("coefficient", "float", 1e-4, "a, of the squared logsumexp", minimum=0.0),
        Parameter("label_smoothing", "float", 0.0, "mass spread evenly over all classes", minimum=0.0, maximum=1.0),
    ),
    formulations=(),
    takes_targets=True,
    has_row_output=True,
    gradient_row_sum="varies",
    output=output,
    spellings=(
        Spelling("cross entropy and a logsumexp of its own", output),
        Spelling(
            "one logsumexp for both",
            shared,
            looser=True,
            common_offset=True,
            applies=lambda parameters: not parameters.get("label_smoothing"),
            targets="indices",
        ),
    ),
)
