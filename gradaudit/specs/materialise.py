"""A case at one dtype and scale, as arrays: drawn, read or generated, and rounded once."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from gradaudit.errors import RequestError, SpecError
from gradaudit.records.case import ArraySource, Case, FileArray, GridArray, InlineArray, RandomArray
from gradaudit.records.inputs import Inputs
from gradaudit.specs import files, shapes
from gradaudit.specs.parameters import ignored_label
from gradaudit.specs.rounding import rounded
from gradaudit.specs.targets import bad_labels, label_message, masked_mass
from gradaudit.specs.wording import number, shape_text

Draw = Callable[[str, tuple[int, ...], int], np.ndarray]
"""`draw(distribution, shape, seed)` is torch's float32 draw: "uniform" by torch.rand, "normal" by torch.randn."""

_LOGITS, _TARGETS, _UPSTREAM = range(3)
"""What is drawn without a seed of its own: streams of the run's seed, so that no two are the same numbers."""


def materialise(case: Case, dtype: str, scale: float, seed: int, draw: Draw) -> Inputs:
    """The arrays of `case` at `dtype` and `scale`.

    Logits are multiplied by `scale` in float64 and rounded once; a finite number beyond the dtype becomes infinite.
    `seed` is the run's, for what has none of its own; `draw` is called only for `generator: torch`. Equal arguments
    give equal bits. Float32 logits of a file, unscaled and audited as float32, stay a memory map. Raises SpecError
    where a file changed, or holds targets that are out of range.
    """
    try:
        logits, factor = _logits(case.logits, seed, draw)
        targets = None if case.targets is None else _targets(case, case.targets, dtype, seed)
    except files.FileProblem as problem:
        raise SpecError(str(problem), case.source) from None
    weight = case.function.parameters.get("weight")
    return Inputs(
        function=case.function,
        dtype=dtype,
        scale=scale,
        axis=case.axis,
        logits=rounded(logits, dtype, factor, scale),
        targets=targets,
        upstream=_upstream(case, dtype, seed, draw),
        per_output=case.upstream.kind == "per_output",
        weight=rounded(np.array(weight, dtype=np.float64), dtype) if isinstance(weight, tuple) else None,
        device=case.device,
    )


def needs_torch(case: Case) -> bool:
    """Whether `draw` will be called for the case."""
    return any(
        isinstance(each, RandomArray) and each.generator == "torch" for each in (case.logits, case.upstream.source)
    )


def _logits(source: ArraySource, seed: int, draw: Draw) -> tuple[np.ndarray, float]:
    """The logits as they come, and the factor of a random source."""
    if isinstance(source, RandomArray):
        return _drawn(source, seed, _LOGITS, draw), source.scale
    return _fixed(source), 1.0


def _fixed(source: InlineArray | FileArray | GridArray) -> np.ndarray:
    if isinstance(source, InlineArray):
        return source.values
    if isinstance(source, FileArray):
        return files.open_array(source.path, source.key, source.shape)
    first, second = (np.linspace(start, stop, count) for start, stop, count in (source.first, source.second))
    return np.stack([np.repeat(first, len(second)), np.tile(second, len(first))], axis=1)


def _drawn(source: RandomArray, seed: int, stream: int, draw: Draw) -> np.ndarray:
    """Uniform or normal numbers, not yet multiplied by the source's scale."""
    if source.generator == "torch":
        values = draw(source.distribution, source.shape, seed + stream if source.seed is None else source.seed)
        if values.dtype != np.float32 or values.shape != source.shape:
            raise RequestError(
                f"torch drew {values.dtype} {shape_text(values.shape)}; expected float32 {shape_text(source.shape)}"
            )
        return values
    generator = _generator(source.seed, seed, stream)
    return (
        generator.random(source.shape)
        if source.distribution == "uniform"
        else generator.standard_normal(source.shape)
    )


def _generator(own: int | None, seed: int, stream: int) -> np.random.Generator:
    if own is not None:
        return np.random.default_rng(own)
    return np.random.default_rng(seed if stream == _LOGITS else [seed, stream])


