"""Explanations -> named faults: what was found, with its numbers, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradaudit.measurement.diagnosis.constants import MEANINGS, ONE, Constant, Search, fraction_text
from gradaudit.measurement.diagnosis.readings import Evidence, Reading
from gradaudit.measurement.diagnosis.search import Explanation
from gradaudit.measurement.diagnosis.view import View
from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.measurement import NamedFault

Numbers = tuple[tuple[str, float | int | str], ...]


@dataclass(frozen=True, slots=True)
class Named:
    """One fault of an explanation. `probe` is the name of a probe on which its constants differ from others'."""

    fault: str
    statement: str
    advice: str
    evidence: Numbers
    probe: str


def named_faults(
    found: Sequence[Explanation], evidence: Evidence, unexplained: tuple[str, ...] = ()
) -> list[NamedFault]:
    """The faults of the simplest explanation; the others', where they differ, are alternatives of each.

    `unexplained` are evaluations that the explanation leaves out, by name: every statement says so.
    """
    position, view = _shown(evidence)
    first = components(found[0], evidence.search, position, view)
    known = {each.fault for each in first}
    others: list[tuple[str, str]] = []
    for other in found[1:]:
        parts = components(other, evidence.search, position, view)
        if {each.fault for each in parts} != known:
            others.append(("; ".join(each.statement for each in parts), parts[0].probe))
    key = key_of(view)
    besides = ""
    if unexplained:
        besides = f" (what is returned for {', '.join(unexplained[:4])} is wrong beyond that)"
    return [
        NamedFault(each.fault, key, each.statement + besides, each.advice, each.evidence, tuple(others[:3]))
        for each in first
    ]


def key_of(view: View) -> EvaluationKey:
    """The evaluation of a view."""
    assert view.audited is not None
    return view.audited.evaluation.key


def _shown(evidence: Evidence) -> tuple[int, View]:
    """The evaluation that shows a fault best: a wrong one, of the case's own inputs where there is one."""
    wrong = [i for i, view in enumerate(evidence.views) if not (view.output_right and view.gradient_right)]
    own = [i for i in wrong if evidence.views[i].inputs.probe is None]
    ignoring = [i for i in wrong if evidence.views[i].ignored.any()]
    position = (own or ignoring or wrong or [0])[0]
    return position, evidence.views[position]


def components(found: Explanation, search: Search, position: int, view: View) -> list[Named]:
    """The faults that an explanation is made of, each with its own words."""
    result: list[Named] = []
    scope = _scope(found)
    named: set[str] = set()
    for reading in (found.gradient, found.loss):
        for variation in reading.recipe:
            if variation.name not in named:
                named.add(variation.name)
                where = _where(found, variation.name)
                result.append(
                    Named(
                        variation.fault, f"{where}{variation.statement}", variation.advice, _numbers(view), "ordinary"
                    )
                )
        pattern = reading.pattern
        if pattern is not None and pattern.name not in named:
            named.add(pattern.name)
            fault, statement = pattern.fault, pattern.statement
            if averages(reading):
                assert reading.constant is not None
                fault, statement = "mean-of-means", f"{statement}, times {reading.constant.text}"
            result.append(Named(fault, f"{scope}: {statement}", pattern.advice, _numbers(view), "micro-batches"))
    if found.gradient.leak is not None:
        result.append(_leak(found, search, position, view))
    result += _factors(found, search, position, view)
    return result


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


def _leak(found: Explanation, search: Search, position: int, view: View) -> Named:
    reading = found.gradient
    assert reading.leak is not None
    constant = reading.leak_constant or ONE
    value = search.value(constant, position)
    times = "" if constant == ONE else f" x {fraction_text(value)} = {constant.text}"
    ignored = int(view.ignored.sum())
    loss = "the loss is right" if found.loss.right else "they are part of the loss too"
    return Named(
        "ignored-rows-leak",
        f"the {ignored} ignored rows have a gradient of {reading.leak.statement}{times}, over the mean's denominator; "
        f"{loss}",
        "multiply the losses, or the gradient, of ignored rows by 0 after everything else",
        (*_numbers(view), ("ignored_rows", ignored), ("factor", value)),
        "ignored-rows",
    )


def _factors(found: Explanation, search: Search, position: int, view: View) -> list[Named]:
    """What the constants of loss and gradient say, once where they agree."""
    gradient, loss = found.gradient, found.loss
    result = []
    if gradient.constant == loss.constant and gradient.number == loss.number and not gradient.right:
        subject = "loss and gradient"
        result += _factor(gradient, subject, found, search, position, view)
    else:
        result += _factor(gradient, "gradient", found, search, position, view)
        result += _factor(loss, "loss", found, search, position, view)
    return result


def _factor(
    reading: Reading, subject: str, found: Explanation, search: Search, position: int, view: View
) -> list[Named]:
    base = "what that gives" if reading.recipe or reading.pattern is not None else "reference"
    if reading.constant is None:
        number = reading.number if reading.number is not None else float("nan")
        return [
            Named(
                "reduction-factor",
                f"{subject} = {base} x {fraction_text(number)} in every evaluation, a number that is none of the "
                "quantities of the inputs",
                "look for a constant factor in the loss or its backward",
                (("factor", number), *_numbers(view)),
                "ordinary",
            )
        ]
    if reading.constant == ONE or averages(reading):
        return []
    return [_named(part, reading, subject, base, found, search, position, view) for part in reading.constant.factors]


