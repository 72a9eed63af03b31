"""The backends in this process, and their errors in units of the tolerance, by the oracle's exact values."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType

import numpy as np

from gradaudit.backends import numpy as numpy_backend
from gradaudit.backends import onnxruntime as onnxruntime_backend
from gradaudit.backends import torch as torch_backend
from gradaudit.backends.interface import Backend
from gradaudit.numerics import formats
from gradaudit.records.inputs import Inputs
from gradaudit.reference import ladder
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.tolerance import Tolerance
from gradaudit.reference.truth import Truth
from tests.oracle import direct, families
from tests.reference.against_oracle import gradient_rows, output_rows

BACKENDS: dict[str, Backend] = {
    backend.name: backend for backend in (numpy_backend.BACKEND, torch_backend.BACKEND, onnxruntime_backend.BACKEND)
}
FORMULATIONS = {
    "softmax": ("fused", "log_softmax", "unshifted"),
    "log_softmax": ("fused", "unfused", "unshifted"),
    "logsumexp": ("fused", "unshifted"),
    "cross_entropy": ("fused", "log_softmax", "unfused", "unshifted"),
}


@cache
def adapter(name: str) -> ModuleType:
    """A backend's adapter, loaded by path as its worker does, one thread."""
    spec = importlib.util.spec_from_file_location(f"adapter_of_{name}", BACKENDS[name].adapter)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.hello(1)
    return module


def evaluated(name: str, formulation: str, inputs: Inputs) -> dict[str, np.ndarray]:
    """What a backend returns: "output", and "gradient" or "jacobian", in their dtypes."""
    call = inputs.function
    request = {
        "function": call.name,
        "parameters": {
            key: list(value) if isinstance(value, tuple) else value for key, value in call.parameters.items()
        },
        "formulation": formulation,
        "dtype": inputs.dtype,
        "axis": list(inputs.axis),
        "per_output": inputs.per_output,
    }
    given = {"logits": inputs.logits, "targets": inputs.targets, "weight": inputs.weight}
    given["upstream"] = None if inputs.per_output else inputs.upstream
    arrays = {key: _bits(array.copy(order="C")) for key, array in given.items() if array is not None}
    found = adapter(name).evaluate(request, arrays)
    return {key: _values(*found[key]) for key in ("output", "gradient", "jacobian") if key in found}


def _bits(array: np.ndarray) -> np.ndarray:
    return array.view(np.uint16) if array.dtype == families.DTYPES["bfloat16"] else array


def _values(array: np.ndarray, dtype: str) -> np.ndarray:
    return np.asarray(array).view(families.DTYPES["bfloat16"]) if dtype == "bfloat16" else np.asarray(array)


@dataclass(frozen=True)
class Shares:
    """The errors of one array as shares of the tolerance, [rows, columns]; `decided` where that says something.

    `lost` marks NaN and infinities where a number within the range of the dtype is due; they have the share 0.
    """

    quantity: str
    ratio: np.ndarray
    decided: np.ndarray
    lost: np.ndarray

    @property
    def worst(self) -> float:
        return float(self.ratio.max(initial=0.0))

    @property
    def worst_decided(self) -> float:
        return float(self.ratio[self.decided].max(initial=0.0))


