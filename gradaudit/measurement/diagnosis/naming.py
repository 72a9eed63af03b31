"""Explanations -> named faults: what was found, with its numbers, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradaudit.measurement.diagnosis.constants import ONE, Constant, Search, fraction_text
from gradaudit.measurement.diagnosis.meanings import Factor, meaning_of
from gradaudit.measurement.diagnosis.models.second_terms import COEFFICIENTS
from gradaudit.measurement.diagnosis.models.variation import Variation
from gradaudit.measurement.diagnosis.readings import Evidence, Reading
from gradaudit.measurement.diagnosis.search import Explanation
from gradaudit.measurement.diagnosis.view import View
from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.measurement import NamedFault

Numbers = tuple[tuple[str, float | int | str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """One fault of an explanation. `probe` is the name of a probe on which its constants differ from others'; `view`
    is the evaluation that shows it, where that is not the one that shows the others."""

    fault: str
    statement: str
    advice: str
    evidence: Numbers
    probe: str
    view: View | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The evaluation that shows a fault: its place among all of them, and the constants' values there."""

    search: Search
    position: int
    view: View

    def telling(self, constant: Constant) -> Shown:
        """This evaluation, or another one where a constant is 1 in this."""
        if self.value(constant) != 1.0:
            return self
        others = (Shown(self.search, place, view) for place, view in enumerate(self.search.views))
        return next((each for each in others if each.value(constant) != 1.0), self)

    def ignoring(self) -> Shown:
        """This evaluation, or another one where rows are ignored if none is in this."""
        if self.view.ignored.any():
            return self
        others = (Shown(self.search, place, view) for place, view in enumerate(self.search.views))
        return next((each for each in others if each.view.ignored.any()), self)

    def value(self, constant: Constant) -> float:
        """What a constant is in this evaluation."""
        return self.search.value(constant, self.position)


def named_faults(
    found: Sequence[Explanation], evidence: Evidence, unexplained: tuple[str, ...] = ()
) -> list[NamedFault]:
    """The faults of the simplest explanation; the others', where they differ, are alternatives of each.

    `unexplained` are evaluations that the explanation leaves out, by name: every statement says so.
    """
    shown = _shown(evidence)
    first = components(found[0], shown)
    known = {each.fault for each in first}
    others: list[tuple[str, str]] = []
    for other in found[1:]:
        parts = components(other, shown)
        if {each.fault for each in parts} != known:
            others.append(("; ".join(each.statement for each in parts), parts[0].probe))
    more = besides(unexplained)
    return [
        NamedFault(
            each.fault,
            key_of(each.view or shown.view),
            each.statement + more,
            each.advice,
            each.evidence,
            tuple(others[:3]),
        )
        for each in first
    ]


def besides(unexplained: Sequence[str]) -> str:
    """What a statement says of evaluations that its fault does not explain, by name."""
    return f" (what is returned for {', '.join(unexplained[:4])} is wrong beyond that)" if unexplained else ""


def key_of(view: View) -> EvaluationKey:
    """The evaluation of a view."""
    assert view.audited is not None
    return view.audited.evaluation.key


def _shown(evidence: Evidence) -> Shown:
    """The evaluation that shows a fault best: a wrong one, of the case's own inputs where there is one."""
    wrong = [i for i, view in enumerate(evidence.views) if not (view.output_right and view.gradient_right)]
    own = [i for i in wrong if evidence.views[i].inputs.probe is None]
    ignoring = [i for i in wrong if evidence.views[i].ignored.any()]
    position = (own or ignoring or wrong or [0])[0]
    return Shown(evidence.search, position, evidence.views[position])


def components(found: Explanation, shown: Shown) -> list[Named]:
    """The faults that an explanation is made of, each with its own words."""
    result: list[Named] = []
    view, scope = shown.view, _scope(found)
    named: set[str] = set()
    for reading in (found.gradient, found.loss):
        for variation in reading.recipe:
            if variation.name not in named:
                named.add(variation.name)
                fault, statement, advice = _detached(found, variation) or (
                    variation.fault,
                    _in_its_place(found, variation),
                    variation.advice,
                )
                result.append(Named(fault, statement, advice, _numbers(view), "ordinary"))
        pattern = reading.pattern
        if pattern is not None and pattern.name not in named:
            named.add(pattern.name)
            fault, statement = pattern.fault, pattern.statement
            if averages(reading):
                assert reading.constant is not None
                fault, statement = "mean-of-means", f"{statement}, times {reading.constant.text}"
            result.append(Named(fault, f"{scope}: {statement}", pattern.advice, _numbers(view), "micro-batches"))
    if found.gradient.leak is not None:
        result.append(_leak(found, shown))
    result += _factors(found, shown)
    return result


def _detached(found: Explanation, variation: Variation) -> tuple[str, str, str] | None:
    """A term whose coefficient is 0 in the gradient alone, beside a loss that is right: it is cut off."""
    key, _, change = variation.name.rpartition(" ")
    if not (found.loss.right and variation.stage == "parameters" and change == "dropped" and key in COEFFICIENTS):
        return None
    statement = f"in the gradient (the loss is right) only: the term of {key} is cut off from the graph"
    return (
        "detached-path",
        statement,
        "let the derivative reach that term: remove the detach, no_grad, item or NumPy call",
    )