def _named(
    constant: Constant,
    reading: Reading,
    subject: str,
    base: str,
    found: Explanation,
    search: Search,
    position: int,
    view: View,
) -> Named:
    assert reading.constant is not None
    value = search.value(constant, position)
    fault, meaning, advice, probe = meaning_of(constant, reading, found, view)
    rest = ""
    if subject == "gradient" and found.loss.right:
        rest = " (the loss is right)"
    if subject == "loss" and found.gradient.right:
        rest = " (the gradient is right)"
    shown = fraction_text(value)
    text = "" if shown.split(" ")[0] == constant.text or shown.endswith(constant.text) else f" = {constant.text}"
    if reading.constant.parts:
        whole = search.value(reading.constant, position)
        rest = f" (of {fraction_text(whole)} = {reading.constant.text} in all){rest}"
    return Named(
        fault,
        f"{subject} = {base} x {shown}{text}{rest}: {meaning}",
        advice,
        (("factor", value), ("constant", constant.text), *_numbers(view)),
        probe,
    )


def meaning_of(constant: Constant, reading: Reading, found: Explanation, view: View) -> tuple[str, str, str, str]:
    """The fault that a factor stands for, what it says, what to do, and the probe on which it differs from others."""
    used, text = constant.symbols, constant.text
    ignored = view.parameters.get("ignore_index", -100)
    valid = f"divide by the number of rows whose target is not {ignored}"
    spoken = ", ".join(f"{name} is {MEANINGS[name]}" for name in MEANINGS if name in used)
    backward = found.loss.right
    if used & {"C", "C-1", "C+1", "n"} and not used & {"eps", "1-eps"}:
        if text in ("1/C", "1/n"):
            return (
                "mean-over-classes",
                "the mean runs over the classes too",
                "sum over the classes, then mean over the rows",
                "length-3",
            )
        return "mean-over-classes", spoken, "sum over the classes; let the reduction divide by rows only", "length-3"
    if used & {"V", "I"} and used & {"N", "N-1", "N+1"}:
        if text == "V/N":
            count = int(view.ignored.sum())
            return "mean-denominator", f"the mean also counts the {count} ignored rows", valid, "ignored-rows"
        return "mean-denominator", spoken, valid, "ignored-rows"
    if used & {"W", "w_sum", "w_first"}:
        advice = "divide the weighted sum by the sum of the weights of the labels that count"
        if text in ("W/N", "W/V"):
            what = f"the weighted mean is divided by the number of rows, {view.rows}, not by the sum of their weights"
            return "mean-denominator", what, advice, "ordinary"
        if text in ("W",):
            return "reduction-factor", "the sum of the weights is not divided by", advice, "ordinary"
        return ("mean-denominator" if view.reduction == "mean" else "class-weights"), spoken, advice, "ordinary"
    if any(name.startswith("u") for name in used):
        return (
            "upstream-gradient",
            f"the gradient does not follow the upstream gradient ({spoken})",
            "multiply the gradient by the upstream gradient that backward is given, once",
            "negative",
        )
    if used & {"T", "s", "cap", "ln 2", "ln 10"}:
        where = "the chain rule through the transform of the logits lacks a factor" if backward else spoken
        return (
            "logit-transform-factor",
            f"{where} ({spoken})" if backward else spoken,
            "multiply the gradient by logit_scale / temperature, the slope of the transform, exactly once",
            "ordinary",
        )
    if used & {"eps", "1-eps", "1+eps"}:
        return (
            "smoothing-convention",
            spoken,
            "weigh the label by 1 - eps and the uniform part by eps, once",
            "ordinary",
        )
    if used & {"gamma", "alpha"}:
        return "reduction-factor", spoken, "look for the parameter as a stray factor", "ordinary"
    if "-" in used and not used - {"-"}:
        return "sign-flipped", "the sign is flipped", "negate it", "ordinary"
    if used & {"N-1", "N+1", "V-1"}:
        return "mean-denominator", f"the mean divides by another number of rows ({spoken})", valid, "two-rows"
    if used & {"N", "V"}:
        back = " in backward" if backward else ""
        if text in ("N", "V"):
            return (
                "reduction-factor",
                f"the mean's division by the number of rows is missing{back}",
                "divide by it once",
                "two-rows",
            )
        if text in ("1/N", "1/V"):
            return (
                "reduction-factor",
                f"a division by the number of rows too many{back}",
                "divide by the number of rows once, for the mean, and not for the sum",
                "two-rows",
            )
        return "reduction-factor", spoken, "divide by the number of rows once", "two-rows"
    return (
        "reduction-factor",
        "a constant factor, such as a number of chunks, devices or accumulation steps that is not divided by, or twice",
        "let the factors of all chunks multiply to 1",
        "micro-batches",
    )
