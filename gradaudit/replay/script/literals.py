"""Arrays and numbers as Python source: small ones as literals, larger ones in a file beside the script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

MOST_ELEMENTS = 64
"""Of larger arrays nobody reads the literal."""


def number(value: float) -> str:
    """A float64 as it is read back, bit for bit (but for the payload of a NaN)."""
    return repr(float(value)) if math.isfinite(value) else f'float("{float(value)}")'


def is_small(array: np.ndarray) -> bool:
    """Whether an array is written into the script."""
    return array.size <= MOST_ELEMENTS


def readable(array: np.ndarray) -> np.ndarray:
    """bfloat16 as the same numbers in float32, which every NumPy has; other arrays as they are."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def array(values: np.ndarray) -> str:
    """`np.array(...)` of an array, which gives the same bits."""
    return f'np.array({_nested(values)}, dtype="{values.dtype.name}").reshape({values.shape})'


def keywords(values: Mapping[str, object], tensor: str) -> str:
    """Keyword arguments as a dictionary; {"tensor": [...]} is made by `tensor`, a format of one field."""
    entries = ", ".join(f"{name!r}: {_keyword(value, tensor)}" for name, value in values.items())
    return f"{{{entries}}}"


def _keyword(value: object, tensor: str) -> str:
    if isinstance(value, Mapping) and set(value) == {"tensor"}:
        return tensor.format(_plain(value["tensor"]))
    return _plain(value)


def _plain(value: object) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_plain(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_plain(entry) for entry in value) + "]"
    return repr(value)


def _nested(values: np.ndarray) -> str:
    if values.ndim == 0:
        return str(int(values)) if values.dtype.kind in "iu" else _shortest(values[()])
    return "[" + ", ".join(_nested(entry) for entry in np.asarray(values)) + "]"


def _shortest(value: Any) -> str:
    """As few digits as still give this number of this dtype."""
    if not math.isfinite(value):
        return number(float(value))
    short = str(value)
    return short if type(value)(float(short)) == value else repr(float(value))
