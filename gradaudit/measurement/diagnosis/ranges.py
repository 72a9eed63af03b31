"""What leaves the range of the format or loses its precision: named evaluation by evaluation, by the measurement."""

from __future__ import annotations

from collections.abc import Sequence

from gradaudit.measurement.diagnosis.naming import key_of
from gradaudit.measurement.diagnosis.view import View
from gradaudit.records.measurement import Diagnosis, NamedFault

STATEMENTS = {
    "unfused-logarithm": (
        "the logarithm is taken of a softmax that has underflowed: 1/p or log p is infinite, and 0 x inf a NaN",
        "take log_softmax at once, z - max z - log(sum), instead of log(softmax)",
    ),
    "missing-max-shift": (
        "exp(x) leaves the range of the dtype because the row's largest logit is not subtracted first",
        "subtract the largest logit of each row (not of the batch) before exp",
    ),
}


def explained(view: View) -> bool:
    """Whether a value out of range accounts for everything that is wrong."""
    return bool(_diagnoses(view))


def _diagnoses(view: View) -> tuple[Diagnosis, ...]:
    measurement = None if view.audited is None else view.audited.measurement
    return () if measurement is None else measurement.diagnoses


def _far_fetched(diagnosis: Diagnosis, view: View, wrong: Sequence[View]) -> bool:
    """A choice among several values, beside what explains as much without one, or for a single evaluation's sake."""
    others = any(other.fault != diagnosis.fault for other in _diagnoses(view))
    return diagnosis.chosen and (others or sum(explained(each) for each in wrong) < 2)


def named(wrong: Sequence[View]) -> tuple[NamedFault, ...]:
    """A fault for every word that the measurements found, at the first evaluation that shows it.

    Where one fault explains all of what left the range, it alone is named: several may explain one evaluation.
    """
    found: dict[str, NamedFault] = {}
    words = [{diagnosis.fault for diagnosis in _diagnoses(view)} for view in wrong if explained(view)]
    common = set.intersection(*words) if words else set()
    for view in wrong:
        for diagnosis in _diagnoses(view):
            if len(common) == 1 and diagnosis.fault not in common:
                continue
            if (len(common) != 1 or len(words) == 1) and _far_fetched(diagnosis, view, wrong):
                continue
            statement, advice = STATEMENTS[diagnosis.fault]
            found.setdefault(
                diagnosis.fault, NamedFault(diagnosis.fault, key_of(view), statement, advice, diagnosis.evidence)
            )
    return tuple(found.values())


def low_precision(wrong: Sequence[View]) -> tuple[NamedFault, ...]:
    """The weakest precision that the evaluations need, where a weaker one explains each of them."""
    needed = []
    for view in wrong:
        measurement = None if view.audited is None else view.audited.measurement
        if measurement is None:
            return ()
        if measurement.diagnoses:
            continue
        if not (measurement.explanation.explains and measurement.explanation.weaker):
            return ()
        needed.append((measurement.explanation, view))
    if not needed:
        return ()
    explanation, view = needed[-1]
    return (
        NamedFault(
            "low-precision-inside",
            key_of(view),
            f"every error is within the tolerance of {explanation.precision} ({explanation.formulation}), and "
            f"beyond that of the declared precision",
            "keep sums, row statistics and what passes between steps in float32 or wider, and round once at the end",
            (
                ("precision", explanation.precision),
                ("formulation", explanation.formulation),
                ("evaluations", len(needed)),
            ),
        ),
    )
