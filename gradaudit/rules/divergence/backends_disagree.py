"""DIV302: backends return different special values where more than one is admissible."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase, Measurement
from gradaudit.rules.evaluations import of_subject
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_setting, quantities
from gradaudit.rules.wording import one_line, plural, setting

Setting = tuple[str, str, float, str | None]
Position = tuple[str, tuple[int, ...]]


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each formulation, dtype, scale and probe at which the special values differ."""
    groups: dict[Setting, list[Measurement]] = {}
    for measurement in measured.measurements:
        key = measurement.key
        if of_subject(measured, key):
            continue
        groups.setdefault((key.formulation, key.dtype, key.scale, key.probe), []).append(measurement)
    for (formulation, dtype, scale, probe), measurements in groups.items():
        apart = {at: answers for at, answers in _answers(measurements).items() if len(answers) > 1}
        if not apart:
            continue
        (quantity, index), answers = next(iter(apart.items()))
        where = f"{quantity}{list(index) if index else ''}"
        who = ", ".join(f"{answer} from {' and '.join(names)}" for answer, names in answers.items())
        message = (
            f"{formulation} in {setting(dtype, scale, probe)}: {where} is {who}; each is admissible; "
            f"answered differently: {len(apart):,} {plural('element', len(apart))}"
        )
        evidence: Evidence = {"quantity": quantity, "index": str(list(index)), "answers": who, "elements": len(apart)}
        # What only a probe of special values shows is a matter of policy.
        severity = "warning" if all(each.special_probe for each in measurements) else RULE.severity
        yield about_setting(
            RULE,
            measured,
            message,
            evidence,
            dtype=dtype,
            scale=scale,
            formulation=formulation,
            probe=probe,
            severity=severity,
        )


def _answers(measurements: list[Measurement]) -> dict[Position, dict[str, list[str]]]:
    """Element -> class of the answer -> who gave it, in the order of the evaluations."""
    answers: dict[Position, dict[str, list[str]]] = {}
    for measurement in measurements:
        for quantity in quantities(measurement):
            for index, answer in quantity.special_classes:
                names = answers.setdefault((quantity.name, index), {}).setdefault(answer, [])
                names.append(one_line(measurement.key.subject))
    return answers


RULE = Rule(
    code="DIV302",
    name="backends-disagree",
    severity="error",
    summary="Backends return different special values where the mathematics leaves more than one answer open.",
    why="""
        Where an exact value exists, backends are held against it and not against one another. Where none does
        (0/0 of a mean over no rows, infinity minus infinity) each may be within its rights, and a model that is
        moved from one to the other still changes its behaviour: NaN in one place, 0 in the other.
    """,
    formula="""
        fires where, for one formulation, dtype, scale and probe, the classes of the returned values
        (nan, inf, -inf, zero, finite) differ at an element whose policy admits several of them
    """,
    source="docs/numerics.md, policy for special values",
    fires=None,
    silent="""
        version: 1
        name: finite logits leave nothing open
        function: softmax
        logits: [0.1, 2.0]
        upstream: per_output
        backends: [numpy, onnxruntime]
    """,
    fires_note=(
        "It takes two backends with different policies for the same special value. The tests provoke it with a "
        "backend that returns 0 where another returns NaN."
    ),
    advice=(
        "Decide which answer your training needs and guard that input before it reaches the function: skip batches "
        "without valid rows, replace infinite logits by a mask."
    ),
    check=check,
)
