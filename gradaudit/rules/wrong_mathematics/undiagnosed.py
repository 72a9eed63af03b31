"""BUG499: wrong values of a user's function that no known fault explains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase, Measurement
from gradaudit.rules.divergence.wrong_elements import is_wrong, largest_ratio, proof, proving
from gradaudit.rules.evaluations import (
    is_of_further_derivative,
    most_telling,
    named_faults,
    of_subject,
    shown_by,
    undiagnosed,
)
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import about_evaluation, quantities
from gradaudit.rules.wording import in_full, label
from gradaudit.rules.wrong_mathematics.diagnosed import named


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each subject and dtype with unexplained finite values, shown by its worst evaluation."""
    settings: dict[tuple[str, str, str], list[Measurement]] = {}
    for measurement in measured.measurements:
        key = measurement.key
        if of_subject(measured, key) and not named_faults(measured, key):
            settings.setdefault((key.subject, key.backend, key.dtype), []).append(measurement)
    spoken_of = set()
    for setting, group in settings.items():
        showing = [each for each in group if is_wrong(each)]
        if not showing:
            continue
        spoken_of.add(setting)
        measurement = most_telling(showing, largest_ratio)
        diagnosis = undiagnosed(measured, measurement.key)
        tried = f"; {in_full(diagnosis.statement)}" if diagnosis is not None else ""
        message = f"{label(measurement.key)}: {proof(measurement)}{tried}{shown_by(showing, group, measurement)}"
        yield about_evaluation(RULE, measured, measurement.key, message, proving(measurement))
    further = tuple(fault for fault in measured.faults if is_of_further_derivative(fault))
    first = tuple(fault for fault in measured.faults if fault not in further)
    yield from named(RULE, replace(measured, faults=further))
    for finding in named(RULE, replace(measured, faults=first)):
        setting = (str(finding.subject), str(finding.backend), str(finding.dtype))
        if setting not in spoken_of and not any(map(_is_spoken_of_elsewhere, settings.get(setting, ()))):
            yield finding


def _is_spoken_of_elsewhere(measurement: Measurement) -> bool:
    """Values that are not finite are DIV303's to tell, special ones DIV305's."""
    return any(quantity.non_finite or quantity.special_mismatch for quantity in quantities(measurement))


RULE = Rule(
    code="BUG499",
    name="undiagnosed",
    severity="error",
    summary=(
        "Values of a user's function lie outside every admissible formulation, and no known fault explains all of "
        "them; or its first derivative is right and a second one, or that of the targets, is not."
    ),
    why="""
        The values are wrong: the exact ones are enclosed, and no admissible order of operations rounds so far.
        What is wrong could not be named, because no fault of the catalogue, alone or in pairs, accounts for
        every element of every input within its tolerance. A name that fits most of them would be a guess.
    """,
    formula="""
        fires where not |returned - exact| <= tolerance for some finite element, under every admissible row,
        and no hypothesis (scales, row fits, other axes and labels, detached terms, clamps, ...) explains all elements
        of all inputs and probes within the tolerance of the faulty formula;
        with derivatives: 2 also where the second derivative along a direction, or the one by soft targets, is beyond
        its tolerance under every admissible way to a second backward, though the first derivative is right.
        One factor that makes all of it is named: 2, the sign, what the mean divides by, the temperature, the
        upstream gradient
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics" and "Second order"',
    fires="""
        version: 1
        name: a term that is no part of a cross entropy
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Start from the element in the message: compare its row of logits, its label and its upstream gradient "
        "with what the formula gives; then check that the spec's function, with all its parameters, is what the "
        "code is meant to compute."
    ),
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets) + 0.01 * torch.sin(logits).sum()
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets)
    """,
)
