"""float64 to a candidate's dtype in one rounding, to nearest with ties to even."""

from __future__ import annotations

import numpy as np

from gradaudit.numerics import formats

BLOCK = 1 << 18
"""Elements that are converted at a time: 2 MiB of float64, which stays in the cache."""


def rounded(values: np.ndarray, dtype: str, *factors: float) -> np.ndarray:
    """`values` times the `factors`, rounded once to the format called `dtype`.

    The products are formed in float64, one factor after the other. Finite values beyond the format become infinite:
    that is what the dtype makes of them. An array that has the dtype already, and no factor but 1, is returned as it
    is (a memory map stays one).
    """
    target = formats.dtype(dtype)
    factors = tuple(factor for factor in factors if factor != 1.0)
    if not factors and values.dtype == target:
        return values
    source = values if values.flags.c_contiguous else np.ascontiguousarray(values)
    result = np.empty(values.shape, dtype=target)
    flat, out = source.reshape(-1), result.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for start in range(0, flat.size, BLOCK):
            block = flat[start : start + BLOCK].astype(np.float64)
            for factor in factors:
                block *= factor
            out[start : start + BLOCK] = (_to_odd(block) if dtype == "bfloat16" else block).astype(target)
    return result


def _to_odd(values: np.ndarray) -> np.ndarray:
    """float64 rounded to odd in float32, from where rounding to bfloat16 is right.

    ml_dtypes converts float64 to bfloat16 by way of float32, which rounds twice: 1 + 2**-8 + 2**-40 would become 1.
    Rounded to odd, an inexact float32 keeps its last bit set and so never looks like a tie (Boldo & Melquiond,
    IEEE TC 57(4), 2008: right whenever the wider format has two bits more than the narrower).
    """
    nearest = values.astype(np.float32)
    back = nearest.astype(np.float64)
    bits = nearest.view(np.uint32)
    inexact = (back != values) & np.isfinite(back)
    # Step back to the truncated value, whose successor away from zero is the other neighbour; then set the last bit.
    bits = np.where(inexact & (np.abs(back) > np.abs(values)), bits - 1, bits)
    return np.where(inexact, bits | 1, bits).astype(np.uint32).view(np.float32)