def averages(reading: Reading) -> bool:
    """Whether means of blocks are added up and divided by a number that is not that of the blocks everywhere."""
    return (
        reading.pattern is not None
        and reading.pattern.name.startswith("sum of means")
        and reading.constant is not None
        and reading.constant.symbols <= {"2", "K"}
        and reading.constant.text.startswith("1/")
    )


def _scope(found: Explanation) -> str:
    if found.loss.right:
        return "backward only (the loss is right)"
    if found.gradient.right:
        return "forward only (the gradient is right)"
    return "forward and backward"


OF_THE_GRADIENT = ", and the gradient"
"""Where the statement of a slip begins to speak of the gradient that it would have."""


def _in_its_place(found: Explanation, variation: Variation) -> str:
    """What a slip says, of the part that has it: a right gradient is not told what it would be."""
    where = _where(found, variation.name)
    if where.startswith("in the loss"):
        return f"{where}{variation.statement.partition(OF_THE_GRADIENT)[0]}"
    return f"{where}{variation.statement}"


def _where(found: Explanation, name: str) -> str:
    in_loss = any(variation.name == name for variation in found.loss.recipe)
    in_gradient = any(variation.name == name for variation in found.gradient.recipe)
    if in_loss and in_gradient:
        return ""
    if in_gradient:
        return "in the gradient " + ("(the loss is right) " if found.loss.right else "") + "only: "
    return "in the loss " + ("(the gradient is right) " if found.gradient.right else "") + "only: "


def _numbers(view: View) -> Numbers:
    return (
        ("rows", view.rows),
        ("rows_that_count", int(view.counted.sum())),
        ("classes", view.truth.layout.active_classes),
    )


def _leak(found: Explanation, shown: Shown) -> Named:
    shown = shown.ignoring()
    reading, view = found.gradient, shown.view
    assert reading.leak is not None
    constant = reading.leak_constant or ONE
    value = shown.value(constant)
    times = "" if constant == ONE else f" x {fraction_text(value)} = {constant.text}"
    ignored = int(view.ignored.sum())
    loss = "the loss is right" if found.loss.right else "they are part of the loss too"
    return Named(
        "ignored-rows-leak",
        f"the {ignored} ignored rows have a gradient of {reading.leak.statement}{times}, over the mean's "
        f"denominator; {loss}",
        "multiply the losses, or the gradient, of ignored rows by 0 after everything else",
        (*_numbers(view), ("ignored_rows", ignored), ("factor", value)),
        "ignored-rows",
        view,
    )


def _factors(found: Explanation, shown: Shown) -> list[Named]:
    """What the constants of loss and gradient say, once where they agree."""
    gradient, loss = found.gradient, found.loss
    if gradient.constant == loss.constant and gradient.number == loss.number and not gradient.right:
        return _factor(gradient, "loss and gradient", found, shown)
    return [*_factor(gradient, "gradient", found, shown), *_factor(loss, "loss", found, shown)]


def _factor(reading: Reading, subject: str, found: Explanation, shown: Shown) -> list[Named]:
    base = "what that gives" if reading.recipe or reading.pattern is not None else "reference"
    text = f"{subject} = {base}"
    if reading.constant is None:
        number = reading.number if reading.number is not None else float("nan")
        return [
            Named(
                "reduction-factor",
                f"{text} x {fraction_text(number)} in every evaluation, a number that is none of the quantities of "
                "the inputs",
                "look for a constant factor in the loss or its backward",
                (("factor", number), *_numbers(shown.view)),
                "ordinary",
            )
        ]
    if reading.constant == ONE or averages(reading):
        return []
    rest = ""
    if subject == "gradient" and found.loss.right:
        rest = " (the loss is right)"
    if subject == "loss" and found.gradient.right:
        rest = " (the gradient is right)"
    if reading.constant.parts:
        whole = fraction_text(shown.value(reading.constant))
        rest = f" (of {whole} = {reading.constant.text} in all){rest}"
    return [_named(part, text, rest, found, shown) for part in reading.constant.factors]


def _named(constant: Constant, text: str, rest: str, found: Explanation, shown: Shown) -> Named:
    telling = shown.telling(constant)
    if telling is not shown:
        rest = f" on {telling.view.name}{rest}"
    shown = telling
    value = shown.value(constant)
    meaning = meaning_of(Factor(constant, found.loss.right, shown.view))
    number = fraction_text(value)
    name = "" if number.split(" ")[0] == constant.text or number.endswith(constant.text) else f" = {constant.text}"
    return Named(
        meaning.fault,
        f"{text} x {number}{name}{rest}: {meaning.statement}",
        meaning.advice,
        (("factor", value), ("constant", constant.text), *_numbers(shown.view)),
        meaning.probe,
    )
