"""Tolerances bite: sound backends stay within them, come near them, and an error of thrice the size is caught.

Errors are measured by the oracle's exact values, so that a wrong enclosure cannot hide a wrong tolerance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pytest

from gradaudit.measurement.evaluation import measure
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import Measurement
from tests.oracle import direct, families
from tests.reference.cases import PLAIN, VARIED, Variant, cases, inputs_of
from tests.reference.subjects import (
    BACKENDS,
    FORMULATIONS,
    Judge,
    admitted_rows,
    classes_last,
    declared_rows,
    evaluated,
    explained,
    keeps_its_word,
)

STABLE = ("fused", "log_softmax")
"""Formulations that return numbers wherever a number is due."""

SHOWN = 8


@dataclass
class Survey:
    """What a run over many cases found; keys of `worst` are (backend, function, formulation, quantity)."""

    elements: int = 0
    violations: list[str] = field(default_factory=list)
    worst: dict[tuple[str, str, str, str], float] = field(default_factory=lambda: defaultdict(float))
    reached: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    weaker: int = 0

    def add(self, family: str, variant: Variant, inputs: Inputs) -> None:
        what = f"{inputs.dtype} {family}, {variant.name}"
        self.reached[family] += 0.0
        try:
            judge = Judge(inputs)
        except RuntimeWarning as warning:
            self.violations.append(f"{what}: the enclosure of logits {inputs.logits.shape} warns: {warning}")
            return
        for name in BACKENDS:
            for formulation in FORMULATIONS[variant.function]:
                try:
                    self._add(judge, name, formulation, what, family)
                except RuntimeWarning as warning:
                    place = f"{name} {formulation}, logits {inputs.logits.shape}"
                    self.violations.append(f"{what}: {place}: the tolerance warns: {warning}")

    def _add(self, judge: Judge, name: str, formulation: str, what: str, family: str) -> None:
        inputs = judge.inputs
        got = evaluated(name, formulation, inputs)
        row, shares = explained(judge, got, admitted_rows(name, inputs, formulation))
        self.weaker += row.weaker
        for part in shares:
            self.elements += part.ratio.size
            key = (name, inputs.function.name, formulation, part.quantity)
            self.worst[key] = max(self.worst[key], part.worst)
            place = f"{what}: {name} {formulation}, {part.quantity} of logits {inputs.logits.shape}"
            if not part.worst <= 1.0:
                index = tuple(map(int, np.argwhere(~(part.ratio <= 1.0))[0]))
                self.violations.append(f"{place} at row, class {index}: {part.worst} times the tolerance")
            elif not row.weaker:
                self.reached[family] = max(self.reached[family], part.worst_decided)
            if part.lost.any() and formulation in STABLE and not judge.overflows_on_the_way():
                self.violations.append(f"{place}: {int(part.lost.sum())} elements without a number")

    def assert_clean(self) -> None:
        shown = "\n".join(self.violations[:SHOWN])
        assert not self.violations, f"{len(self.violations)} arrays beyond their tolerance:\n{shown}"


def survey(found: Iterable[tuple[str, Variant, Inputs]]) -> Survey:
    result = Survey()
    for family, variant, inputs in found:
        result.add(family, variant, inputs)
    return result


# ------------------------------------------------------------------------------------- within, and near the limit


@pytest.mark.parametrize("dtype", families.DTYPES)
def test_backends_stay_within_their_tolerances(dtype: str) -> None:
    """A sample: every family and function, three classes."""
    found = survey(cases(dtype, (3,), elements=18, varied=1, seed=21))
    found.assert_clean()
    assert found.elements > 25_000


@pytest.mark.slow
@pytest.mark.parametrize("dtype", families.DTYPES)
def test_backends_stay_within_and_come_near_their_tolerances(dtype: str) -> None:
    """Every size: no error above its tolerance, and in every family one above 0.3 of it.

    A varied function meets some 14 pairs of a family and a size, each on every backend and formulation.
    """
    small, large = families.SIZES[:-1], families.SIZES[-1:]
    found = survey(
        chain(
            cases(dtype, small, elements=60, varied=4, seed=22),
            cases(dtype, large, elements=60, varied=1, seed=22),
        )
    )
    found.assert_clean()
    assert found.elements > 1_000_000
    slack = {family: share for family, share in found.reached.items() if not 0.3 <= share <= 1.0}
    assert not slack
    assert set(found.reached) == set(families.family_names(dtype))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_torch_is_found_out_over_the_last_axis_and_only_there(dtype: str) -> None:
    """Its log_softmax rounds a row's sum and the sum's logarithm to 16 bits; along axis 0 it does not."""
    logits = dict(families.families(dtype, 10, 40, seed=23))["normal_1"]
    for variant in (PLAIN[1], next(v for v in VARIED if v.name == "log_softmax axis 0")):
        inputs = inputs_of(variant, logits, dtype, seed=24)
        row, shares = explained(
            Judge(inputs), evaluated("torch", "fused", inputs), admitted_rows("torch", inputs, "fused")
        )
        assert max(part.worst for part in shares) <= 1.0
        assert row.weaker == (not variant.first)
        assert keeps_its_word("torch", inputs, "fused") == variant.first


# ---------------------------------------------------------------------------------------------------- planted errors


@dataclass(frozen=True)
class Planted:
    """Arrays whose every element is wrong, as a backend would return them; `where` [rows, columns] of each
    quantity tells the elements that are: not those whose tolerance spans the range of the dtype."""

    arrays: dict[str, np.ndarray]
    where: list[np.ndarray]


def moved(near: np.ndarray, tolerance: np.ndarray, judge: Judge) -> np.ndarray:
    """`near` by three tolerances, or one subnormal number, further from 0: towards it where that is out of range."""
    step = np.where(np.isfinite(tolerance), 3.0 * np.minimum(tolerance, judge.largest / 8.0), 0.0)
    step = np.maximum(step, float(families.ml_dtypes.finfo(judge.inputs.logits.dtype).smallest_subnormal))
    outwards = np.abs(near) < judge.largest - 2.0 * step
    return near + np.where(near < 0.0, -1.0, 1.0) * np.where(outwards, 1.0, -1.0) * step


def planted(judge: Judge, name: str, formulation: str) -> Planted:
    """The exact values with an error of three tolerances (those of the loosest declared row), in the dtype."""
    inputs, truth = judge.inputs, judge.truth
    rows = [judge.tolerances(row) for row in declared_rows(name, inputs, formulation)]
    loosest = [np.maximum.reduce(parts) for parts in zip(*([output, *rest] for output, rest in rows), strict=True)]
    wrong, where = [], []
    for (_, values), tolerance in zip(judge.quantities(judge.exact), loosest, strict=True):
        wrong.append(moved(direct.nearest(values), tolerance, judge).astype(inputs.logits.dtype))
        where.append(tolerance < judge.largest / 8.0)
    output, gradient = wrong
    if truth.reduced or not truth.elementwise:
        output = output.reshape(judge.exact["output"].shape)
    else:
        output = _restored(judge, output)
    return Planted({"output": output, "gradient": _restored(judge, gradient)}, where)


def hidden_by_offset(judge: Judge) -> bool:
    """Whether rounding the logsumexp alone moves exp(x - logsumexp) through the whole range of the dtype."""
    info = families.ml_dtypes.finfo(judge.inputs.logits.dtype)
    offset = float(np.abs(judge.inputs.logits.astype(np.float64)).min())
    return bool(offset * float(info.eps) / 2.0 > np.log(float(info.max)))


def _restored(judge: Judge, rows: np.ndarray) -> np.ndarray:
    return judge.truth.layout.restored(rows).astype(rows.dtype)


@pytest.mark.parametrize("dtype", families.DTYPES)
@pytest.mark.parametrize("name", BACKENDS)
def test_three_tolerances_are_too_much_everywhere(dtype: str, name: str) -> None:
    """In every family, function and declared formulation, every single element is caught."""
    missed = []
    for family, logits in families.families(dtype, 10, 6, seed=25):
        for variant in PLAIN:
            judge = Judge(inputs_of(variant, logits, dtype, seed=26))
            for formulation in FORMULATIONS[variant.function]:
                found = planted(judge, name, formulation)
                rows = declared_rows(name, judge.inputs, formulation)
                hidden = any(row.common_offset for row in rows) and hidden_by_offset(judge)
                for row in rows:
                    for part, where in zip(judge.shares(found.arrays, row), found.where, strict=True):
                        place = f"{family}, {variant.name} {formulation} under {row.formulation}: {part.quantity}"
                        passed = np.argwhere(where & ~((part.ratio > 1.0) | part.lost))
                        missed += [f"{place} at row, class {index.tolist()} is not caught" for index in passed[:1]]
                        if not where.any() and formulation in STABLE and not hidden:
                            missed.append(f"{place} has no finite tolerance at all")
    assert not missed, f"{len(missed)} arrays:\n" + "\n".join(missed[:SHOWN])


def measured(judge: Judge, name: str, formulation: str, got: dict[str, np.ndarray]) -> Measurement:
    inputs = judge.inputs
    key = EvaluationKey(name, name, formulation, inputs.dtype, inputs.scale)
    profile = BACKENDS[name].profile(
        inputs.function.name, formulation, inputs.dtype, classes_last=classes_last(inputs)
    )
    evaluation = Evaluation(key, got["output"], got.get("gradient"), got.get("jacobian"), 0.0)
    return measure(judge.truth, evaluation, profile, "random")


def passes(found: Measurement) -> bool:
    """Whether an audit has nothing to say of the arithmetic."""
    quantities = [found.output, found.gradient]
    lost = any(part is not None and (part.beyond or part.non_finite or part.special_mismatch) for part in quantities)
    return found.explanation.explains and not found.explanation.weaker and not lost


@pytest.mark.parametrize("dtype", families.DTYPES)
def test_an_audit_catches_one_planted_element(dtype: str) -> None:
    """Through the whole measurement: what NumPy returns passes; with one wrong element it does not."""
    generator = np.random.default_rng(27)
    for family, logits in families.families(dtype, 3, 6, seed=28):
        for variant in PLAIN:
            judge = Judge(inputs_of(variant, logits, dtype, seed=29))
            got = evaluated("numpy", "fused", judge.inputs)
            if not judge.overflows_on_the_way():
                assert passes(measured(judge, "numpy", "fused", got)), f"{family} {variant.name}"
            plants = planted(judge, "numpy", "fused")
            wrong = plants.arrays
            for quantity, possible in zip(("output", "gradient"), plants.where, strict=True):
                element = int(generator.integers(got[quantity].size))
                if not possible.reshape(-1)[element]:
                    # A sum of losses that leaves float64's range has an infinite tolerance: it is undecided.
                    continue
                spoilt = {key: np.array(array) for key, array in got.items()}
                spoilt[quantity].reshape(-1)[element] = wrong[quantity].reshape(-1)[element]
                place = f"{family} {variant.name} {quantity} {element}"
                assert not passes(measured(judge, "numpy", "fused", spoilt)), place
