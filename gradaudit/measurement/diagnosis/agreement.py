"""What of a subject is right, by one formulation for all its evaluations.

A measurement of an evaluation that no row explains is given under the tightest row. Its loss may be right all the
same, by a row that explains the loss of every evaluation: a subject that subtracts a logit from a logsumexp loses
digits at an offset, whatever becomes of its gradient. The same of the gradient of a subject whose loss is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradaudit.measurement.diagnosis.prediction import Bounded, due, floor, roundings
from gradaudit.measurement.diagnosis.scales import loss_interval, row_scales
from gradaudit.measurement.diagnosis.view import View
from gradaudit.reference.ladder import ToleranceRow


def settle(views: Sequence[View], rows: Sequence[ToleranceRow]) -> None:
    """Take for right in every evaluation what one admissible row explains in all of them."""
    finite = [view for view in views if view.finite and view.loss is not None]
    losses = [view for view in finite if not view.output_right]
    gradients = [view for view in finite if not view.gradient_right]
    for which, wrong in (("output", losses), ("gradient", gradients)):
        # What is wrong nearly everywhere is wrong: no formulation loses digits on ordinary inputs alone.
        if not wrong or 2 * len(wrong) > len(finite) or len(finite) < len(views):
            continue
        ordered = sorted(wrong, key=lambda view: view.x.size)
        ordered += [view for view in finite if view not in wrong]
        if any(_explains_all(ordered, row, which) for row in rows if _admissible(row)):
            for view in wrong:
                view.take_for_right(which)


def _admissible(row: ToleranceRow) -> bool:
    """Not a weaker precision, nor a row so wide that it hides what is small."""
    return not (row.weaker or row.must_regain or (row.primitives is not None and row.primitives.hides_tail))


def _explains_all(views: Sequence[View], row: ToleranceRow, which: str) -> bool:
    decided = 0
    for view in views:
        exact = due(view, row)
        part = exact.output if which == "output" else exact.gradient
        if not _explains(view, part, which):
            return False
        decided += bool(np.any(np.abs(part.mid) > part.rad))
    return 2 * decided > len(views)


def _explains(view: View, exact: Bounded, which: str) -> bool:
    """Whether the factor 1 is among those by which the exact values make what was returned."""
    if which == "gradient":
        silent = (exact.mid == 0.0).all(axis=1) & (exact.rad == 0.0).all(axis=1)
        if np.any(np.abs(view.gradient[silent]) > floor(view)):
            return False
        low, high = row_scales(exact, view.gradient, roundings(view), floor(view)).shared()
    elif view.elementwise:
        assert view.loss is not None
        rows = view.loss.shape[0]
        part = Bounded(exact.mid[:rows], exact.rad[:rows])
        low, high = row_scales(part, view.loss, roundings(view), floor(view)).shared()
    else:
        low, high = loss_interval(view, exact)
    return low <= 1.0 <= high
