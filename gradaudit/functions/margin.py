"""margin: cross entropy of scaled cosines, the label's own made worse by a margin."""

from __future__ import annotations

import numpy as np

from gradaudit.errors import RequestError
from gradaudit.functions import losses
from gradaudit.functions.interface import LOGIT_PARAMETERS, Function, Parameter, Spelling
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N
from gradaudit.records.function_call import FunctionCall


def output(m: Algebra[N], rows: Rows[N]) -> N:
    """-log softmax(s c')_y, c'_y = c_y - m or cos(arccos c_y + m), c'_j = c_j elsewhere."""
    return -losses.of_counted(m, rows, m.log_softmax(_logits(m, rows), losses.labels_of(rows)))


def scaled_first(m: Algebra[N], rows: Rows[N]) -> N:
    """s c_j - s m [j = y] for the additive margin."""
    labels = losses.labels_of(rows)
    scale = m.parameter(losses.number(rows.parameters, "scale"))
    z = rows.z * scale
    moved = m.take(z, labels) - scale * m.parameter(losses.number(rows.parameters, "margin"))
    return -losses.of_counted(m, rows, m.log_softmax(m.replace(z, labels, moved), labels))


def by_square(m: Algebra[N], rows: Rows[N]) -> N:
    """The angular margin with sin = sqrt(1 - c^2): without digits where c is near 1."""
    return -losses.of_counted(m, rows, m.log_softmax(_logits(m, rows, squared=True), losses.labels_of(rows)))


def check_cosines(call: FunctionCall, logits: np.ndarray) -> None:
    """Complain of what is no cosine, where the margin is an angle."""
    if call.name != "margin" or call.parameters.get("kind") != "angular":
        return
    beyond = np.argwhere(np.abs(logits.astype(np.float64)) > 1.0)
    if len(beyond):
        place = tuple(int(index) for index in beyond[0])
        raise RequestError(
            f"logits{list(place)}: {float(logits[place]):g} is no cosine ({len(beyond)} values are beyond -1 to 1); "
            "an angular margin takes cosines from -1 to 1 as its logits; normalise them, or use kind: additive"
        )


def _logits(m: Algebra[N], rows: Rows[N], *, squared: bool = False) -> N:
    labels = losses.labels_of(rows)
    scale, margin = (m.parameter(losses.number(rows.parameters, name)) for name in ("scale", "margin"))
    own = m.take(rows.z, labels)
    if rows.parameters.get("kind") == "angular":
        one = m.exact(1.0)
        sine = m.sqrt(one - own * own if squared else (one - own) * (one + own))
        moved = own * m.cos(margin) - sine * m.sin(margin)
    else:
        moved = own - margin
    return m.replace(rows.z, labels, moved) * scale


FUNCTION = Function(
    name="margin",
    summary="Large-margin softmax loss of given cosines: additive (CosFace) or angular (ArcFace).",
    formula="L_i = -log softmax(s c'_i)_y; additive: c'_iy = c_iy - m; angular: c'_iy = cos(arccos c_iy + m) = c_iy "
    "cos m - sqrt(1 - c_iy^2) sin m; c'_ij = c_ij elsewhere; ignored rows 0; mean divides by the number of rows that "
    "count; the logits are the cosines",
    gradient_formula="dL/dc_ij = (g_i / den) s (p_ij - [j = y]) d c'_ij / d c_ij, which is 1 but for the label of "
    "the angular margin: cos m + c_iy sin m / sqrt(1 - c_iy^2)",
    jacobian="one output a row: J_i = s (p_i - e_y) dc'/dc",
    invariants=(
        "adding a constant to the cosines changes nothing with the additive margin; with the angular one it does",
        "margin 0 is the cross entropy of the scaled cosines",
        "ignored rows have a gradient of exactly 0",
    ),
    source="additive: Wang et al. 2018 (CosFace), arXiv:1801.09414; angular: Deng et al. 2019 (ArcFace), "
    "arXiv:1801.07698",
    parameters=(
        *LOGIT_PARAMETERS,
        losses.REDUCTION,
        losses.IGNORE_INDEX,
        Parameter("kind", "choice", "additive", "what the margin is taken from", choices=("additive", "angular")),
        Parameter("margin", "float", 0.35, "m; for the angular margin in radians", minimum=0.0),
        Parameter("scale", "float", 64.0, "s, which the cosines are multiplied by", exclusive_minimum=0.0),
    ),
    formulations=(),
    takes_targets=True,
    has_row_output=True,
    gradient_row_sum="varies",
    output=output,
    spellings=(
        Spelling("sin = sqrt((1 - c)(1 + c))", output),
        Spelling("margin after the scale", scaled_first, applies=lambda parameters: parameters["kind"] == "additive"),
        Spelling(
            "sin = sqrt(1 - c^2)", by_square, looser=True, applies=lambda parameters: parameters["kind"] == "angular"
        ),
    ),
    targets="indices",
)
