"""cross_entropy: the negative log-probability of the targets, and what is added to it."""

from __future__ import annotations

from collections.abc import Mapping

from gradaudit.functions import by_tape, losses, smoothing
from gradaudit.functions.interface import LOGIT_PARAMETERS, Function, Parameter, Spelling
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N

EXTENSIONS = ("softcap", "z_loss", "entropy_regularization", "logit_adjustment")
"""Parameters that torch's cross entropy does not have."""


def output(m: Algebra[N], rows: Rows[N]) -> N:
    """-sum_j t_j log p_j of every row, before the reduction, plus z_loss logsumexp^2, less beta times the entropy."""
    own = losses.prepared(m, rows)
    loss = losses.negative_log_likelihood(m, own)
    coefficient, beta = (
        losses.number(rows.parameters, "z_loss"),
        losses.number(rows.parameters, "entropy_regularization"),
    )
    if coefficient:
        loss = loss + losses.of_counted(m, rows, losses.squared(m, m.logsumexp(own.z), coefficient))
    if beta:
        negative_entropy = m.sum(losses.probabilities(m, own) * losses.log_probabilities(m, own))
        loss = loss + losses.of_counted(m, rows, m.parameter(beta) * negative_entropy)
    return loss


def gradient(m: Algebra[N], rows: Rows[N]) -> N:
    """T p_j - t_j with T = sum_k t_k, spelled p_j sum_{k != j} t_k - t_j sum_{k != j} p_k.

    The second spelling has no cancellation at a target that has won. With all mass at one label it is t_y p_j
    elsewhere and -t_y (1 - p_y) at the label. What is added to the loss is differentiated by tape.
    """
    if rows.reading != "logits" or not is_plain(rows.parameters):
        return by_tape.gradient(output, m, rows)
    targets = losses.targets_of(rows)
    p = m.softmax(rows.z)
    if targets.labels is not None and targets.mass is not None:
        scale = targets.mass * rows.upstream
        return m.replace(p * scale, targets.labels, -(scale * m.complement(rows.z, at=targets.labels)))
    assert targets.dense is not None
    return (p * m.others(targets.dense) - targets.dense * m.complement(rows.z)) * rows.upstream


def is_plain(parameters: Mapping[str, object]) -> bool:
    """Whether the loss is torch's own cross entropy."""
    return all(parameters.get(name) in (None, 0.0) for name in EXTENSIONS)


FUNCTION = Function(
    name="cross_entropy",
    summary="Negative log-probability of the targets, with PyTorch's semantics.",
    formula="L_i = -sum_j t_ij log p_ij; class indices: t_ij = (1 - eps) w_y [j = y] + (eps / C) w_j, ignored rows "
    "0; probabilities: t_ij = w_j ((1 - eps) q_ij + eps / C); mean divides by the sum of w_y over the rows that "
    "count (indices) or by the number of rows (probabilities); z_loss adds a logsumexp(z_i)^2 and "
    "entropy_regularization beta sum_j p_ij log p_ij to every row that counts",
    gradient_formula="dL/dz_ij = (g_i / den) (T_i p_ij - t_ij), T_i = sum_j t_ij; with one label and no weights it "
    "is p - y: not y - p, and not 1 - p; z_loss adds 2 a logsumexp(z) p, entropy_regularization "
    "beta p_j (log p_j + H), and softcap multiplies by 1 - tanh^2(z / c)",
    jacobian="one output a row: J_i = T_i p_i - t_i, rows add up to 0",
    invariants=(
        "adding a constant to the logits changes nothing",
        "every gradient row adds up to 0",
        "ignored rows have a gradient of exactly 0",
    ),
    source="semantics: torch.nn.functional.cross_entropy; logit_adjustment: Menon et al. 2021, arXiv:2007.07314; "
    "z_loss: Chowdhery et al. 2022, arXiv:2204.02311; softcap: Gemma Team 2024, arXiv:2408.00118; "
    "entropy_regularization: Pereyra et al. 2017, arXiv:1701.06548; bounds: docs/numerics.md",
    parameters=(
        *LOGIT_PARAMETERS,
        losses.REDUCTION,
        Parameter("label_smoothing", "float", 0.0, "mass spread evenly over all classes", minimum=0.0, maximum=1.0),
        Parameter("weight", "floats", None, "one weight for each class", minimum=0.0),
        losses.IGNORE_INDEX,
        Parameter(
            "softcap",
            "float",
            None,
            "c: the scaled logits become c tanh(z / c), before the offsets of logit_adjustment",
            exclusive_minimum=0.0,
        ),
        Parameter("z_loss", "float", 0.0, "coefficient of logsumexp^2, added to every row that counts", minimum=0.0),
        Parameter(
            "entropy_regularization",
            "float",
            0.0,
            "beta: the entropy of p times it is taken from every row that counts",
        ),
        Parameter("logit_adjustment", "floats", None, "an offset for each class, added to the scaled logits"),
    ),
    formulations=("fused", "log_softmax", "unfused", "unshifted"),
    takes_targets=True,
    has_row_output=True,
    gradient_row_sum="zero",
    output=output,
    gradient=gradient,
    spellings=(Spelling("-sum t log p", output), *smoothing.SPELLINGS),
    readings=losses.READINGS,
    given_logits_only=("softcap", "z_loss", "logit_adjustment"),
    native=is_plain,
    cap="softcap",
)
