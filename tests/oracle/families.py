"""Families of logits that exercise every regime of softmax and cross entropy, in each dtype; and what goes with them.

The families are those on which the bounds of docs/numerics.md were verified: normal logits of five scales, common
offsets, gaps on both sides of every saturation threshold, logsumexp close to 0, equal logits, ramps, the most
negative finite number, tiny and one-hot-like logits, subnormal logits and subnormal probabilities. Every value is
rounded once to the dtype; everything is a function of (dtype, n, rows, seed) alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator

import ml_dtypes
import numpy as np

DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
SIZES = (2, 3, 10, 64, 257, 1000)
GAPS = (7.5, 8.5, 10.0, 12.0, 16.0, 16.65, 17.5, 36.5, 60.0, 88.0, 104.5, 150.0)
DEEP_GAPS = (37.5, 300.0, 708.0, 709.5, 740.0, 750.0)
OFFSETS = (1e2, 1e3, 1e4, 1e5, 1e6)
SCALES = (0.1, 1.0, 5.0, 20.0, 50.0)
Draw = Callable[[np.random.Generator, int, int], np.ndarray]


def families(dtype: str, n: int, rows: int, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (family, logits `[rows, n]` in the dtype) for every family; the same arguments give the same arrays."""
    for name, draw in _draws(dtype):
        generator = _generator(name, dtype, n, rows, seed)
        yield name, _rounded(draw(generator, rows, n), dtype)


def family_names(dtype: str) -> tuple[str, ...]:
    """Return the names of a dtype's families, in the order of `families`."""
    return tuple(name for name, _ in _draws(dtype))


def labels(logits: np.ndarray, seed: int) -> np.ndarray:
    """Return int64 class indices `[rows]`: the largest logit in even rows, a random class in odd ones."""
    rows, n = logits.shape
    chosen = _generator("labels", n, rows, seed).integers(0, n, size=rows)
    chosen[::2] = logits.astype(np.float64).argmax(axis=1)[::2]
    return chosen.astype(np.int64)


