"""Second derivatives beside their exact values: within which admissible way, and if in none, by which factor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from gradaudit.numerics import formats
from gradaudit.reference.second_order import Enclosure, Way
from gradaudit.reference.truth import Truth


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """What was returned under one way: `beyond` [shape] is true where it is wrong, `decided` where anything is told.

    `ratio` is the largest error in units of the tolerance (infinite for a wrong value that is not finite).
    """

    way: Way
    tolerance: np.ndarray
    beyond: np.ndarray
    decided: np.ndarray
    ratio: float

    @property
    def explains(self) -> bool:
        """Whether no element is wrong."""
        return not self.beyond.any()


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The way that explains most and decides most, the tightest one, and whether a way explains by deciding nothing.

    `known` is true where there is an exact value to compare with.
    """

    best: Compared
    tightest: Compared
    undecided: bool
    known: np.ndarray


def compared(
    got: np.ndarray, exact: Enclosure, ways: Iterable[Way], tolerance: Callable[[Way], np.ndarray]
) -> Outcome:
    """`got` (float64) under every way until one explains it all and decides something."""
    known = ~np.isnan(exact.mid)
    tightest: Compared | None = None
    best: Compared | None = None
    hiding: Compared | None = None
    for way in ways:
        own = _under(got, exact, way, tolerance(way), known)
        tightest = own if tightest is None else tightest
        if own.explains and (own.decided.any() or not (exact.mid[known] != 0.0).any()):
            return Outcome(own, tightest, False, known)
        if own.explains:
            hiding = own if hiding is None else hiding
        elif best is None or own.beyond.sum() <= best.beyond.sum():
            # Of equals the last one, which is looser: a factor is looked for under both ends.
            best = own
    assert tightest is not None, "there is a way at the declared precision"
    if hiding is not None:
        return Outcome(hiding, tightest, True, known)
    return Outcome(best or tightest, tightest, False, known)


def _under(got: np.ndarray, exact: Enclosure, way: Way, tolerance: np.ndarray, known: np.ndarray) -> Compared:
    with np.errstate(all="ignore"):
        allowed = tolerance + exact.rad
        error = np.abs(got - exact.mid)
        # A NaN is wrong, but where nothing is promised.
        beyond = known & ~(error <= allowed) & np.isfinite(allowed)
        decided = known & (allowed < np.abs(exact.mid))
        ratio = np.where(beyond | known & (error > 0.0), error / allowed, 0.0)
    ratio = np.where(beyond & np.isnan(ratio), np.inf, np.where(np.isnan(ratio), 0.0, ratio))
    return Compared(way, allowed, beyond, decided, float(ratio.max(initial=0.0)))


def factor(got: np.ndarray, exact: Enclosure, outcome: Outcome, truth: Truth) -> tuple[str, float] | None:
    """What one factor makes of all the exact values what was returned: its words and its value; None if none does."""
    for under in (outcome.tightest, outcome.best):
        place = _clearest(exact, under)
        if place is None or not np.isfinite(got[place]) or got[place] == 0.0:
            continue
        plain = float(got[place] / exact.mid[place])
        candidates = [*_factors(truth), (f"by a factor of {plain:.6g}", np.asarray(plain))]
        for words, scale in candidates:
            if _explains(got, exact, under, scale):
                return words, float(np.broadcast_to(scale, got.shape)[place])
    return None


def _clearest(exact: Enclosure, under: Compared) -> tuple[int, ...] | None:
    """The element whose exact value is largest in units of its tolerance; None where none is decided."""
    with np.errstate(all="ignore"):
        clear = np.where(under.decided, np.abs(exact.mid) / under.tolerance, 0.0)
    clear = np.where(np.isnan(clear), 0.0, clear)
    index = np.unravel_index(int(np.argmax(clear)), clear.shape)
    return tuple(int(i) for i in index) if clear[index] > 0.0 else None


def _explains(got: np.ndarray, exact: Enclosure, under: Compared, scale: np.ndarray) -> bool:
    with np.errstate(all="ignore"):
        error = np.abs(got - scale * exact.mid)
        allowed = np.maximum(np.abs(scale), 1.0) * under.tolerance
        wrong = ~np.isnan(exact.mid) & ~(error <= allowed) & np.isfinite(allowed)
    return not wrong.any()


def _factors(truth: Truth) -> Iterator[tuple[str, np.ndarray]]:
    """Factors that wrong second derivatives have, each a number or an array that broadcasts to the logits' shape."""
    yield "with the sign flipped", np.asarray(-1.0)
    yield "by a factor of 2", np.asarray(2.0)
    yield "by a factor of 1/2", np.asarray(0.5)
    counts = {float(truth.layout.classes): "the number of classes", float(truth.layout.rows): "the number of rows"}
    yield from _powers(counts | {truth.denominator.value: "what the mean divides by"})
    temperature = truth.parameters.temperature / truth.parameters.logit_scale
    yield from _powers({temperature: "the temperature", temperature**2: "the temperature squared"})
    upstream = truth.inputs.upstream
    if upstream is not None and (upstream := upstream.astype(np.float64)).all():
        if upstream.size == 1:
            yield from _ignored(upstream.reshape(()))
        elif upstream.ndim == len(truth.layout.outer_shape):
            yield from _ignored(np.expand_dims(upstream, truth.layout.axis))


def _powers(numbers: dict[float, str]) -> Iterator[tuple[str, np.ndarray]]:
    for number, words in numbers.items():
        if number not in (0.0, 1.0):
            yield f"by a factor of {number:.6g}, {words}", np.asarray(number)
            yield f"by a factor of 1/{number:.6g}: divided once more by {words}", np.asarray(1.0 / number)


def _ignored(upstream: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    if not (upstream == 1.0).all():
        yield "as if the upstream gradient were 1", 1.0 / upstream
        yield "as if the upstream gradient had been applied twice", upstream


def is_left_over(value: float, dtype: str) -> bool:
    """Whether a candidate may be left with 0 instead: below the smallest normal number."""
    return not value > formats.get(dtype).smallest_normal
