"""All evaluations of a subject at one dtype -> the faults that explain them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.diagnosis import lower_precision, naming, partial, ranges
from gradaudit.measurement.diagnosis.agreement import settle
from gradaudit.measurement.diagnosis.budget import Budget
from gradaudit.measurement.diagnosis.fitted import fitted
from gradaudit.measurement.diagnosis.readings import Evidence
from gradaudit.measurement.diagnosis.search import (
    Explanation,
    catalogue,
    double_explanations,
    holds,
    single_explanations,
)
from gradaudit.measurement.diagnosis.view import View
from gradaudit.records.measurement import NamedFault
from gradaudit.reference.ladder import ToleranceRow

LARGEST = 1 << 21
"""Logits of an evaluation that models are tried on; larger ones are measured like all others."""


def concluded(audited: Sequence[Audited], rows: Sequence[ToleranceRow]) -> tuple[NamedFault, ...]:
    """The faults of one subject at one dtype; empty where nothing is wrong.

    `rows` are the admissible formulations at the declared precision (and weaker ones, which are left alone here).
    What special values show is a matter of policy and neither asks for a fault nor refutes one.
    """
    views = _views(audited)
    settle(views, rows)
    wrong = [view for view in views if not (view.output_right and view.gradient_right)]
    misshapen = partial.shapes(audited)
    if not wrong:
        return misshapen
    beyond_range = ranges.named(wrong)
    finite = [view for view in views if view.finite]
    if beyond_range and all(ranges.explained(view) for view in wrong):
        return (*misshapen, *beyond_range)
    open_to_models = [view for view in finite if not ranges.explained(view)]
    row = _row(rows)
    tiers = _tiers(open_to_models)
    loosest = _loosest(rows)
    budget = Budget()
    for step in STEPS:
        if step.loose and loosest is None:
            continue
        for tier in tiers[step.tiers]:
            evidence = Evidence(
                tier, row, undetached=step.undetached, loosest=loosest if step.loose else None, budget=budget
            )
            found = step.explain(evidence)
            if found:
                left = [
                    view for view in wrong if view not in tier and not _accounts_for(found[0], view, row, loosest)
                ]
                return (*misshapen, *beyond_range, *naming.named_faults(found, evidence, _unexplained(left)))
    low = _low_precision(tiers, wrong, rows)
    if low:
        # A number beyond the largest of a narrow format left its range in the cast.
        beyond_range = ranges.named([view for view in wrong if not lower_precision.cast_overflows(low[0], view)])
    named = low or partial.upstream_layout(views)
    if named:
        return (*misshapen, *beyond_range, *named)
    numeric = [view for view in wrong if view.numeric and not ranges.explained(view)]
    if not numeric:
        return (*misshapen, *beyond_range)
    if any(view.finite and view.moderate for view in numeric):
        # Numbers that no range is left for are wrong too: whatever does that may have led the others astray.
        beyond_range = ()
    return (*misshapen, *beyond_range, *partial.undiagnosed(numeric, Evidence(open_to_models, row, budget=budget)))


def _low_precision(
    tiers: Sequence[Sequence[View]], wrong: Sequence[View], rows: Sequence[ToleranceRow]
) -> tuple[NamedFault, ...]:
    """A cast of the logits; else a precision that explains each evaluation by itself; else one that explains all."""
    for steps in (lower_precision.casts, None, lower_precision.inside):
        if steps is None:
            found = ranges.low_precision(wrong)
            if found and lower_precision.widespread(wrong, rows):
                return found
            continue
        # Whoever computes in less does so on all inputs.
        for tier in tiers[:2]:
            rest = naming.besides(_unexplained([view for view in wrong if view not in tier]))
            named = lower_precision.named(tier, rows, steps, rest)
            if named is not None:
                return (named,)
    return ()


NO_GRADIENT = ("everything detached", "0")
"""Slips under which nothing is differentiated."""


def _one_slip(evidence: Evidence) -> list[Explanation]:
    slips = catalogue(evidence.views[0])
    if not any(view.gradient.any() for view in evidence.views):
        # What is 0 everywhere is not made of rows that are missing.
        slips = [slip for slip in slips if slip.name in NO_GRADIENT] or slips
    return single_explanations(evidence, slips)


def _two_slips(evidence: Evidence) -> list[Explanation]:
    return double_explanations(evidence, catalogue(evidence.views[0]))


WHOLE, PARTS, EVERY = slice(0, 2), slice(2, None), slice(None)
"""Tiers with all evaluations that have a gradient; those with some of them."""


@dataclass(frozen=True, slots=True)
class Step:
    """One way to explain, and the tiers that it is tried on.

    `undetached`: a shift of the logits may have been differentiated. `loose`: the sound part may be a formulation
    that loses digits at a common offset of the logits.
    """

    explain: Callable[[Evidence], list[Explanation]]
    tiers: slice
    undetached: bool = False
    loose: bool = False


STEPS = (
    Step(_one_slip, WHOLE),
    Step(_one_slip, WHOLE, loose=True),
    Step(_one_slip, PARTS),
    Step(fitted, EVERY),
    Step(_one_slip, PARTS, loose=True),
    Step(_two_slips, EVERY),
    Step(_one_slip, EVERY, undetached=True),
    Step(fitted, EVERY, undetached=True),
)
"""What is tried, in order: what explains all evaluations comes before what explains some of them."""


def _tiers(views: Sequence[View]) -> list[list[View]]:
    """All evaluations; then those with an upstream gradient other than 0, the only ones whose gradient has a scale;
    then, where none of the case's own rows is ignored, those without ignored rows, for what a subject makes of such
    rows may be a fault of its own; then those alone whose logits are so near to one another and to 0 that nothing is
    saturated or cancelled, for a fault may bring rounding errors of its own.
    """
    driven = [view for view in views if view.upstream.any()]
    found = [list(views), driven]
    own = [view for view in views if view.inputs.probe is None]
    counted = driven
    if own and not any(view.ignored.any() for view in own):
        counted = [view for view in driven if not view.ignored.any()]
    found.append(counted)
    found.append([view for view in counted if view.moderate])
    distinct = [tier for k, tier in enumerate(found) if tier and all(len(tier) != len(other) for other in found[:k])]
    return [tier for tier in distinct if any(not (view.output_right and view.gradient_right) for view in tier)]


def _accounts_for(found: Explanation, view: View, row: ToleranceRow, loosest: ToleranceRow | None) -> bool:
    """Whether an explanation of other evaluations holds for this one too."""
    if not view.upstream.any() and found.gradient.constant is not None and "u" in found.gradient.constant.symbols:
        return True  # a factor that is divided by the upstream gradient leaves a gradient where 0 is due
    return holds(found, view, row) or (loosest is not None and holds(found, view, row, loosest))


def _unexplained(views: Sequence[View]) -> tuple[str, ...]:
    return tuple(view.name for view in views if not ranges.explained(view))


def _views(audited: Sequence[Audited]) -> list[View]:
    """The evaluations that a fault has to explain."""
    found = []
    for entry in audited:
        if entry.truth is None or entry.measurement is None or entry.inputs.special or entry.inputs.expects_error:
            continue
        if entry.inputs.logits.size > LARGEST:
            continue
        found.append(View(entry.truth, entry.measurement.profile, entry))
    return found


def _row(rows: Sequence[ToleranceRow]) -> ToleranceRow:
    """The row that the reference's own scales are judged by: of the declared precision, without lost digits."""
    sound = [row for row in rows if not row.weaker]
    plain = [row for row in sound if not row.looser]
    return (plain or sound or list(rows))[-1]


def _loosest(rows: Sequence[ToleranceRow]) -> ToleranceRow | None:
    """The last admissible formulation of the declared precision that loses digits at a common offset."""
    found = [row for row in rows if not row.weaker and row.common_offset]
    return found[-1] if found else None