def upstream(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """Return standard normal values, rounded to the dtype."""
    return _rounded(_generator("upstream", *shape, seed).standard_normal(shape), dtype)


def probabilities(logits: np.ndarray, dtype: str, seed: int) -> np.ndarray:
    """Return target probabilities `[rows, n]` that sum to 1 but for rounding.

    Spread over all classes in every third row, two classes in the next, one-hot in the third.
    """
    rows, n = logits.shape
    generator = _generator("probabilities", n, rows, seed)
    spread = generator.dirichlet(np.ones(n), size=rows)
    pairs = np.zeros((rows, n))
    share = generator.random(rows)
    pairs[np.arange(rows), generator.integers(0, n, size=rows)] += share
    pairs[np.arange(rows), generator.integers(0, n, size=rows)] += 1.0 - share
    hot = np.zeros((rows, n))
    hot[np.arange(rows), labels(logits, seed)] = 1.0
    kind = (np.arange(rows) % 3)[:, np.newaxis]
    return _rounded(np.where(kind == 0, spread, np.where(kind == 1, pairs, hot)), dtype)


def weights(n: int, dtype: str, seed: int) -> np.ndarray:
    """Return positive class weights in [0.25, 2), one of them 0 from four classes on."""
    values = _generator("weights", n, seed).uniform(0.25, 2.0, size=n)
    if n >= 4:
        values[n // 2] = 0.0
    return _rounded(values, dtype)


def _draws(dtype: str) -> Iterable[tuple[str, Draw]]:
    info = ml_dtypes.finfo(DTYPES[dtype])
    largest, smallest, smallest_normal = float(info.max), float(info.smallest_subnormal), float(info.smallest_normal)
    draws: list[tuple[str, Draw]] = [(f"normal_{scale:g}", _normal(scale)) for scale in SCALES]
    draws += [(f"offset_{offset:g}", _offset(offset, float(info.eps))) for offset in OFFSETS if offset < largest / 2]
    gaps = GAPS + DEEP_GAPS if dtype == "float64" else GAPS
    draws += [(f"gap_{gap:g}", _gap(gap)) for gap in gaps]
    draws += [
        ("lse_zero", _lse_zero),
        ("equal", _equal),
        ("ramp", _ramp),
        ("lowest", _lowest(largest)),
        ("tiny", _tiny(smallest_normal)),
        ("one_hot", _one_hot),
        ("subnormal_logits", _subnormal_logits(smallest)),
        ("subnormal_probabilities", _subnormal_probabilities(smallest, smallest_normal)),
    ]
    return draws


def _normal(scale: float) -> Draw:
    return lambda generator, rows, n: generator.standard_normal((rows, n)) * scale


def _offset(offset: float, eps: float) -> Draw:
    """Normal logits about +offset and -offset; half the rows in units of the spacing there, so as not to be equal."""

    def draw(generator: np.random.Generator, rows: int, n: int) -> np.ndarray:
        row = np.arange(rows)[:, np.newaxis]
        spread = np.where(row % 2 == 0, 1.0, 4.0 * eps * offset)
        return np.where(row % 4 < 2, offset, -offset) + generator.standard_normal((rows, n)) * spread

    return draw


def _gap(gap: float) -> Draw:
    """One class that leads the others by the gap, exactly in even rows and about in odd ones."""

    def draw(generator: np.random.Generator, rows: int, n: int) -> np.ndarray:
        row = np.arange(rows)
        others = generator.standard_normal((rows, n)) * np.where(row % 2 == 0, 0.0, 0.25)[:, np.newaxis]
        others[row, generator.integers(0, n, size=rows)] = gap
        return others - np.where(row % 4 < 2, 0.0, gap)[:, np.newaxis]

    return draw


def _lse_zero(generator: np.random.Generator, rows: int, n: int) -> np.ndarray:
    logits = generator.standard_normal((rows, n)) * np.resize((0.5, 3.0), rows)[:, np.newaxis]
    logits -= logits.max(axis=1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def _equal(generator: np.random.Generator, rows: int, n: int) -> np.ndarray:
    values = np.resize((0.0, 1.0, -3.3, 17.0, -1e3, 0.1), rows)
    return np.repeat(values[:, np.newaxis], n, axis=1)


def _ramp(generator: np.random.Generator, rows: int, n: int) -> np.ndarray:
    spans = np.resize((1.0, 10.0, 80.0, 160.0), rows)[:, np.newaxis]
    ramps = np.linspace(0.0, 1.0, n)[np.newaxis, :] * spans
    return np.where(np.arange(rows)[:, np.newaxis] % 2 == 0, ramps, -ramps)


def _lowest(largest: float) -> Draw:
    """Normal logits, one of which is the most negative finite number (masks are often written so)."""

    def draw(generator: np.random.Generator, rows: int, n: int) -> np.ndarray:
        logits = generator.standard_normal((rows, n)) * np.resize((1.0, 5.0), rows)[:, np.newaxis]
        logits[np.arange(rows), generator.integers(0, n, size=rows)] = -largest
        return logits

    return draw


def _tiny(smallest_normal: float) -> Draw:
    """Logits far below 1: from 1e-2 down to the smallest normal number of the dtype."""

    def draw(generator: np.random.Generator, rows: int, n: int) -> np.ndarray:
        sizes = np.resize(np.geomspace(1e-2, 2.0 * smallest_normal, 5), rows)[:, np.newaxis]
        return generator.standard_normal((rows, n)) * sizes

    return draw


def _one_hot(generator: np.random.Generator, rows: int, n: int) -> np.ndarray:
    logits = np.zeros((rows, n))
    logits[np.arange(rows), generator.integers(0, n, size=rows)] = np.resize((1.0, 2.0, 5.0, 20.0, -5.0), rows)
    return logits


def _subnormal_logits(smallest: float) -> Draw:
    return lambda generator, rows, n: generator.integers(-100, 101, size=(rows, n)) * smallest


def _subnormal_probabilities(smallest: float, smallest_normal: float) -> Draw:
    """A leading class, and others whose probabilities lie in and just about the subnormal range."""

    def draw(generator: np.random.Generator, rows: int, n: int) -> np.ndarray:
        deep, shallow = np.log(smallest) - 1.5, np.log(smallest_normal) + 1.5
        logits = generator.uniform(deep, shallow, size=(rows, n))
        logits[np.arange(rows), generator.integers(0, n, size=rows)] = 0.0
        return logits + np.resize((0.0, 0.0, 5.0), rows)[:, np.newaxis]

    return draw


def _generator(*key: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def _rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    """One rounding to the dtype, with a check that nothing became infinite."""
    with np.errstate(under="ignore"):
        rounded = values.astype(DTYPES[dtype])
    if not np.isfinite(rounded.astype(np.float64)).all():
        raise OverflowError(f"a value beyond the range of {dtype}")
    return rounded
