"""The probes there are, and which of them are standard for a case."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gradaudit.records.case import Case
from gradaudit.records.inputs import Inputs
from gradaudit.specs.probes import gaps, labels, logits, upstreams
from gradaudit.specs.probes.setting import Setting
from gradaudit.specs.probes.sketch import Sketch, ordinary

MOST_ELEMENTS = 1 << 16
"""Logits of one probe: where a case's own classes are so many that a probe would hold more, it is left out."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe.

    `change` turns an ordinary sketch of `rows` x `classes` (None: the standard ones) into the probe; `applies` tells
    for which cases it exists.
    """

    name: str
    summary: str
    change: Callable[[Sketch], None]
    applies: Callable[[Setting], bool]
    rows: int | None = None
    classes: Callable[[str], int] | None = None


def _always(_: Setting) -> bool:
    return True


def _unchanged(sketch: Sketch) -> None:
    pass


def _width(classes: int) -> Callable[[str], int]:
    return lambda _: classes


def _free(setting: Setting) -> bool:
    return not setting.classes_fixed


def _rows(setting: Setting) -> bool:
    return setting.row_axes > 0


def _length(classes: int) -> Probe:
    return Probe(
        f"length-{classes}",
        f"rows of {classes} class{'es' if classes > 1 else ''}",
        _unchanged,
        _free,
        classes=_width(classes),
    )


EQUAL_CLASSES = {"float16": 4100, "bfloat16": 512, "float32": 4100, "float64": 512}
"""So many ones that their sum sticks in 16 bits: at 256 in bfloat16, at 2,048 in float16."""


def _equal_width(dtype: str) -> int:
    return EQUAL_CLASSES[dtype]


def _gap(name: str, of: gaps.Gaps, text: str) -> tuple[Probe, Probe]:
    """The two probes of a gap."""
    loser = Probe(f"gap-{name}-loser", f"the label lies {text} below the winner", gaps.loser(of), gaps.applies)
    winner = Probe(f"gap-{name}-winner", f"the label leads by {text}", gaps.winner(of), gaps.has_labels)
    return loser, winner


PROBES = (
    Probe("ordinary", "7 rows, 11 classes, an upstream gradient with distinct entries", _unchanged, _always),
    Probe("ignored-rows", "2 rows ignored, unequally over 2 and 3 chunks", labels.ignored, labels.ignorable),
    Probe("ones", "an upstream gradient of ones", upstreams.ones, _always),
    Probe("one-hot", "an upstream gradient with a single 1", upstreams.one_hot, upstreams.vector),
    Probe("negative", "an upstream gradient below 0", upstreams.negative, _always),
    Probe("zero", "an upstream gradient of zeros", upstreams.zero, _always),
    Probe(
        "expanded", "one number expanded to the upstream gradient (stride 0)", upstreams.expanded, upstreams.vector
    ),
    Probe("strided-upstream", "every other element of a longer upstream", upstreams.strided, upstreams.vector),
    Probe("strided", "logits that lie in memory with a stride of two", logits.strided, _always),
    Probe("transposed", "logits that lie in memory with their axes reversed", logits.transposed, logits.transposable),
    Probe("micro-batches", "12 rows, 5 ignored, unequally over their parts", labels.chunks, labels.chunkable, 12),
    Probe("mass", "target masses that add up to 2", labels.mass, labels.soft),
    Probe("zero-masses", "target masses of exactly 0", labels.zeros, labels.soft),
    Probe("masked-logit", "masked classes that lead by 800", logits.masked, logits.masks),
    *_gap("moderate", gaps.moderate, "25 or 29"),
    *_gap("far", gaps.far, "800"),
    *_gap("rounding", gaps.rounding, "just less or more than -log(unit roundoff)"),
    *_gap("overflow", gaps.overflow, "just less or more than log(largest number)"),
    *_gap("underflow", gaps.underflow, "just less or more than -log(half the smallest number)"),
    _gap("sweep", gaps.sweep, "4 to 80")[0],
    Probe("offset-overflow", "logits beyond log(max)", logits.offset(logits.OFFSET_OVERFLOW), logits.unbounded),
    Probe("offset-below", "logits below -log(max)", logits.offset(logits.OFFSET_OVERFLOW, -1.0), logits.unbounded),
    Probe("offset-small", "8 added to every logit", logits.offset(logits.OFFSET_SMALL), logits.unbounded),
    Probe("offset-large", "1e6 added to every logit", logits.offset(logits.OFFSET_LARGE), logits.unbounded),
    Probe("rows-apart", "rows far below other rows", logits.apart, logits.several_rows),
    Probe("tiny", "logits down to the smallest numbers", logits.tiny, _always),
    Probe("equal", "equal logits, so many that a 16-bit sum sticks", logits.equal, _always, 2, _equal_width),
    Probe(
        "many-classes", "517 classes: no block of 4, 8, 16 or 32 divides them", _unchanged, _free, None, _width(517)
    ),
    Probe("many-rows", "2,053 rows of 3 classes", _unchanged, _rows, 2053, _width(3)),
    Probe("one-row", "a single row", _unchanged, _rows, 1),
    Probe("two-rows", "two rows", _unchanged, _rows, 2),
    *(_length(classes) for classes in range(1, 18)),
    Probe("minus-infinity", "a class of -inf that is nobody's target", logits.minus_infinity, logits.with_infinity),
    Probe("infinite-row", "a row of -inf, ignored if it has a label", logits.infinite_row, logits.with_infinite_row),
    Probe("all-ignored", "every row ignored: no row is left for the mean", labels.all_ignored, labels.ignores),
    Probe("zero-weights", "only labels that weigh nothing", labels.zero_weights, labels.has_zero_weights),
    Probe("label-too-large", "a label beyond the classes", labels.too_large, labels.labelled),
    Probe("label-negative", "a label below 0", labels.negative, labels.labelled),
)

KNOWN = tuple(probe.name for probe in PROBES)
"""The names of all probes."""

_BY_NAME = {probe.name: probe for probe in PROBES}


def names(case: Case) -> tuple[str, ...]:
    """The standard probes of a case, cheap and telling ones first."""
    setting = Setting(case)
    return tuple(probe.name for probe in PROBES if _exists(probe, setting, case.dtypes))


def summary(name: str) -> str:
    """What a probe is, in a few words."""
    return _BY_NAME[name].summary


def applies(case: Case, name: str) -> bool:
    """Whether a probe exists for a case."""
    return _exists(_BY_NAME[name], Setting(case), case.dtypes)


def inputs(case: Case, probe: str, dtype: str, seed: int) -> Inputs:
    """A probe's arrays in `dtype`: shapes and axes like the case's, exact from there on. Equal arguments give equal
    bits. KeyError for a probe that does not exist."""
    known = _BY_NAME[probe]
    draws = np.random.default_rng([seed, zlib.crc32(probe.encode())])
    classes = None if known.classes is None else known.classes(dtype)
    sketch = ordinary(Setting(case), dtype, draws, known.rows, classes)
    known.change(sketch)
    return sketch.finished(dtype, probe)


def _exists(probe: Probe, setting: Setting, dtypes: tuple[str, ...]) -> bool:
    if not probe.applies(setting):
        return False
    widths = [None] if probe.classes is None else [probe.classes(dtype) for dtype in dtypes]
    sizes = [setting.sizes(probe.rows, width) for width in widths]
    return all(rows * classes <= MOST_ELEMENTS and len(setting.candidates(classes)) for rows, classes in sizes)
