"""Named constants: which quantity of the inputs a fitted factor is, the same one for every evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from gradaudit.measurement.diagnosis.view import View


@dataclass(frozen=True, slots=True)
class Constant:
    """A factor by its name. `symbols` are the quantities it is made of ("N", "V", "C", "T", "u", ...); `order` is its
    complexity, by which simpler ones are preferred."""

    text: str
    symbols: frozenset[str]
    order: int
    parts: tuple[Constant, ...] = ()

    @property
    def factors(self) -> tuple[Constant, ...]:
        """What it is a product of."""
        return self.parts or (self,)


ONE = Constant("1", frozenset(), 0)

MEANINGS = {
    "N": "the number of rows",
    "N-1": "the number of rows less one",
    "N+1": "the number of rows and one",
    "V": "the number of rows that count",
    "V-1": "the number of rows that count less one",
    "V+1": "the number of rows that count and one",
    "I": "the number of ignored rows",
    "C": "the number of classes",
    "C-1": "the number of classes less one",
    "C+1": "the number of classes and one",
    "T": "the temperature",
    "s": "the logit scale",
    "u": "the upstream gradient",
    "u_first": "the first entry of the upstream gradient",
    "u_last": "the last entry of the upstream gradient",
    "u_sum": "the sum of the upstream gradient",
    "u_mean": "the mean of the upstream gradient",
    "W": "the sum of the weights of the labels",
    "W+": "the sum of the weights of the labels, that of class 0 for ignored rows",
    "A": "the sum of the alphas of the labels",
    "w_sum": "the sum of all class weights",
    "w_first": "the weight of the first class",
    "eps": "the label smoothing",
    "1-eps": "one less the label smoothing",
    "1+eps": "one and the label smoothing",
    "ln 2": "the logarithm of 2",
    "ln 10": "the logarithm of 10",
    "gamma": "gamma",
    "alpha": "alpha",
    "cap": "the softcap",
    "D": "the size of the first axis",
    "n": "the size of the last axis",
}
"""What the symbols stand for."""


def symbols(view: View) -> dict[str, float]:
    """The quantities of one evaluation that a factor may be made of."""
    rows, counted = view.rows, int(view.counted.sum())
    classes = view.truth.layout.active_classes
    values = {
        "N": float(rows),
        "V": float(counted),
        "C": float(classes),
        "C-1": float(classes - 1),
        "C+1": float(classes + 1),
        "N-1": float(max(rows - 1, 1)),
        "V-1": float(max(counted - 1, 1)),
        "V+1": float(counted + 1),
        "N+1": float(rows + 1),
        "I": float(rows - counted),
        "T": view.number("temperature", 1.0),
        "s": view.number("logit_scale", 1.0),
        "eps": view.number("label_smoothing", 0.0),
        "gamma": view.number("gamma", 0.0),
        "cap": view.number("softcap", 0.0),
        "D": float(view.whole.shape[0]),
        "n": float(view.whole.shape[-1]),
        "ln 2": float(np.log(2.0)),
        "ln 10": float(np.log(10.0)),
    }
    eps = values["eps"]
    values |= {"1-eps": 1.0 - eps, "1+eps": 1.0 + eps if eps else 0.0}
    if not view.elementwise:
        upstream = np.broadcast_to(view.upstream, (rows, 1)).ravel()
        if view.truth.reduced:
            values["u"] = float(upstream[0])
        else:
            values |= {
                "u_first": float(upstream[0]),
                "u_last": float(upstream[-1]),
                "u_sum": float(upstream.sum()),
                "u_mean": float(upstream.mean()),
            }
    if view.weight is not None:
        values |= {"w_sum": float(view.weight.sum()), "w_first": float(view.weight[0])}
        if view.block.labels is not None:
            values["W"] = float(view.weight[view.block.labels][view.counted].sum())
            values["W+"] = values["W"] + values["I"] * values["w_first"]
    if "alpha" in view.parameters and view.block.labels is not None:
        alpha = view.parameters["alpha"]
        own = np.array(alpha)[view.block.labels] if isinstance(alpha, tuple) else np.ones(rows)
        values["A"] = float(own[view.counted].sum())
    return values


WHOLE = tuple(range(2, 17))
"""Whole numbers that a factor may be: numbers of chunks, of devices, of heads."""


FARTHEST = 4
"""The largest order of a product of two factors: beyond it some product is near any number."""


NATURAL = (
    {"V", "N"},
    {"W", "N"},
    {"W", "V"},
    {"W", "W+"},
    {"A", "N"},
    {"A", "V"},
    {"N", "N-1"},
    {"N", "N+1"},
    {"V", "V-1"},
    {"V", "V+1"},
    {"V", "D"},
    {"N", "D"},
    {"V", "I"},
    {"C", "C-1"},
)
"""Quotients that a wrong denominator gives; others are rather two factors."""


class Search:
    """Factors for a set of evaluations, tried in order of their complexity.

    A factor explains if it lies within every evaluation's interval. Factors that are equal in every evaluation are
    told apart by none of them: the simplest is taken, the others are alternatives.
    """

    def __init__(self, views: Sequence[View]) -> None:
        self.views = views

    @cached_property
    def _table(self) -> tuple[list[Constant], np.ndarray]:
        """The candidates, and their values [candidates, evaluations]."""
        each = [symbols(view) for view in self.views]
        names = [name for name in MEANINGS if all(name in values for values in each)]
        count = len(self.views)
        base: dict[str, np.ndarray] = {}
        for name in names:
            column = np.array([values[name] for values in each])
            if name == "A" and all(values[name] == values["V"] for values in each):
                continue  # no class has a weight
            # What is 1 or 0 everywhere is no factor.
            if not np.all(column == 1.0) and np.any(column != 0.0):
                base[name] = column
        found: list[tuple[Constant, np.ndarray]] = []

        def add(text: str, used: set[str], order: int, values: np.ndarray) -> None:
            found.append((Constant(text, frozenset(used), order), values))

        ones = np.ones(count)
        with np.errstate(all="ignore"):
            add("1", set(), 0, ones)
            add("-1", {"-"}, 1, -ones)
            add("2", {"2"}, 2, 2 * ones)
            add("1/2", {"2"}, 2, ones / 2)
            for name, a in base.items():
                hard = 0 if name in ("N", "V", "C", "T", "s", "u", "W") else 1
                add(name, {name}, 1 + hard, a)
                add(f"1/{_bracketed(name)}", {name}, 1 + hard, 1 / a)
                add(f"{_bracketed(name)}^2", {name}, 3 + hard, a * a)
                add(f"1/{_bracketed(name)}^2", {name}, 3 + hard, 1 / (a * a))
                add(f"sqrt({name})", {name}, 4 + hard, np.sqrt(np.abs(a)) * np.where(a < 0, np.nan, 1.0))
                add(f"1/sqrt({name})", {name}, 4 + hard, 1 / np.sqrt(np.abs(a)) * np.where(a < 0, np.nan, 1.0))
                for other, b in base.items():
                    if other != name:
                        natural = 2 if {name, other} in NATURAL else 5
                        add(f"{_bracketed(name)}/{_bracketed(other)}", {name, other}, natural, a / b)
            for k in WHOLE[1:]:
                add(str(k), {"K"}, 3, k * ones)
                add(f"1/{k}", {"K"}, 3, ones / k)
        return [constant for constant, _ in found], np.stack([values for _, values in found])

    def everything(self) -> np.ndarray:
        """All single factors, as a mask."""
        return np.ones(len(self._table[0]), dtype=bool)

    def surviving(self, alive: np.ndarray, position: int, interval: tuple[float, float]) -> np.ndarray:
        """Those of the factors `alive` that one more evaluation allows."""
        values = self._table[1][:, position]
        with np.errstate(invalid="ignore"):
            return np.asarray(alive & (values >= interval[0]) & (values <= interval[1]))

    def explanations(
        self, intervals: Sequence[tuple[float, float]], limit: int = 3, *, upstream: bool | None = True
    ) -> list[Constant]:
        """The simplest factors within all intervals; two of them may be multiplied where no single one will do.

        `upstream`: whether factors of the upstream gradient are among them; None puts them last.
        """
        low, high = np.array([each[0] for each in intervals]), np.array([each[1] for each in intervals])
        if np.any(low > high):
            return []
        constants, values = self._table
        with np.errstate(invalid="ignore"):
            fits = np.flatnonzero(((values >= low) & (values <= high)).all(axis=1))
        single = sorted((constants[i] for i in fits), key=lambda constant: constant.order)
        return _by_upstream(single or self._products(low, high), upstream)[:limit]

    def _products(self, low: np.ndarray, high: np.ndarray) -> list[Constant]:
        constants, values = self._table
        simple = [i for i, constant in enumerate(constants) if constant.order <= 3]
        part = values[simple]
        with np.errstate(all="ignore"):
            widths = (high - low) / np.maximum(np.abs(high), 1e-300)
        decisive = int(np.argmin(np.where(np.isfinite(widths), widths, np.inf)))
        with np.errstate(all="ignore"):
            first = np.outer(part[:, decisive], part[:, decisive])
            rows, columns = np.nonzero((first >= low[decisive]) & (first <= high[decisive]))
            keep = rows < columns
            rows, columns = rows[keep], columns[keep]
            whole = part[rows] * part[columns]
            fits = ((whole >= low) & (whole <= high)).all(axis=1)
        found = []
        for a, b in zip(rows[fits], columns[fits], strict=True):
            one, other = constants[simple[a]], constants[simple[b]]
            if one.order + other.order > FARTHEST or one.symbols & other.symbols:
                continue
            text = f"{one.text} x {other.text}"
            found.append(Constant(text, one.symbols | other.symbols, one.order + other.order, (one, other)))
        return sorted(found, key=lambda constant: constant.order)

    def number(self, intervals: Sequence[tuple[float, float]]) -> float | None:
        """One and the same number within all intervals, where at least one of them says anything."""
        low, high = max(each[0] for each in intervals), min(each[1] for each in intervals)
        if low > high or not (np.isfinite(low) and np.isfinite(high)):
            return None
        return _simplest(low, high)

    def value(self, constant: Constant, position: int) -> float:
        """What a factor is in one evaluation."""
        constants, values = self._table
        places = {each.text: i for i, each in enumerate(constants)}
        return float(np.prod([values[places[part.text], position] for part in constant.factors]))


def of_upstream(constant: Constant) -> bool:
    """Whether a factor is made of the upstream gradient."""
    return any(name.startswith("u") for name in constant.symbols)


def _by_upstream(found: list[Constant], upstream: bool | None) -> list[Constant]:
    """Factors without those of the upstream gradient, or with these at the end."""
    if upstream:
        return found
    own = [each for each in found if not of_upstream(each)]
    return own if upstream is False else [*own, *(each for each in found if each not in own)]


def _bracketed(name: str) -> str:
    return f"({name})" if any(mark in name for mark in "-+ ") else name


def _simplest(low: float, high: float) -> float:
    """The number with the fewest digits in an interval."""
    for digits in range(1, 17):
        middle = (low + high) / 2.0
        candidate = float(f"{middle:.{digits}g}")
        if low <= candidate <= high:
            return candidate
    return (low + high) / 2.0


def fraction_text(value: float) -> str:
    """A number with six digits, and as a fraction where it is one of small whole numbers."""
    near = Fraction(value).limit_denominator(512)
    text = f"{value:.6g}"
    if near.denominator > 1 and near.numerator != 0 and abs(float(near) - value) <= 4e-16 * abs(value):
        return f"{text} = {near.numerator}/{near.denominator}"
    return text
