"""BUG464: something inside is computed, added up or kept in a lower precision than claimed."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.evaluations import groups, has_wrong_values, most_telling, of_subject, shown_by
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_evaluation, largest_error
from gradaudit.rules.wording import declared, label, number
from gradaudit.rules.wrong_mathematics.diagnosed import named

FLUSHED = "subnormals flushed to 0"


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each subject and dtype that the fault explains, else for each that a lower precision does.

    It is a warning where no more than subnormal numbers are lost. What one rounding an operation costs is no fault;
    CAN105 tells it.
    """
    yield from named(RULE, measured)
    for group in groups(measured):
        key = group[0].key
        if not of_subject(measured, key) or has_wrong_values(measured, key):
            continue
        ordinary = [each for each in group if not each.special_probe]  # elsewhere conventions differ
        weaker = [each for each in ordinary if each.explanation.explains and each.explanation.weaker]
        severe = [each for each in weaker if each.explanation.precision != FLUSHED]
        showing = severe or weaker
        if not showing:
            continue
        measurement = most_telling(showing, lambda each: largest_error(each).max_ulp)
        quantity = largest_error(measurement)
        message = (
            f"{label(measurement.key)}: explained only by a lower precision than claimed: "
            f"{measurement.explanation.precision} (claimed: {declared(measurement.profile)}); the {quantity.name} is "
            f"off by up to "
            f"{number(quantity.max_ulp)} ULP, {number(quantity.max_abs_error)} in absolute terms"
            f"{shown_by(showing, group, measurement)}"
        )
        evidence: Evidence = {
            "precision_needed": measurement.explanation.precision,
            "formulation_needed": measurement.explanation.formulation,
            "declared": declared(measurement.profile),
            "quantity": quantity.name,
            "max_ulp": quantity.max_ulp,
            "max_abs_error": quantity.max_abs_error,
        }
        severity = RULE.severity if severe else "warning"
        yield about_evaluation(RULE, measured, measurement.key, message, evidence, severity=severity)


RULE = Rule(
    code="BUG464",
    name="low-precision-inside",
    severity="error",
    summary=(
        "Something inside a user's function is computed, added up or stored in a lower precision than it claims."
    ),
    why="""
        A sum of bfloat16 numbers stops at 256, whatever is added to it; a loss under autocast is float32 by
        name and has the digits of bfloat16; bits that are cut off instead of rounded push every value in one
        direction. The result looks like noise, and unlike noise it does not average out. One rounding to the
        dtype for each operation is what a framework does by itself, and is no fault.
    """,
    formula="""
        rows of one formulation at falling precisions, each with its own derived tolerance, are tried in turn:
            rounded once > row statistics in float32 > each operation rounded > sums in 16 bits > all in 16 bits
        fires where the claimed precision fails to explain some element and a lower one explains all (by default one
        rounding an operation is claimed, with sums in float32)
        stored statistics: error of log p grows by u_s (1 + log s);   sums in n terms: relative error up to n u_s
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: half precision inside a float32 loss
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Compute and add up in float32 (logits.float(), autocast disabled around the loss) and round the result "
        "once; or claim the precision that is meant under profile in the spec."
    ),
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits.half(), targets).float()
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets)
    """,
)
