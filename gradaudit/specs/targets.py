"""The targets of a case: class indices or probabilities, inline, drawn or in a file."""

from __future__ import annotations

from math import prod

import numpy as np

from gradaudit.records.case import ArraySource, Case, FileArray, InlineArray, RandomArray
from gradaudit.specs import inline, shapes
from gradaudit.specs.array_models import DrawnTargets, FileValues, RandomTargets
from gradaudit.specs.draft import Draft
from gradaudit.specs.nodes import find
from gradaudit.specs.parameters import ignored_label, masked
from gradaudit.specs.wording import number, shape_text

MOST_PROBLEMS = 5


def build_targets(draft: Draft) -> ArraySource | None:
    """Where the targets come from; None where the function takes none, or after a complaint."""
    targets, name = draft.model.targets, draft.function.name
    if not draft.definition.takes_targets:
        if targets is not None:
            draft.complain_of_key(f"targets: {name} takes no targets; remove them, or name cross_entropy", "targets")
        return None
    if targets is None:
        draft.complain(
            f"targets are missing; {name} needs class indices of shape {shape_text(draft.row_shape)} or "
            f"probabilities of shape {shape_text(draft.shape)}, or {{random: {{seed: 1}}}}",
            "targets",
        )
        return None
    if isinstance(targets, FileValues):
        return _from_file(draft, targets)
    if isinstance(targets, DrawnTargets):
        return _drawn(draft, targets.random)
    return _inline(draft)


def fits(shape: tuple[int, ...], whole: bool, draft: Draft) -> str | None:
    """What targets of a shape are: "indices", "probabilities", or None where they fit neither."""
    rows = draft.row_shape
    single_row = prod(rows) == 1 and prod(shape) == 1 and len(shape) <= max(len(rows), 1)
    if whole and (shape == rows or single_row):
        return "indices"
    return "probabilities" if shape == draft.shape else None


def wrong_shape(shape: tuple[int, ...], whole: bool, draft: Draft) -> str:
    """What to say of targets that fit neither."""
    if not whole and shape == draft.row_shape:
        return f"targets: shape {shape_text(shape)} is that of class indices, which are whole numbers"
    return (
        f"targets: shape {shape_text(shape)} does not fit logits {shape_text(draft.shape)} with class axis "
        f"{shape_text(draft.axis)}; expected class indices of shape {shape_text(draft.row_shape)} or probabilities "
        f"of shape {shape_text(draft.shape)}"
    )


def has_ignored_rows(case: Case) -> bool:
    """Whether rows of the case's own targets are to be ignored, as far as that is known without reading a file."""
    label, source = ignored_label(case.function), case.targets
    if isinstance(source, RandomArray):
        return source.ignored > 0
    return isinstance(source, InlineArray) and label is not None and bool(np.any(source.values == label))


def bad_labels(labels: np.ndarray, classes: int, ignore_index: object, left_out: frozenset[int]) -> np.ndarray:
    """Which labels are neither a class that takes part nor `ignore_index`; booleans of the labels' shape."""
    bad = (labels < 0) | (labels >= classes) | np.isin(labels, sorted(left_out))
    return np.asarray(bad & (labels != ignore_index)) if isinstance(ignore_index, int) else np.asarray(bad)


def label_message(label: int, classes: int, ignore_index: object, left_out: frozenset[int]) -> str:
    """What to say of a bad label."""
    if label in left_out:
        return f"targets: class {label} is masked (masked_classes), so no row can have it as its label"
    ignored = f", or {ignore_index} for a row to ignore" if isinstance(ignore_index, int) else ""
    return f"targets: there is no class {label}; labels are 0 to {classes - 1}{ignored}"


def _inline(draft: Draft) -> InlineArray | None:
    node = find(draft.tree, ["targets"])
    parsed = inline.parse(node, "targets", draft.problems)
    if parsed is None:
        return None
    kind = fits(parsed.values.shape, parsed.whole, draft)
    if kind is None:
        draft.complain(wrong_shape(parsed.values.shape, parsed.whole, draft), "targets")
        return None
    if kind == "probabilities":
        _check_probabilities(draft, parsed.values)
        return InlineArray(parsed.values)
    labels = parsed.values.astype(np.int64)
    _check_labels(draft, labels)
    return InlineArray(labels.reshape(draft.row_shape))


