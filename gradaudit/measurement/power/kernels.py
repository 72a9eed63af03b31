"""Faults of softmax and its logarithm, planted into the functions that are nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradaudit.measurement.power.scene import Planted, Scene
from gradaudit.numerics import formats
from gradaudit.numerics.formats import Format

KERNEL_RANGE = {"float16": "float32", "bfloat16": "float32", "float32": "float32", "float64": "float64"}
"""In whose range exponentials are computed for a dtype: kernels of 16-bit types work in float32."""
CLAMP = 1e-7
Gathered = Callable[[np.ndarray], np.ndarray]


def range_of(dtype: str) -> Format:
    """The format whose range the exponentials have."""
    return formats.get(KERNEL_RANGE[dtype])


def from_probabilities(scene: Scene, p: np.ndarray, gathered: Gathered) -> Planted | None:
    """The function on other probabilities, [rows, classes]; `gathered` adds up what was normalised together."""
    with np.errstate(divide="ignore"):
        return _rebuilt(scene, np.log(p), p, gathered)


def _rebuilt(scene: Scene, logarithms: np.ndarray, p: np.ndarray, gathered: Gathered) -> Planted | None:
    if not scene.plain:
        return None
    u = scene.cotangent
    if scene.takes_targets:
        return _entropy(scene, logarithms, p, gathered, scene.mass)
    if scene.name == "softmax":
        return Planted(p, p * (u - gathered(p * u)) * scene.slope)
    return Planted(logarithms, (u - p * gathered(u)) * scene.slope)


def unfused(scene: Scene) -> Planted | None:
    """log(softmax) in two steps: infinite where the stored probability is 0, no number where 1 / p overflows."""
    if not scene.plain or scene.name == "softmax":
        return None
    stored = _stored(scene.p, scene.form)
    concerned = scene.cotangent != 0.0 if scene.elementwise else scene.mass * scene.cotangent != 0.0
    concerned = concerned & (scene.z > -np.inf)
    lost = (concerned & (stored < 1.0 / scene.form.largest)).any(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        logarithms = np.log(stored)
    gradient = np.where(lost, np.nan, scene.gradient)
    if scene.elementwise:
        return Planted(logarithms, gradient)
    return Planted(_losses(scene, logarithms, scene.mass), gradient)


def clamped(scene: Scene) -> Planted | None:
    """Probabilities cut off at 1e-7 before the logarithm: below, the loss levels off and the gradient stops."""
    if not scene.plain or scene.name == "softmax":
        return None
    logarithms = np.log(np.maximum(scene.p, CLAMP))
    passing = scene.p >= CLAMP
    if scene.elementwise:
        u = scene.cotangent * passing
        return Planted(logarithms, (u - scene.p * _row_sum(u)) * scene.slope)
    return _entropy(scene, logarithms, scene.p, _row_sum, scene.mass * passing)


def low_precision(scene: Scene) -> Planted | None:
    """Every step kept in bfloat16; in 16-bit types a sum of exponentials that is kept in the dtype."""
    with np.errstate(invalid="ignore", under="ignore", divide="ignore"):
        shifted = scene.z - scene.z.max(axis=1, keepdims=True)
        if scene.form.precision <= formats.get("float16").precision:
            total = np.add.accumulate(np.exp(shifted).astype(formats.dtype(scene.dtype)), axis=1)[:, -1:]
            logarithms = shifted - np.log(total.astype(np.float64))
            return _rebuilt(scene, logarithms, np.exp(logarithms), _row_sum)
        low = formats.get("bfloat16")
        shifted = _stored(shifted, low)
        weights = _stored(np.exp(shifted), low)
        total = _stored(weights.sum(axis=1, keepdims=True), low)
        logarithms = _stored(shifted - _stored(np.log(total), low), low)
        return _rebuilt(scene, logarithms, _stored(weights / total, low), _row_sum)


def _entropy(scene: Scene, logarithms: np.ndarray, p: np.ndarray, gathered: Gathered, passing: np.ndarray) -> Planted:
    """Loss on other log-probabilities, and a gradient on other probabilities to which `passing` mass contributes."""
    c = scene.cotangent * passing
    return Planted(_losses(scene, logarithms, scene.mass), (p * gathered(c) - c) * scene.slope)


def _losses(scene: Scene, logarithms: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """The exact losses, moved by what the log-probabilities moved; 0 log 0 is 0."""
    carries = mass != 0.0
    with np.errstate(invalid="ignore"):
        moved = np.where(carries, mass * (scene.log_p - logarithms), 0.0).sum(axis=1, keepdims=True)
    return scene.reduced(scene.row_outputs + moved)


def _row_sum(values: np.ndarray) -> np.ndarray:
    return np.asarray(values.sum(axis=1, keepdims=True))


def _stored(values: np.ndarray, form: Format) -> np.ndarray:
    with np.errstate(under="ignore", over="ignore"):
        return values.astype(formats.dtype(form.name)).astype(np.float64)
