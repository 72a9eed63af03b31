"""cross_entropy: the negative log-probability of the targets."""

from __future__ import annotations

from gradaudit.functions.interface import LOGIT_PARAMETERS, Function, Parameter
from gradaudit.functions.rows import Rows, Targets
from gradaudit.numerics.algebra import Algebra, N


def output(m: Algebra[N], rows: Rows[N]) -> N:
    """-sum_j t_j log p_j of every row, before the reduction."""
    targets = _targets(rows)
    if targets.labels is not None and targets.mass is not None:
        return -(targets.mass * m.log_softmax(rows.z, at=targets.labels))
    assert targets.dense is not None
    return -m.sum(targets.dense * m.log_softmax(rows.z))


def gradient(m: Algebra[N], rows: Rows[N]) -> N:
    """T p_j - t_j with T = sum_k t_k, spelled p_j sum_{k != j} t_k - t_j sum_{k != j} p_k.

    The second spelling has no cancellation at a target that has won. With all mass at one label it is t_y p_j
    elsewhere and -t_y (1 - p_y) at the label.
    """
    targets = _targets(rows)
    p = m.softmax(rows.z)
    if targets.labels is not None and targets.mass is not None:
        scale = targets.mass * rows.upstream
        return m.replace(p * scale, targets.labels, -(scale * m.complement(rows.z, at=targets.labels)))
    assert targets.dense is not None
    return (p * m.others(targets.dense) - targets.dense * m.complement(rows.z)) * rows.upstream


def _targets(rows: Rows[N]) -> Targets[N]:
    assert rows.targets is not None, "cross entropy has targets; the spec was validated"
    return rows.targets


FUNCTION = Function(
    name="cross_entropy",
    summary="Negative log-probability of the targets, with PyTorch's semantics.",
    formula="L_i = -sum_j t_ij log p_ij; class indices: t_ij = (1 - eps) w_y [j = y] + (eps / C) w_j, ignored rows "
    "0; probabilities: t_ij = w_j ((1 - eps) q_ij + eps / C); mean divides by the sum of w_y over the rows that "
    "count (indices) or by the number of rows (probabilities)",
    gradient_formula="dL/dz_ij = (g_i / den) (T_i p_ij - t_ij), T_i = sum_j t_ij; with one label and no weights it "
    "is p - y: not y - p, and not 1 - p",
    jacobian="one output a row: J_i = T_i p_i - t_i, rows add up to 0",
    invariants=(
        "adding a constant to the logits changes nothing",
        "every gradient row adds up to 0",
        "ignored rows have a gradient of exactly 0",
    ),
    source="semantics: torch.nn.functional.cross_entropy; bounds: docs/numerics.md",
    parameters=(
        *LOGIT_PARAMETERS,
        Parameter(
            "reduction", "choice", "mean", "how the rows' losses are combined", choices=("none", "mean", "sum")
        ),
        Parameter("label_smoothing", "float", 0.0, "mass spread evenly over all classes", minimum=0.0, maximum=1.0),
        Parameter("weight", "floats", None, "one weight for each class", minimum=0.0),
        Parameter("ignore_index", "int", -100, "a label whose rows take no part"),
    ),
    formulations=("fused", "log_softmax", "unfused", "unshifted"),
    takes_targets=True,
    has_row_output=True,
    gradient_row_sum="zero",
    output=output,
    gradient=gradient,
)
