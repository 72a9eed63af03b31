"""An ONNX file's own gradient beside that of its loss, differentiated anew: element by element, in two precisions.

Both gradients are computed in a narrow format (the file's, or float32 beside a file in float64) and in float64. What
is left of their difference in float64 is not rounding where it exceeds what rounding made of either of them in the
narrow format, whose roundings are larger by a factor of 2^29 or more, and one rounding of the value there. Where both
formats cancel to the same (p - 1 is 0 where p rounds to 1) the narrow one tells of no rounding: what float64 rounds
of terms as large as the upstream gradient or the largest element, one each, is allowed besides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gradaudit.measurement.audited import Audited
from gradaudit.numerics import formats
from gradaudit.records.measurement import Breach

FAULT = "forward-and-backward-disagree"
NAMES = ("own", "derived", "own_wide", "derived_wide")


def breaches(entries: Sequence[Audited]) -> Iterator[Breach]:
    """One breach at most, of the first of the entries that shows it."""
    for entry in entries:
        found = [entry.evaluation.experiments.get(f"sliced.{name}") for name in NAMES]
        if all(each is not None for each in found):
            breach = _of(entry, *(np.asarray(each) for each in found))
            if breach is not None:
                yield breach
                return


def _of(
    entry: Audited, own: np.ndarray, derived: np.ndarray, own_wide: np.ndarray, derived_wide: np.ndarray
) -> Breach | None:
    if len({each.shape for each in (own, derived, own_wide, derived_wide)}) > 1:
        return None  # a gradient of another shape than the logits is told as that
    u = formats.get(own.dtype.name).unit_roundoff
    with np.errstate(all="ignore"):
        rounding = np.abs(own.astype(np.float64) - own_wide) + np.abs(derived.astype(np.float64) - derived_wide)
        allowed = rounding + u * np.maximum(np.abs(own_wide), np.abs(derived_wide))
        largest = max(_largest(each) for each in (own_wide, derived_wide, entry.inputs.upstream))
        allowed += own.size * formats.get("float64").unit_roundoff * largest
        difference = np.abs(own_wide - derived_wide)
        # What is not finite in the narrow format bounds nothing, and says nothing.
        wrong = np.isfinite(difference) & np.isfinite(allowed) & ~(difference <= allowed)
    if not wrong.any():
        return None
    index = np.unravel_index(int(np.argmax(np.where(wrong, difference, -1.0))), wrong.shape)
    count = int(wrong.sum())
    statement = (
        f"its own gradient output is not the derivative of its loss: at {[int(i) for i in index]} it is "
        f"{float(own_wide[index]):.6g} and the derivative is {float(derived_wide[index]):.6g}, and so in {count} of "
        f"{wrong.size} elements (both in float64; {entry.evaluation.notes.get('defined')})"
    )
    return Breach(FAULT, entry.evaluation.key, statement, (("elements", count), ("of", int(wrong.size))))


def _largest(array: np.ndarray | None) -> float:
    """The largest finite magnitude."""
    values = np.abs(np.zeros(0) if array is None else np.asarray(array, np.float64))
    return float(values[np.isfinite(values)].max(initial=0.0))
