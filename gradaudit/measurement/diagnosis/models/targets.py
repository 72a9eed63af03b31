"""Slips in the targets: labels misaligned, conventions of label smoothing, masses, weights, ignored rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradaudit.measurement.diagnosis.models.variation import Mass, Variation, hot_rows
from gradaudit.measurement.diagnosis.view import View

Make = Callable[[View], Mass | None]
SMOOTHING, MASS, WEIGHTS, LABELS = "smoothing-convention", "target-mass", "class-weights", "labels-misaligned"
IGNORED, PARTITION, WRONG_AXIS = "ignored-rows-leak", "partition-local-normaliser", "wrong-axis"


def variations(view: View) -> list[Variation]:
    """The slips that exist for the targets of `view`."""
    if not view.truth.function.takes_targets:
        return []
    if view.raw_labels is None:
        return _soft(view)
    return [*_labels(), *_smoothing(view), *_weighted_smoothing(view), *_ignoring(view)]


# -- labels ----------------------------------------------------------------------------------------------------------


def _labels() -> list[Variation]:
    advice = "score row i against the label of row i, and class c as class c"
    found: list[Variation] = []

    def entry(name: str, statement: str, change: Callable[[np.ndarray, View], np.ndarray | None]) -> None:
        def make(view: View) -> Mass | None:
            assert view.raw_labels is not None
            changed = change(view.raw_labels, view)
            return None if changed is None else _mass_of(view, changed)

        found.append(Variation("targets", name, LABELS, statement, advice, make))

    for k in (1, -1, 2, -2):
        entry(
            f"labels {k:+d} rows, cut",
            f"row i is scored against the label of row i{k:+d}; rows without such a label have no gradient",
            lambda labels, view, k=k: _shifted(labels, k, _nobody(view), wraps=False) if len(labels) > abs(k) else None,  # type: ignore[misc]
        )
        entry(
            f"labels {k:+d} rows, round",
            f"row i is scored against the label of row i{k:+d}, round the end",
            lambda labels, view, k=k: _shifted(labels, k, 0, wraps=True) if len(labels) > 1 else None,  # type: ignore[misc]
        )
        entry(
            f"labels {k:+d} classes",
            f"row i is scored against class y[i]{k:+d}, modulo the number of classes",
            lambda labels, view, k=k: _classes(labels, view, lambda y: (y + k) % view.classes),  # type: ignore[misc]
        )
        entry(
            f"labels {k:+d} classes, cut",
            f"row i is scored against class y[i]{k:+d}, cut to the classes there are",
            lambda labels, view, k=k: _classes(labels, view, lambda y: np.clip(y + k, 0, view.classes - 1)),  # type: ignore[misc]
        )
    entry(
        "labels from the other end",
        "labels count classes from the other end",
        lambda labels, view: _classes(labels, view, lambda y: view.classes - 1 - y),
    )
    entry("rows reversed", "the labels run through the rows in reversed order", lambda labels, view: labels[::-1])
    entry(
        "one label for all",
        "every row is scored against the label of the first row",
        lambda labels, view: np.where(labels == _nobody(view), labels, labels[0]),
    )
    entry(
        "last label for all",
        "every row is scored against the label of the last row",
        lambda labels, view: np.where(labels == _nobody(view), labels, labels[-1]),
    )
    entry(
        "first class for all",
        "every row is scored against class 0",
        lambda labels, view: _classes(labels, view, np.zeros_like),
    )
    entry(
        "largest logit for all",
        "every row is scored against its own largest logit",
        lambda labels, view: np.where(labels == _nobody(view), labels, np.argmax(view.block.logits, axis=1)),
    )
    entry("labels sorted", "the labels are sorted, the rows are not", lambda labels, view: np.sort(labels))
    return found


def _nobody(view: View) -> int:
    ignore = view.parameters.get("ignore_index")
    return ignore if isinstance(ignore, int) else -100


def _shifted(labels: np.ndarray, k: int, blank: int, *, wraps: bool) -> np.ndarray:
    moved = np.roll(labels, -k)
    if not wraps:
        if k > 0:
            moved[-k:] = blank
        else:
            moved[:-k] = blank
    return moved


def _classes(labels: np.ndarray, view: View, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.where(labels == _nobody(view), labels, change(labels))


def _mass_of(view: View, labels: np.ndarray, counts: np.ndarray | None = None) -> Mass | None:
    """Hard labels scored as the reference does it, with its own smoothing, weights and denominator."""
    if np.array_equal(labels, view.raw_labels) and counts is None:
        return None
    counted = labels != _nobody(view) if counts is None else counts
    own = np.where(counted, labels, 0)
    if np.any((own < 0) | (own >= view.classes)):
        return None
    weight = np.ones(view.classes) if view.weight is None else view.weight
    eps = view.number("label_smoothing", 0.0)
    factor = 1.0
    if view.reduction == "mean":
        used = float((counted * weight[own]).sum())
        if used == 0.0:
            return None
        factor = view.truth.denominator.value / used
    masses = counted.astype(np.float64)[:, None]
    if eps == 0.0:
        return Mass(own, masses * weight[own][:, None], None, factor)
    spread = eps / view.truth.layout.active_classes
    return Mass(None, None, masses * weight * ((1.0 - eps) * hot_rows(view, own) + spread), factor)


# -- label smoothing -------------------------------------------------------------------------------------------------


def _smoothing(view: View) -> list[Variation]:
    """Targets `own` at the label and `other` elsewhere: each convention is a pair of numbers."""
    eps = view.number("label_smoothing", 0.0)
    advice = (
        f"put 1 - eps + eps / C on the label and eps / C on every other class (eps = {eps:g}, C the number of classes): "
        "they add up to 1"
    )
    found: list[Variation] = []

    def entry(
        name: str, statement: str, pair: Callable[[float, float, View], tuple[float, float]], fault: str = SMOOTHING
    ) -> None:
        def make(view: View) -> Mass | None:
            own, other = pair(eps, float(view.truth.layout.active_classes), view)
            return _pair(view, own, other)

        found.append(Variation("targets", name, fault, statement, advice, make, rarely=eps == 0.0))

    if eps == 0.0:
        for wrong in (0.1, 0.05, 0.2, 0.01):
            entry(
                f"smoothing {wrong:g} unasked",
                f"label smoothing of {wrong:g} is applied, though none was asked for",
                lambda e, c, v, wrong=wrong: (1 - wrong + wrong / c, wrong / c),  # type: ignore[misc]
            )
        return found
    entry("no smoothing", "label smoothing is not applied", lambda e, c, v: (1.0, 0.0))
    entry(
        "eps / (C - 1) on the others",
        "eps / (C - 1) goes to every class but the label, which keeps 1 - eps; eps / C on every class was meant",
        lambda e, c, v: (1 - e, e / (c - 1) if c > 1 else 0.0),
    )
    entry(
        "1 - eps kept, eps / C on the others",
        "the label keeps 1 - eps and the others get eps / C: the targets add up to 1 - eps / C",
        lambda e, c, v: (1 - e, e / c),
        MASS,
    )
    entry(
        "1 - eps / C kept",
        "the label keeps 1 - eps / C before eps / C goes to every class: the targets add up to 1 + eps (C - 1) / C",
        lambda e, c, v: (1.0, e / c),
        MASS,
    )
    entry(
        "1 kept, eps / (C - 1) on the others",
        "the label keeps 1 and every other class gets eps / (C - 1): the targets add up to 1 + eps",
        lambda e, c, v: (1.0, e / (c - 1) if c > 1 else 0.0),
        MASS,
    )
    entry(
        "eps / C added to one-hot",
        "eps / C is added to one-hot labels that keep their 1: the targets add up to 1 + eps",
        lambda e, c, v: (1.0 + e / c, e / c),
        MASS,
    )
    entry(
        "eps / (C - 1) on all",
        "1 - eps stays at the label and eps / (C - 1) goes to every class, the label too",
        lambda e, c, v: (1 - e + (e / (c - 1) if c > 1 else 0.0), e / (c - 1) if c > 1 else 0.0),
    )
    entry(
        "eps undivided on all",
        "eps itself goes to every class instead of eps / C",
        lambda e, c, v: (1.0, e),
    )
    entry(
        "eps undivided on the others",
        "eps itself goes to every other class, and 1 - eps stays at the label",
        lambda e, c, v: (1 - e, e),
    )
    entry(
        "smoothing term dropped",
        "the label keeps 1 - eps and the uniform term is missing: the targets add up to 1 - eps",
        lambda e, c, v: (1 - e, 0.0),
        MASS,
    )
    entry(
        "eps and 1 - eps exchanged",
        "the label keeps eps and 1 - eps is spread over the classes",
        lambda e, c, v: (e + (1 - e) / c, (1 - e) / c),
    )
    entry(
        "smoothing subtracted",
        "the uniform term has the wrong sign",
        lambda e, c, v: (1 - e - e / c, -e / c),
    )
    for text, change in (
        ("eps / 2", lambda e: e / 2),
        ("2 eps", lambda e: 2 * e),
        ("eps^2", lambda e: e * e),
        ("sqrt(eps)", lambda e: e**0.5),
    ):
        entry(
            f"smoothing by {text}",
            f"labels are smoothed by {text} = {change(eps):g} instead of eps = {eps:g}",
            lambda e, c, v, change=change: (1 - change(e) + change(e) / c, change(e) / c),  # type: ignore[misc]
        )
    for count in (2, 3, 4, 5, 6, 8, 10, 12, 16):
        entry(
            f"eps / {count} on all",
            f"eps is divided by {count}, not by the number of classes",
            lambda e, c, v, count=count: (1 - e + e / count, e / count),  # type: ignore[misc]
        )
    entry(
        "eps / N on all",
        "eps is divided by the number of rows, not by the number of classes",
        lambda e, c, v: (1 - e + e / v.rows, e / v.rows),
    )
    entry(
        "eps / (C - 2)",
        "eps / (C - 2) goes to the other classes, as if one of them were padding",
        lambda e, c, v: (1 - e, e / (c - 2) if c > 2 else 0.0),
    )
    entry(
        "eps / (C + 1)",
        "eps / (C + 1) goes to every class",
        lambda e, c, v: (1 - e + e / (c + 1), e / (c + 1)),
    )
    return found + _partial_smoothing(eps, advice)


def _partial_smoothing(eps: float, advice: str) -> list[Variation]:
    """The uniform part over some of the classes only."""
    found = []
    for count in (2, 3, 4, 8):
        for first in (True, False):
            for own in (True, False):

                def make(view: View, count: int = count, first: bool = first, own: bool = own) -> Mass | None:
                    width = view.classes // count
                    if width == 0 or view.block.labels is None or view.active is not None:
                        return None
                    uniform = np.zeros((1, view.classes))
                    part = slice(0, width) if first else slice(view.classes - width, view.classes)
                    uniform[:, part] = eps / (width if own else view.classes)
                    hot = hot_rows(view, view.block.labels)
                    return Mass(dense=view.counted[:, None] * ((1.0 - eps) * hot + uniform))

                where = "first" if first else "last"
                share = "that part's number of classes" if own else "the number of all classes"
                found.append(
                    Variation(
                        "targets",
                        f"smoothing over the {where} 1/{count} by {'own' if own else 'all'}",
                        PARTITION,
                        f"the uniform part of label smoothing adds up the {where} 1/{count} of the classes only, and "
                        f"divides by {share}",
                        f"add up the log-probabilities of all classes, over all partitions; {advice}",
                        make,
                    )
                )
    return found


def _pair(view: View, own: float, other: float) -> Mass | None:
    """`own` at the label, `other` at every other class that takes part; weights as in the reference."""
    labels = view.block.labels
    if labels is None:
        return None
    hot = hot_rows(view, labels)
    weight = np.ones(view.classes) if view.weight is None else view.weight
    return Mass(dense=view.counted[:, None] * weight * (other + (own - other) * hot))


def _weighted_smoothing(view: View) -> list[Variation]:
    """Where the class weights may go astray beside label smoothing."""
    eps = view.number("label_smoothing", 0.0)
    if view.weight is None or eps == 0.0:
        return []
    advice = "weight every class's own term: t_j = w_j ((1 - eps) [j = y] + eps / C), over the sum of the labels' weights"

    def entry(name: str, statement: str, weigh: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Variation:
        def make(view: View) -> Mass:
            labels, weight = view.block.labels, view.weight
            assert labels is not None
            assert weight is not None
            spread = eps / view.truth.layout.active_classes
            own = weigh(weight[None, :], weight[labels][:, None], hot_rows(view, labels))
            hot = (1.0 - eps) * hot_rows(view, labels)
            dense = own[0] * hot + own[1] * spread if isinstance(own, tuple) else own * (hot + spread)
            return Mass(dense=view.counted[:, None] * dense)

        return Variation("targets", name, WEIGHTS, statement, advice, make)

    return [
        entry("weights dropped", "the class weights have no effect", lambda w, wy, hot: np.ones_like(hot)),
        entry(
            "label's weight on all terms",
            "the weight of the label multiplies the uniform term too, where each class's own weight belongs",
            lambda w, wy, hot: wy * np.ones_like(hot),
        ),
        entry(
            "uniform term unweighted",
            "the uniform term of label smoothing is not weighted",
            lambda w, wy, hot: (wy, np.ones_like(hot)),  # type: ignore[arg-type, return-value]
        ),
        entry(
            "label's term unweighted",
            "only the uniform term of label smoothing is weighted",
            lambda w, wy, hot: (np.ones_like(hot), w),  # type: ignore[arg-type, return-value]
        ),
    ]


# -- ignored rows ----------------------------------------------------------------------------------------------------


def _ignoring(view: View) -> list[Variation]:
    """Which rows are taken for ignored."""
    advice = "leave out the rows whose label is ignore_index, and no others"
    found: list[Variation] = []

    def entry(name: str, statement: str, keep: Callable[[np.ndarray, View], np.ndarray], blank: str = "first") -> None:
        def make(view: View) -> Mass | None:
            assert view.raw_labels is not None
            counts = keep(view.raw_labels, view)
            if np.array_equal(counts, view.counted):
                return None
            placeholder = 0 if blank == "first" else view.classes - 1
            valid = (view.raw_labels >= 0) & (view.raw_labels < view.classes)
            return _mass_of(view, np.where(valid, view.raw_labels, placeholder), counts)

        found.append(Variation("targets", name, IGNORED, statement, advice, make))

    everyone = "ignored rows count like others, scored against class "
    entry("nobody ignored", f"{everyone}0 or the class of that number", lambda y, v: np.ones(len(y), dtype=bool))
    entry(
        "nobody ignored, last class",
        f"{everyone}C - 1",
        lambda y, v: np.ones(len(y), dtype=bool),
        "last",
    )
    entry("mask inverted", "the mask keeps the rows it should drop", lambda y, v: y == _nobody(v))
    entry("class 0 ignored", "rows of class 0 are ignored", lambda y, v: (y != 0) & (y != _nobody(v)))
    entry("class 0 ignored instead", "rows of class 0 are ignored instead of those of ignore_index", lambda y, v: y != 0)
    entry("negative labels ignored", "rows with a negative label are ignored instead", lambda y, v: y >= 0)
    entry(
        "positive labels kept",
        "only rows with a label above 0 count",
        lambda y, v: (y > 0) & (y != _nobody(v)),
    )
    entry(
        "last class ignored",
        "rows of the last class are ignored",
        lambda y, v: (y != v.classes - 1) & (y != _nobody(v)),
    )
    return found


# -- soft targets ----------------------------------------------------------------------------------------------------


def _soft(view: View) -> list[Variation]:
    found: list[Variation] = []

    def entry(name: str, fault: str, statement: str, advice: str, change: Callable[[np.ndarray, View], np.ndarray]) -> None:
        def make(view: View) -> Mass | None:
            assert view.block.soft is not None
            changed = change(view.block.soft, view)
            if np.array_equal(changed, view.block.soft):
                return None
            eps = view.number("label_smoothing", 0.0)
            weight = np.ones(view.classes) if view.weight is None else view.weight
            return Mass(dense=weight * ((1.0 - eps) * changed + eps / view.truth.layout.active_classes))

        found.append(Variation("targets", name, fault, statement, advice, make))

    take = "use the target probabilities as they are"
    entry(
        "targets normalised",
        MASS,
        "the targets are divided by their sum, though they need not add up to 1",
        take,
        lambda t, v: t / np.maximum(t.sum(axis=1, keepdims=True), 1e-300),
    )
    entry(
        "targets through softmax",
        TWICE,
        "the target probabilities go through softmax as if they were logits",
        take,
        lambda t, v: np.exp(t) / np.exp(t).sum(axis=1, keepdims=True),
    )
    entry(
        "hardest target only",
        MASS,
        "only the largest target probability is used, as a hard label",
        take,
        lambda t, v: hot_rows(v, np.argmax(t, axis=1)),
    )
    entry("targets squared", MASS, "the target probabilities are squared", take, lambda t, v: t * t)
    entry(
        "largest target alone",
        MASS,
        "all target probabilities but the largest are dropped",
        take,
        lambda t, v: t * hot_rows(v, np.argmax(t, axis=1)),
    )
    entry("targets reversed", LABELS, "the targets run through the rows in reversed order", take, lambda t, v: t[::-1])
    for k in (1, -1):
        entry(
            f"targets {k:+d} rows",
            LABELS,
            f"row i is scored against the targets of row i{k:+d}, round the end",
            take,
            lambda t, v, k=k: np.roll(t, -k, axis=0),  # type: ignore[misc]
        )
        entry(
            f"targets {k:+d} classes",
            LABELS,
            f"class j is scored against the target of class j{k:+d}, round the end",
            take,
            lambda t, v, k=k: np.roll(t, -k, axis=1),  # type: ignore[misc]
        )
    if view.number("label_smoothing", 0.0):
        eps = view.number("label_smoothing", 0.0)
        found.append(
            Variation(
                "targets",
                "no smoothing",
                SMOOTHING,
                f"label smoothing by {eps:g} is not applied to soft targets",
                "mix the targets with the uniform distribution: (1 - eps) q + eps / C",
                lambda v: Mass(dense=(np.ones(v.classes) if v.weight is None else v.weight) * v.block.soft),
            )
        )
    if view.weight is not None:
        found.append(
            Variation(
                "targets",
                "weights dropped",
                WEIGHTS,
                "the class weights have no effect",
                "multiply each target probability by the weight of its class",
                lambda v: Mass(
                    dense=(1.0 - v.number("label_smoothing", 0.0)) * v.block.soft
                    + v.number("label_smoothing", 0.0) / v.truth.layout.active_classes
                ),
            )
        )
    return found


TWICE = "softmax-applied-twice"
