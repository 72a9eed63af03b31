"""The binary floating-point formats that are audited, and their units in the last place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np


@dataclass(frozen=True, slots=True)
class Format:
    """A binary format: `precision` bits in the significand, exponents `emin`..`emax` (IEEE 754 naming)."""

    name: str
    precision: int
    emin: int
    emax: int

    @property
    def unit_roundoff(self) -> float:
        """u, half the distance from 1 to the next larger number."""
        return 2.0**-self.precision

    @property
    def smallest_normal(self) -> float:
        """The smallest positive normal number."""
        return 2.0**self.emin

    @property
    def smallest_subnormal(self) -> float:
        """eta, the smallest positive number and the spacing of the subnormal ones."""
        return 2.0 ** (self.emin - self.precision + 1)

    @property
    def largest(self) -> float:
        """The largest finite number."""
        return (2.0 - 2.0 ** (1 - self.precision)) * 2.0**self.emax


FORMATS = {
    "float16": Format("float16", 11, -14, 15),
    "bfloat16": Format("bfloat16", 8, -126, 127),
    "float32": Format("float32", 24, -126, 127),
    "float64": Format("float64", 53, -1022, 1023),
}


def get(name: str) -> Format:
    """The format called `name`; KeyError for a name that is none of `FORMATS`."""
    return FORMATS[name]


@cache
def dtype(name: str) -> np.dtype[np.generic]:
    """The NumPy dtype that stores the format; bfloat16 comes from ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes  # only those who ask for bfloat16 pay for its import

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def name_of(array: np.ndarray) -> str:
    """The name of the array's format, or NumPy's name of a dtype that is no audited format."""
    return str(array.dtype.name)


_EXPONENT_BITS = np.uint64(0x7FF0000000000000)


def ulp(values: np.ndarray, form: Format) -> np.ndarray:
    """The unit in the last place of `form` at each of the float64 `values`.

    At 0 and among subnormal numbers it is the smallest subnormal number; at a power of two it is that of the
    binade above it (Goldberg's definition). Float64 values below 2^-1022 count as 0.
    """
    # Clearing sign and significand leaves 2^exponent, a hundredfold quicker than frexp.
    powers = (np.ascontiguousarray(values).view(np.uint64) & _EXPONENT_BITS).view(np.float64)
    scale = 2.0 ** (1 - form.precision)
    return np.maximum(powers, form.smallest_normal) * scale
