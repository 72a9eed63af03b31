"""DIV301: finite values that no admissible formulation explains."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.divergence.wrong_elements import is_wrong, largest_ratio, proof, proving
from gradaudit.rules.evaluations import groups, most_telling, named_faults, of_subject, shown_by
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import about_evaluation
from gradaudit.rules.wording import label


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for the evaluations of a backend's setting with unexplained finite elements, naming the worst.

    What a named fault explains is that fault's; a user's own function without one is BUG499.
    """
    for group in groups(measured):
        showing = [each for each in group if is_wrong(each)]
        if not showing or of_subject(measured, group[0].key) or named_faults(measured, group[0].key):
            continue
        measurement = most_telling(showing, largest_ratio)
        message = f"{label(measurement.key)}: {proof(measurement)}{shown_by(showing, group, measurement)}"
        yield about_evaluation(RULE, measured, measurement.key, message, proving(measurement))


RULE = Rule(
    code="DIV301",
    name="beyond-tolerance",
    severity="error",
    summary="A finite value lies outside its tolerance under every admissible formulation, and no known fault fits.",
    why="""
        The exact value of these input floats is enclosed, and the tolerance is the largest rounding error that a
        sound implementation of any admissible formulation can show. What lies outside is therefore not rounding:
        the implementation computes something else.
    """,
    formula="""
        fires where not |returned - exact| <= tolerance for some finite element, under every row that was tried;
        the rows are the formulations of docs/numerics.md charged with the subject's own unit roundoff, exp and
        log quality and summation order, and one row must explain all elements
    """,
    source="docs/numerics.md, sections 2 (bounds), 8b and 8c (admissible formulations)",
    fires=None,
    silent="""
        version: 1
        name: the fused cross entropy
        function: cross_entropy
        logits: [[1.0, 2.0, 4.0], [0.5, -3.0, 2.0]]
        targets: [0, 2]
        backends: [numpy]
    """,
    fires_note=(
        "No backend's own function is known to do this: it takes an implementation that is wrong. The tests plant "
        "an error of three times the tolerance in one element of a sound one."
    ),
    advice=(
        "Start from the element in the message: compare its row of logits, its label and its upstream gradient with "
        "what the formula of the function gives, then shrink the case to that row."
    ),
    check=check,
)