class Judge:
    """One set of inputs, its exact values by the oracle, and tolerances of any row."""

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.truth = Truth(inputs)
        self.exact = direct.evaluate(inputs)
        self.largest = formats.get(inputs.dtype).largest
        self._tolerances: dict[ToleranceRow, tuple[np.ndarray, list[np.ndarray]]] = {}

    @cached_property
    def _splits(self) -> list[direct.Split]:
        """The exact quantities, split once for all that is compared with them."""
        return [direct.Split.of(exact) for _, exact in self.quantities(self.exact)]

    def tolerances(self, row: ToleranceRow) -> tuple[np.ndarray, list[np.ndarray]]:
        """Of the output, and of the gradient under each unit; row by row. Backends share many rows."""
        if row not in self._tolerances:
            self._tolerances[row] = self._tolerances_of(row)
        return self._tolerances[row]

    def _tolerances_of(self, row: ToleranceRow) -> tuple[np.ndarray, list[np.ndarray]]:
        truth, tolerance = self.truth, Tolerance(self.truth, row)
        bounds = [tolerance.block(block) for block in truth.blocks()]
        outputs = [np.broadcast_to(tolerance.output(b).values, b.truth.output.mid.shape) for b in bounds]
        output = np.concatenate(outputs)
        if truth.reduced:
            with np.errstate(over="ignore"):
                losses = sum(float(np.abs(b.truth.output.mid).sum()) for b in bounds)
                output = np.array([[tolerance.reduced(losses, float(output.sum()))]])
        gradients = [np.concatenate([tolerance.gradient(b, unit).values for b in bounds]) for unit in truth.units]
        return output, gradients

    def quantities(self, arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        """The output and the gradients in `arrays` (returned or exact), row by row, in the order of tolerances."""
        truth = self.truth
        yield "output", arrays["output"].reshape(1, 1) if truth.reduced else output_rows(truth, arrays["output"])
        for index in range(len(truth.units)):
            yield "gradient", gradient_rows(truth, arrays, index)

    def shares(self, got: dict[str, np.ndarray], row: ToleranceRow) -> list[Shares]:
        """Error / tolerance of everything returned, under one row."""
        output, gradients = self.tolerances(row)
        pairs = zip(self.quantities(got), self._splits, [output, *gradients], strict=True)
        return [self._shares(name, array, exact, tolerance) for (name, array), exact, tolerance in pairs]

    def overflows_on_the_way(self) -> bool:
        """Whether a scaled logit, or a sum of losses before its division, is beyond the range of the dtype.

        No formulation avoids that; what a candidate makes of it is its own affair.
        """
        inputs, parameters = self.inputs, self.inputs.function.parameters
        factor = max(1.0, parameters["logit_scale"]) / min(1.0, parameters["temperature"])
        if self.truth.reduced:
            # torch adds up the smoothed losses over all classes before it divides by their number.
            factor *= self.truth.layout.rows * (self.truth.layout.classes if parameters["label_smoothing"] else 1)
        return bool(np.abs(inputs.logits.astype(np.float64)).max() > self.largest / (2.0 * factor))

    def _shares(self, name: str, got: np.ndarray, exact: direct.Split, tolerance: np.ndarray) -> Shares:
        got = got.astype(np.float64)
        due = exact.high
        error, size = direct.error(got, exact), np.abs(due)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            # Beyond the range of the dtype an infinity of the right sign is as near as it gets.
            overflow = np.isinf(got) & (np.sign(got) == np.sign(due)) & (size + tolerance > self.largest)
            lost = ~np.isfinite(got) & np.isfinite(due) & ~overflow
            ratio = np.where((error == 0.0) | overflow | lost, 0.0, error / tolerance)
        # An infinite tolerance promises nothing.
        ratio = np.where(np.isinf(tolerance), 0.0, ratio)
        return Shares(name, ratio, (tolerance < size) & np.isfinite(tolerance), lost)


def classes_last(inputs: Inputs) -> bool:
    """Whether the class axes are the last ones of the logits."""
    return inputs.axis == tuple(range(inputs.logits.ndim - len(inputs.axis), inputs.logits.ndim))


def declared_rows(name: str, inputs: Inputs, formulation: str) -> list[ToleranceRow]:
    """The tolerance rows of the precision that a backend declares, strictest first."""
    return [row for row in _rows(name, inputs, formulation) if not row.weaker]


def admitted_rows(name: str, inputs: Inputs, formulation: str) -> list[ToleranceRow]:
    """The declared rows; with 16-bit row statistics as well where torch is known not to keep what it declares."""
    rows = declared_rows(name, inputs, formulation)
    if keeps_its_word(name, inputs, formulation):
        return rows
    known = f"{inputs.dtype} row statistics"
    return rows + [row for row in _rows(name, inputs, formulation) if row.precision == known]


def keeps_its_word(name: str, inputs: Inputs, formulation: str) -> bool:
    """False for torch's log_softmax over a last axis of a 16-bit type, which rounds a row's sum and its logarithm.

    Cross entropy is always computed over a last axis.
    """
    function = inputs.function.name
    if name != "torch" or inputs.dtype not in ("float16", "bfloat16") or function == "logsumexp":
        return True
    if function == "cross_entropy":
        return formulation not in ("fused", "log_softmax")
    return (function == "softmax") != (formulation == "log_softmax") or inputs.axis != (inputs.logits.ndim - 1,)


def _rows(name: str, inputs: Inputs, formulation: str) -> tuple[ToleranceRow, ...]:
    function = inputs.function.name
    return ladder.rows(
        function,
        formulation,
        BACKENDS[name].profile(function, formulation, inputs.dtype, classes_last=classes_last(inputs)),
    )


def explained(
    judge: Judge, got: dict[str, np.ndarray], rows: list[ToleranceRow]
) -> tuple[ToleranceRow, list[Shares]]:
    """The first row that explains every element, and the shares under it; the last declared row if none does."""
    found = None
    for row in rows:
        shares = judge.shares(got, row)
        if all(part.worst <= 1.0 for part in shares):
            return row, shares
        if found is None or not row.weaker:
            found = row, shares
    assert found is not None
    return found