def _check_labels(draft: Draft, labels: np.ndarray) -> None:
    ignore_index, left_out = ignored_label(draft.function), masked(draft)
    bad = bad_labels(labels, draft.classes, ignore_index, left_out)
    for index in np.argwhere(bad)[:MOST_PROBLEMS]:
        place = tuple(int(position) for position in index)
        message = label_message(int(labels[place]), draft.classes, ignore_index, left_out)
        draft.complain(message, "targets", *place)


def _check_probabilities(draft: Draft, values: np.ndarray) -> None:
    _check_ignore_index(draft)
    bad = ~((values >= 0) & (values <= 1))
    for index in np.argwhere(bad)[:MOST_PROBLEMS]:
        place = tuple(int(position) for position in index)
        draft.complain(
            f"targets: {number(float(values[place]))} is no probability; expected 0 to 1", "targets", *place
        )
    for place in masked_mass(values, draft.shape, draft.axis, masked(draft))[:MOST_PROBLEMS]:
        draft.complain(
            f"targets: a masked class (masked_classes) has the probability {number(float(values[place]))}; write 0",
            "targets",
            *place,
        )


def masked_mass(
    values: np.ndarray, shape: tuple[int, ...], axis: tuple[int, ...], left_out: frozenset[int]
) -> list[tuple[int, ...]]:
    """The first place of each masked class at which `values` puts any probability."""
    places = []
    for class_number in sorted(left_out):
        if class_number >= shapes.classes(shape, axis):
            continue
        rows = tuple(0 for index in range(len(shape)) if index not in axis)
        position = shapes.dense_index(rows, class_number, shape, axis)
        cut = tuple(position[index] if index in axis else slice(None) for index in range(len(shape)))
        found = np.argwhere(values[cut] != 0)
        if len(found):
            places.append(shapes.dense_index(tuple(int(part) for part in found[0]), class_number, shape, axis))
    return places


def _check_ignore_index(draft: Draft) -> None:
    ignore_index = draft.function.parameters.get("ignore_index")
    if isinstance(ignore_index, int) and ignore_index >= 0:
        draft.complain(
            f"function.ignore_index: {ignore_index} names a label, and the targets are probabilities; remove it",
            "function",
            "ignore_index",
        )


def _drawn(draft: Draft, drawn: RandomTargets) -> RandomArray | None:
    place = ("targets", "random", "ignored")
    if drawn.kind == "probabilities":
        _check_ignore_index(draft)
        if drawn.ignored:
            draft.complain("targets.random.ignored: only class indices can be ignored; use kind: indices", *place)
            return None
        return RandomArray("probabilities", draft.shape, drawn.seed)
    rows = prod(draft.row_shape)
    if drawn.ignored > rows:
        draft.complain(f"targets.random.ignored: {drawn.ignored} is more than the {rows} rows there are", *place)
        return None
    ignore_index = ignored_label(draft.function)
    if drawn.ignored and not isinstance(ignore_index, int):
        draft.complain(f"targets.random.ignored: {draft.function.name} ignores no rows", *place)
        return None
    if not set(range(min(draft.classes, len(masked(draft)) + 2))) - masked(draft) - {ignore_index}:
        draft.complain("targets.random: masked_classes and ignore_index leave no class to draw", "targets", "random")
        return None
    return RandomArray("indices", draft.row_shape, drawn.seed, ignored=drawn.ignored)


def _from_file(draft: Draft, values: FileValues) -> FileArray | None:
    source = draft.file(values, "targets")
    if source is None:
        return None
    whole = np.dtype(source.dtype).kind in "iu"
    kind = fits(source.shape, whole, draft)
    if kind is None:
        draft.complain(wrong_shape(source.shape, whole, draft), "targets", "file")
        return None
    if kind == "probabilities":
        _check_ignore_index(draft)
    return source
