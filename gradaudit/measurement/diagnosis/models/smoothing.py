"""Slips in label smoothing: how the mass is spread, and where class weights go astray beside it."""

# ruff: noqa: ARG005 - each slip takes what its stage is given
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradaudit.measurement.diagnosis.models.variation import Mass, Variation, hot_rows
from gradaudit.measurement.diagnosis.view import View

SMOOTHING, MASS, WEIGHTS = "smoothing-convention", "target-mass", "class-weights"
PARTITION = "partition-local-normaliser"


def variations(view: View) -> list[Variation]:
    """The slips that exist for hard labels."""
    return [*_smoothing(view), *_weighted_smoothing(view)]


def unasked(value: float, name: str = "") -> Variation:
    """PyTorch's smoothing by another number than was asked for."""

    def make(view: View) -> Mass | None:
        classes = view.truth.layout.active_classes
        return _pair(view, 1.0 - value + value / classes, value / classes)

    return Variation(
        "targets",
        name or f"smoothing by {value:g}",
        SMOOTHING,
        f"labels are smoothed by {value:g}, which is not what was asked for",
        "smooth the labels by label_smoothing, no more and no less",
        make,
        rarely=True,
    )


def on_others(value: float) -> Variation:
    """`value` spread over the other classes alone."""

    def make(view: View) -> Mass | None:
        others = view.truth.layout.active_classes - 1
        return _pair(view, 1.0 - value, value / others if others else 0.0)

    return Variation(
        "targets",
        f"{value:g} on the others",
        SMOOTHING,
        f"the label keeps {1.0 - value:g} and the other classes share {value:g}: neither the number nor the "
        "convention is what was asked for",
        "put 1 - eps + eps / C on the label and eps / C on every other class",
        make,
        rarely=True,
    )


def of_masses(own: float, other: float) -> Variation:
    """The same two numbers for every number of classes."""
    return Variation(
        "targets",
        f"masses {own:g} and {other:g}",
        MASS,
        f"the label has the target {own:g} and every other class {other:g}, whatever the number of classes",
        "put 1 - eps + eps / C on the label and eps / C on every other class",
        lambda view: _pair(view, own, other),
        rarely=True,
    )


def _smoothing(view: View) -> list[Variation]:
    """Targets `own` at the label and `other` elsewhere: each convention is a pair of numbers."""
    eps = view.number("label_smoothing", 0.0)
    advice = (
        f"put 1 - eps + eps / C on the label and eps / C on every other class (eps = {eps:g}, C the number of "
        "classes): they add up to 1"
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
        return [unasked(wrong) for wrong in (0.1, 0.05, 0.2, 0.01)]
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
    for text, wrong in (("eps / 2", eps / 2), ("2 eps", 2 * eps), ("eps^2", eps * eps), ("sqrt(eps)", eps**0.5)):
        entry(
            f"smoothing by {text}",
            f"labels are smoothed by {text} = {wrong:g} instead of eps = {eps:g}",
            lambda e, c, v, wrong=wrong: (1 - wrong + wrong / c, wrong / c),  # type: ignore[misc]
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
    return found + _spared(eps, advice) + _partial_smoothing(eps, advice)


def _spared(eps: float, advice: str) -> list[Variation]:
    """One class, of padding, gets no part of the smoothing: the others share it."""

    def entry(what: str, place: Callable[[View], int | None]) -> Variation:
        def make(view: View) -> Mass | None:
            spared, others = place(view), view.truth.layout.active_classes - 2
            if spared is None or not 0 <= spared < view.classes:
                return None
            labels = view.block.labels
            assert labels is not None
            hot = hot_rows(view, labels)
            dense = (1.0 - eps) * hot + eps / max(others, 1) * (1.0 - hot)
            dense[:, spared] = hot[:, spared] * (1.0 - eps)
            weight = np.ones(view.classes) if view.weight is None else view.weight
            return Mass(dense=view.counted[:, None] * weight * dense)

        return Variation(
            "targets",
            f"eps / (C - 2), {what} spared",
            SMOOTHING,
            f"eps / (C - 2) goes to every class but the label and {what}, which is taken for padding",
            advice,
            make,
        )

    def ignored(view: View) -> int | None:
        value = view.parameters.get("ignore_index")
        return value if isinstance(value, int) else None

    return [
        entry("the class ignore_index", ignored),
        entry("class 0", lambda v: 0),
        entry("the last class", lambda v: v.classes - 1),
    ]


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
    advice = (
        "weight every class's own term: t_j = w_j ((1 - eps) [j = y] + eps / C), over the sum of the labels' weights"
    )

    def entry(
        name: str, statement: str, weigh: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    ) -> Variation:
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
            "uniform term over the sum of weights",
            "the uniform term of label smoothing is divided by the sum of all class weights, where their number "
            "belongs",
            lambda w, wy, hot: (wy, w * w.size / w.sum()),  # type: ignore[arg-type, return-value]
        ),
        entry(
            "label's term unweighted",
            "only the uniform term of label smoothing is weighted",
            lambda w, wy, hot: (np.ones_like(hot), w),  # type: ignore[arg-type, return-value]
        ),
    ]
