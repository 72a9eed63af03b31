"""DIV306: a framework computes a formulation rightly in one execution and wrongly in another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase, Measurement
from gradaudit.rules.divergence.wrong_elements import is_wrong, proof
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_evaluation, quantities
from gradaudit.rules.wording import setting
from gradaudit.rules.wrong_mathematics.diagnosed import broken

Setting = tuple[str, str, str, float, str | None]


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each backend's formulation, dtype, scale and probe at which the executions part.

    And one for each subject that answers otherwise when it is traced or compiled: an error, for no other finding
    speaks of those values, while a backend's wrong execution is an evaluation with findings of its own.
    """
    for finding in broken(RULE, measured):
        yield replace(finding, severity="error")
    groups: dict[Setting, list[Measurement]] = {}
    for measurement in measured.measurements:
        key = measurement.key
        who = key.subject.removesuffix(f", {key.execution}")
        groups.setdefault((who, key.formulation, key.dtype, key.scale, key.probe), []).append(measurement)
    for (who, formulation, dtype, scale, probe), group in groups.items():
        wrong = [each for each in group if _is_wrong(each)]
        right = [each for each in group if not _is_wrong(each)]
        if not wrong or not right or len({each.key.execution for each in group}) == 1:
            continue
        shown = wrong[0]
        sound, faulty = ([each.key.execution for each in part] for part in (right, wrong))
        message = (
            f"{who} {formulation} in {setting(dtype, scale, probe)}: right in {' and '.join(sound)} execution, "
            f"wrong in {' and '.join(faulty)}: {_what(shown)}"
        )
        evidence: Evidence = {"right": ", ".join(sound), "wrong": ", ".join(faulty)}
        yield about_evaluation(RULE, measured, shown.key, message, evidence)


def _is_wrong(measurement: Measurement) -> bool:
    """Whether no row explains the values, or some are not finite where finite ones are due."""
    return not measurement.explanation.explains or any(each.non_finite for each in quantities(measurement))


def _what(measurement: Measurement) -> str:
    if is_wrong(measurement):
        return proof(measurement)
    return "values that are not finite where finite ones are due"


RULE = Rule(
    code="DIV306",
    name="execution-changes-result",
    severity="warning",
    summary="The same code is right in one execution of its framework (eager, graph, compiled) and wrong in another.",
    why="""
        Compilers and tracers rewrite what they are given. tf.function lets Keras find the logits behind a softmax,
        which eager code has lost by then: the same two lines have a gradient in one execution and none in the other.
        A model that is debugged eagerly and trained compiled is then two models.
    """,
    formula="""
        fires where, for one backend, formulation, dtype, scale and probe, some admissible row explains every element
        of one execution and none explains those of another (there the wrong execution is an error besides); of a
        subject, as an error, where the results of two executions differ by more than two tolerances and no admissible
        row of the same precision explains the other one
    """,
    source="docs/numerics.md, sections 2 (bounds), 8b and 8c (admissible formulations)",
    fires=None,
    silent="""
        version: 1
        name: numpy has one execution
        function: cross_entropy
        logits: [[1.0, 2.0, 4.0], [0.5, -3.0, 2.0]]
        targets: [0, 2]
        execution: [eager, compiled]
        backends: [numpy]
    """,
    fires_note=(
        "It takes a framework with several executions, such as Keras's from_logits=False after a softmax on "
        "TensorFlow. The tests provoke it with a backend that is wrong when compiled."
    ),
    advice=(
        "Hand the logits to a loss that takes logits, which is right in every execution; then no tracer has to guess "
        "where they came from."
    ),
    check=check,
)
