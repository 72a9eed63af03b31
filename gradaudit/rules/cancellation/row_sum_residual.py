"""CAN102: the entries of a row add up to something other than they should."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase, Measurement, Quantity, Sums
from gradaudit.rules.evaluations import groups, has_wrong_values, most_telling, of_subject, shown_by
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_evaluation, derivatives
from gradaudit.rules.wording import label, number, plural


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for the evaluations of a setting with a finite row sum beyond its tolerance, shown by the worst.

    A subject whose entries are wrong is told so by the rules on wrong mathematics.
    """
    for group in groups(measured):
        showing = [each for each in group if _beyond(each) is not None]
        if of_subject(measured, group[0].key):
            showing = [each for each in showing if each.explanation.explains and not each.special_probe]
        if not showing or has_wrong_values(measured, group[0].key):
            continue
        measurement = most_telling(showing, _excess)
        found = _beyond(measurement)
        assert found is not None
        quantity, sums = found
        message = (
            f"{label(measurement.key)}: row {sums.row} of the {quantity.name} adds up to {number(sums.got)}, the "
            f"exact sum is {number(sums.expected)}: a residual of {number(sums.residual)} where rounding leaves "
            f"at most {number(sums.tolerance)}; {sums.rows_beyond:,} {plural('row', sums.rows_beyond)} beyond"
            f"{shown_by(showing, group, measurement)}"
        )
        evidence: Evidence = {
            "quantity": quantity.name,
            "row": sums.row,
            "sum": sums.got,
            "expected_sum": sums.expected,
            "residual": sums.residual,
            "tolerance": sums.tolerance,
            "rows_beyond": sums.rows_beyond,
        }
        yield about_evaluation(RULE, measured, measurement.key, message, evidence)


def _beyond(measurement: Measurement) -> tuple[Quantity, Sums] | None:
    """The gradient or Jacobian whose worst row sum is beyond. A row that holds a NaN has no sum to speak of; DIV303
    or DIV305 speaks of the NaN."""
    for quantity in derivatives(measurement):
        sums = quantity.sums
        if sums is not None and sums.rows_beyond > 0 and math.isfinite(sums.residual):
            return quantity, sums
    return None


def _excess(measurement: Measurement) -> float:
    found = _beyond(measurement)
    return 0.0 if found is None else found[1].residual


RULE = Rule(
    code="CAN102",
    name="row-sum-residual",
    severity="warning",
    summary="The entries of a gradient row add up to more than rounding can leave beside their exact sum.",
    why="""
        Softmax does not change when a constant is added to a row of logits, so the entries of its gradient add
        up to 0, as do those of cross entropy with targets that add up to 1. A residual pushes all logits of the
        row in one direction at every step, where no loss can notice it and no gradient brings them back.
    """,
    formula="""
        residual = |sum_j g_j - sum_j exact g_j| of a row, fires where it is not <= sum_j tolerance_j
        softmax VJP: g_j = p_j (v_j - c) with c = <v, p>, so sum_j g_j = c (1 - sum_j p_j) = 0;
        with rounded p the residual is c (1 - sum of the rounded p), which grows with the mean of v
    """,
    source="docs/numerics.md, section 2 (VJP row sum)",
    fires=None,
    silent="""
        version: 1
        name: a row of a cross-entropy gradient adds up to 0
        function: cross_entropy
        logits: [[1.0, 2.0, 4.0]]
        targets: [0]
        backends: [numpy]
    """,
    fires_note=(
        "The tolerance of a sum is what the tolerances of its elements add up to, so no sound implementation can be "
        "brought to exceed it: the rule fires where an entry of the row is wrong. Its tests plant one."
    ),
    advice=(
        "Look for an entry of that row that is beyond its own tolerance, then for a term that is not multiplied by "
        "p: v_j - c needs the same p as the product, and a shift of the logits must not take part in backward."
    ),
    check=check,
)
