"""What a factor means: the fault that a quantity stands for when it multiplies a loss or gradient by mistake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gradaudit.measurement.diagnosis.constants import MEANINGS, Constant
from gradaudit.measurement.diagnosis.view import View


@dataclass(frozen=True, slots=True)
class Meaning:
    """`probe` is the name of a standard probe on which the factor differs from others."""

    fault: str
    statement: str
    advice: str
    probe: str


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """A factor where it was found; `backward` tells that the loss is right."""

    constant: Constant
    backward: bool
    view: View

    @property
    def used(self) -> frozenset[str]:
        """The quantities it is made of."""
        return self.constant.symbols

    @property
    def spoken(self) -> str:
        """What they stand for, in words."""
        return ", ".join(f"{name} is {MEANINGS[name]}" for name in MEANINGS if name in self.used)

    @property
    def by_rows(self) -> str:
        """The advice to divide by the rows that count."""
        ignored = self.view.parameters.get("ignore_index", -100)
        return f"divide by the number of rows whose target is not {ignored}"


def meaning_of(factor: Factor) -> Meaning:
    """The first meaning that fits."""
    for meaning in _IN_ORDER:
        found = meaning(factor)
        if found is not None:
            return found
    return Meaning(
        "reduction-factor",
        "a constant factor, such as a number of chunks, devices or accumulation steps that is divided by too seldom "
        "or too often",
        "let the factors of all chunks multiply to 1",
        "micro-batches",
    )


def _sum_of_weights(factor: Factor) -> Meaning | None:
    if "w_sum" not in factor.used or not factor.used <= {"w_sum", "C", "n"}:
        return None
    what = "the class weights are normalised"
    if factor.constant.text in {"C/w_sum", "n/w_sum"}:
        what = "the class weights are normalised to have a mean of 1"
    elif factor.constant.text == "1/w_sum":
        what = "the class weights are normalised to add up to 1"
    advice = "use the class weights as they are; a weighted mean divides by the weights of the labels that count"
    return Meaning("class-weights", f"{what} ({factor.spoken})", advice, "ordinary")


def _first_axis(factor: Factor) -> Meaning | None:
    if "D" not in factor.used or not factor.used & {"V", "N"}:
        return None
    where = "the size of the first axis, not by the number of rows that count"
    return Meaning("mean-denominator", f"the mean divides by {where} ({factor.spoken})", factor.by_rows, "ordinary")


def _classes(factor: Factor) -> Meaning | None:
    if not factor.used & {"C", "C-1", "C+1", "n"} or factor.used & {"eps", "1-eps"}:
        return None
    what = "the mean runs over the classes too" if factor.constant.text in {"1/C", "1/n"} else factor.spoken
    return Meaning(
        "mean-over-classes", what, "sum over the classes, and take the mean over the rows alone", "length-3"
    )


def _ignored(factor: Factor) -> Meaning | None:
    if not (factor.used & {"V", "I"} and factor.used & {"N", "N-1", "N+1"}):
        return None
    what = factor.spoken
    if factor.constant.text == "V/N":
        what = f"the mean also counts the {int(factor.view.ignored.sum())} ignored rows"
    return Meaning("mean-denominator", what, factor.by_rows, "ignored-rows")


def _weights(factor: Factor) -> Meaning | None:
    if not factor.used & {"W", "W+", "w_sum", "w_first"}:
        return None
    advice = "divide the weighted sum by the sum of the weights of the labels that count"
    if factor.constant.text in {"W/N", "W/V"}:
        what = (
            f"the weighted mean is divided by the number of rows, {factor.view.rows}, not by the sum of their weights"
        )
        return Meaning("mean-denominator", what, advice, "ordinary")
    if factor.constant.text == "W/(W+)":
        what = "the weighted mean divides by the weights of all rows, the ignored ones counted as class 0"
        return Meaning("mean-denominator", what, advice, "ignored-rows")
    if factor.constant.text == "W":
        return Meaning("reduction-factor", "the sum of the weights is not divided by", advice, "ordinary")
    fault = "mean-denominator" if factor.view.reduction == "mean" else "class-weights"
    return Meaning(fault, factor.spoken, advice, "ordinary")


def _alphas(factor: Factor) -> Meaning | None:
    if "A" not in factor.used:
        return None
    what = "the mean is divided by the sum of the alphas of the labels, not by the number of rows that count"
    if factor.constant.text not in {"V/A", "N/A"}:
        what = factor.spoken
    return Meaning("mean-denominator", what, factor.by_rows, "ordinary")


def _upstream(factor: Factor) -> Meaning | None:
    if not any(name.startswith("u") for name in factor.used):
        return None
    return Meaning(
        "upstream-gradient",
        f"the gradient does not follow the upstream gradient ({factor.spoken})",
        "multiply the gradient by the upstream gradient that backward is given, once",
        "negative",
    )


def _transform(factor: Factor) -> Meaning | None:
    if not factor.used & {"T", "s", "cap", "ln 2", "ln 10"}:
        return None
    what = factor.spoken
    if factor.backward:
        what = f"the chain rule through the transform of the logits lacks a factor ({what})"
    advice = "multiply the gradient by logit_scale / temperature, the slope of the transform, exactly once"
    return Meaning("logit-transform-factor", what, advice, "ordinary")


def _smoothing(factor: Factor) -> Meaning | None:
    if not factor.used & {"eps", "1-eps", "1+eps"}:
        return None
    advice = "weigh the label by 1 - eps and the uniform part by eps, once"
    return Meaning("smoothing-convention", factor.spoken, advice, "ordinary")


def _parameters(factor: Factor) -> Meaning | None:
    if not factor.used & {"gamma", "alpha"}:
        return None
    return Meaning("reduction-factor", factor.spoken, "look for the parameter as a stray factor", "ordinary")


def _sign(factor: Factor) -> Meaning | None:
    if factor.used != {"-"}:
        return None
    return Meaning("sign-flipped", "the sign is flipped", "negate it", "ordinary")


def _rows(factor: Factor) -> Meaning | None:
    if factor.used & {"N-1", "N+1", "V-1", "V+1"}:
        what = f"the mean divides by another number of rows ({factor.spoken})"
        return Meaning("mean-denominator", what, factor.by_rows, "two-rows")
    if not factor.used & {"N", "V", "I", "D"}:
        return None
    where = " in backward" if factor.backward else ""
    if factor.constant.text in {"N", "V"}:
        what = f"the mean's division by the number of rows is missing{where}"
    elif factor.constant.text in {"1/N", "1/V"}:
        what = f"there is a division by the number of rows too many{where}"
    else:
        what = factor.spoken
    return Meaning(
        "reduction-factor", what, "divide by the number of rows once for a mean, never for a sum", "two-rows"
    )


_IN_ORDER: tuple[Callable[[Factor], Meaning | None], ...] = (
    _sum_of_weights,
    _first_axis,
    _classes,
    _ignored,
    _weights,
    _alphas,
    _upstream,
    _transform,
    _smoothing,
    _parameters,
    _sign,
    _rows,
)