def _upstream(case: Case, dtype: str, seed: int, draw: Draw) -> np.ndarray | None:
    shape = shapes.output_shape(case.function, case.shape, case.axis)
    source = case.upstream.source
    if case.upstream.kind == "per_output":
        return None
    if source is None:
        return rounded(np.ones(shape), dtype)
    if isinstance(source, InlineArray):
        values = source.values.reshape(()) if not shape else np.broadcast_to(source.values, shape)
        return rounded(values.copy(), dtype)
    drawn = _drawn(source, seed, _UPSTREAM, draw)
    return rounded(drawn, dtype, source.scale)


def _targets(case: Case, source: ArraySource, dtype: str, seed: int) -> np.ndarray:
    """int64 class indices without the class axes, or probabilities in the candidate's dtype."""
    left_out = frozenset(_masked(case))
    if isinstance(source, RandomArray):
        generator = _generator(source.seed, seed, _TARGETS)
        if source.distribution == "probabilities":
            return rounded(_drawn_probabilities(case, generator, left_out), dtype)
        return _drawn_labels(case, source, generator, left_out)
    values = _fixed(source)
    if values.dtype.kind in "iu":
        labels = values.reshape(shapes.row_shape(case.shape, case.axis))
        if isinstance(source, FileArray):
            _check_labels(case, source, labels, left_out)
        return labels.astype(np.int64)
    if isinstance(source, FileArray):
        _check_probabilities(case, source, values, left_out)
    return rounded(values, dtype)


def _masked(case: Case) -> tuple[int, ...]:
    classes = case.function.parameters.get("masked_classes")
    return classes if isinstance(classes, tuple) else ()


def _drawn_labels(
    case: Case, source: RandomArray, generator: np.random.Generator, left_out: frozenset[int]
) -> np.ndarray:
    """Labels drawn evenly over the classes that take part, `ignored` rows of them, evenly spread, ignore_index."""
    ignore_index = ignored_label(case.function)
    taking_part = np.setdiff1d(
        np.arange(shapes.classes(case.shape, case.axis)),
        [*sorted(left_out), *([ignore_index] if isinstance(ignore_index, int) else [])],
    )
    rows = prod(source.shape)
    labels = taking_part[generator.integers(0, len(taking_part), size=rows)].astype(np.int64)
    if source.ignored and isinstance(ignore_index, int):
        labels[(2 * np.arange(source.ignored) + 1) * rows // (2 * source.ignored)] = ignore_index
    return labels.reshape(source.shape)


def _drawn_probabilities(case: Case, generator: np.random.Generator, left_out: frozenset[int]) -> np.ndarray:
    """float64 probabilities, uniform over the simplex of the classes that take part."""
    masses = generator.standard_exponential(case.shape)
    for class_number in left_out:
        row = tuple(0 for _ in shapes.row_shape(case.shape, case.axis))
        position = shapes.dense_index(row, class_number, case.shape, case.axis)
        masses[tuple(position[index] if index in case.axis else slice(None) for index in range(masses.ndim))] = 0.0
    return np.asarray(masses / masses.sum(axis=case.axis, keepdims=True))


def _check_labels(case: Case, source: FileArray, labels: np.ndarray, left_out: frozenset[int]) -> None:
    classes, ignore_index = shapes.classes(case.shape, case.axis), ignored_label(case.function)
    bad = np.argwhere(bad_labels(labels, classes, ignore_index, left_out))
    if len(bad):
        place = tuple(int(position) for position in bad[0])
        message = label_message(int(labels[place]), classes, ignore_index, left_out)
        raise SpecError(f"{message} ({source.path}, element {list(place)}; {len(bad)} in all)", case.source)


def _check_probabilities(case: Case, source: FileArray, values: np.ndarray, left_out: frozenset[int]) -> None:
    bad = np.argwhere(~((values >= 0) & (values <= 1)))
    if len(bad):
        place = tuple(int(position) for position in bad[0])
        raise SpecError(
            f"targets: {number(float(values[place]))} is no probability; expected 0 to 1 ({source.path}, element "
            f"{list(place)}; {len(bad)} in all)",
            case.source,
        )
    for place in masked_mass(values, case.shape, case.axis, left_out):
        raise SpecError(
            f"targets: a masked class (masked_classes) has the probability {number(float(values[place]))}; "
            f"expected 0 ({source.path}, element {list(place)})",
            case.source,
        )
