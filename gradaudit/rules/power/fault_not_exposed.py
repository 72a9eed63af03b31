"""POW702: faults that the inputs could not have exposed."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import Exposure, MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.wording import number, one_line, plural

LISTED = 8
"""So many fault classes are listed in a message; the evidence holds all of them."""


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each list of hidden fault classes: a warning without probes, else information.

    What probes exposed is no defect of this audit. What standard probes leave hidden, the user can do little about.
    """
    by_hidden: dict[tuple[str, ...], list[Exposure]] = {}
    # Of a subject that returned nothing to compare, no inputs could expose anything.
    compared = {(each.key.subject, each.key.dtype) for each in measured.measurements}
    for exposure in measured.exposures:
        if exposure.hidden and (exposure.subject, exposure.dtype) in compared:
            by_hidden.setdefault(exposure.hidden, []).append(exposure)
    for hidden, exposures in by_hidden.items():
        first = exposures[0]
        planted = len({*first.own, *first.probes, *hidden})
        probes = len(measured.case.probes)
        inputs = (
            f"the case's inputs and {probes:,} {plural('probe', probes)}" if probes else "the case's inputs alone"
        )
        message = (
            f"{inputs} could not have exposed {len(hidden):,} of {planted:,} kinds of fault: {_listed(hidden)}"
            f"{_proved(first)}"
        )
        yield Finding(
            code=RULE.code,
            name=RULE.name,
            severity="info" if probes else RULE.severity,
            message=message,
            location=measured.case.source,
            subject=_only({each.subject for each in exposures}),
            dtype=_only({each.dtype for each in exposures}),
            evidence=MappingProxyType(
                {
                    "hidden": ", ".join(hidden),
                    "kinds": planted,
                    "exposed_by_own_inputs": len(first.own),
                    "exposed_by_probes": len(first.probes),
                    "named": None if first.named is None else len(first.named),
                }
            ),
        )


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(one_line(name) for name in names[:LISTED])
    left = len(names) - LISTED
    return f"{shown} and {number(left)} more" if left > 0 else shown


def _proved(exposure: Exposure) -> str:
    if exposure.named is None:
        return ""
    caught = len({*exposure.own, *exposure.probes})
    return f"; of the {caught:,} that it exposes, it names {len(exposure.named):,}"


def _only(values: set[str]) -> str | None:
    return next(iter(values)) if len(values) == 1 else None


RULE = Rule(
    code="POW702",
    name="fault-not-exposed",
    severity="warning",
    summary="The inputs of the audit could not have exposed some kinds of fault, had the function had them.",
    why="""
        A mean over the wrong count is right where no row is ignored; an ignored upstream gradient is right where
        it is 1; a missing shift is right for small logits. An audit on such inputs passes all of these, and its
        success says less than it seems to. Every kind of fault is therefore planted into the exact results of the
        same inputs, to see which of them would have stood out.
    """,
    formula="""
        a fault's exact results r' are those of the faulty formula; it is exposed where, for some element,
        |r' - r| > tolerance + tolerance' under every admissible formulation, r the exact result
        hidden: no input of the audit exposes it
        fires where a kind of fault is hidden; a warning where the case has no probes, else information
        gradaudit check --prove runs the diagnosis on every planted fault, too, and counts those that it names
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: no row is ignored and the upstream gradient is 1
        function: cross_entropy
        logits: [[1.0, 2.0, 4.0], [0.5, -3.0, 2.0]]
        targets: [0, 2]
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent="""
        version: 1
        name: a backend's own function has no probes and no kinds of fault to plant
        function: cross_entropy
        logits: [[1.0, 2.0, 4.0], [0.5, -3.0, 2.0]]
        targets: [0, 2]
        backends: [numpy]
    """,
    advice=(
        "Leave probes at standard, or give the case what the fault needs to show: ignored rows, an upstream gradient "
        "with entries that differ, a logit far above the others, more classes than rows."
    ),
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets)
    """,
)
