"""What a framework answered, in the few words that a table of semantics has room for."""

from __future__ import annotations

import re

import numpy as np

from gradaudit.records.evaluation import Evaluation, EvaluationFailure
from gradaudit.records.semantics import Answer

MISSING = ("missing", "unsupported")
MOST = 12
"""Elements that are written out."""
LONGEST = 160
PLACE = re.compile(r"^\S*(\.onnx|\.py:[0-9]+ in \S+): ")
"""Where in our own files of calls an exception came from, which tells nobody anything."""


def answer(call: str, backend: str, result: Evaluation | EvaluationFailure) -> Answer:
    """The answer of one call: its arrays in words, or why there are none."""
    if isinstance(result, EvaluationFailure):
        if result.kind in MISSING:
            return Answer(call, backend, missing=_one_line(result.message))
        died = "" if result.kind == "raised" else f"{result.kind.replace('_', ' ')}: "
        return Answer(call, backend, refused=f"{died}{_one_line(result.message)}")
    unusable = result.notes.get("unusable")
    if unusable:
        return Answer(call, backend, refused=_one_line(str(unusable)))
    return Answer(call, backend, loss=_shown(result.output), gradient=_shown(result.gradient))


def _shown(values: np.ndarray | None) -> str:
    """`NaN`, `0.5514`, `[[0.1, NaN], [0, 0]]`; "all NaN" and "all 0" where that is all there is to say."""
    if values is None:
        return "none"
    wide = np.asarray(values).astype(np.float64)
    if wide.size > 1 and np.isnan(wide).all():
        return "all NaN"
    if wide.size > 1 and not wide.any():
        return "all 0"
    if wide.size > MOST:
        undefined = int(np.isnan(wide).sum())
        among = f", {undefined} of them NaN" if undefined else ""
        return f"{wide.size} numbers from {_number(np.nanmin(wide))} to {_number(np.nanmax(wide))}{among}"
    return _nested(wide)


def _nested(wide: np.ndarray) -> str:
    if wide.ndim == 0:
        return _number(float(wide))
    return f"[{', '.join(_nested(each) for each in wide)}]"


def _number(value: float) -> str:
    if np.isnan(value):
        return "NaN"
    return "0" if value == 0.0 else f"{value:.4g}"


def _one_line(text: str) -> str:
    line = PLACE.sub("", " ".join(text.split()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
