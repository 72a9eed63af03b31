"""Second derivatives and derivatives by the targets: cut, right, wrong by a factor, undecided, refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradaudit.backends import claimed
from gradaudit.measurement import second_order
from gradaudit.numerics import formats
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import NamedFault, SecondOrder
from gradaudit.reference import admissible
from gradaudit.reference.second_order import hessian_product, target_gradient
from gradaudit.reference.truth import Truth
from tests.measurement.cases import inputs
from tests.measurement.test_contract import LABELS, LOGITS, SUBJECT, case, entry

DIRECTION = np.random.default_rng(9).normal(size=(7, 11)).astype(np.float32)
SOFT = np.random.default_rng(5).dirichlet(np.ones(11), size=7)


def judged(
    given: Inputs | None = None, note: str = "a graph", **kept: np.ndarray | None
) -> tuple[tuple[NamedFault, ...], tuple[SecondOrder, ...]]:
    given = case() if given is None else given
    arrays = {"second_order.direction": DIRECTION.astype(given.logits.dtype)}
    arrays |= {f"second_order.{name}": value for name, value in kept.items() if value is not None}
    rows = admissible.rows(given.function, given.dtype, claimed.profile_of(SUBJECT, given.dtype))
    return second_order.judged([entry(given, arrays, second_order=note)], rows)


def product(given: Inputs) -> np.ndarray:
    return hessian_product(Truth(given), DIRECTION.astype(given.logits.dtype)).mid


def wrong(given: Inputs, factor: np.ndarray | float) -> tuple[NamedFault, SecondOrder]:
    (fault,), (said,) = judged(given, hessian=(product(given) * factor).astype(given.logits.dtype))
    assert fault.fault == "undiagnosed"
    assert dict(fault.evidence)["derivative"] == "second order"
    assert said.verdict == "wrong"
    return fault, said


def statements(given: Inputs | None = None, note: str = "a graph", hessian: np.ndarray | None = None) -> list[str]:
    faults, _ = judged(given, note, hessian=hessian)
    return [fault.statement for fault in faults if fault.fault == "detached-path"]


def test_a_second_derivative_of_0_is_a_cut_path() -> None:
    (statement,) = statements(hessian=np.zeros((7, 11), np.float32))
    assert statement.startswith(
        "the second derivative is cut off: every derivative is 0, where the exact product of "
    )
    assert statements(note="no graph")
    assert statements(note="no path")
    assert statements(note="refused") == []
    assert statements(hessian=np.ones((7, 11), np.float32)) == []


def test_what_is_refused_and_what_is_cut_is_said_in_one_line() -> None:
    said = {note: judged(note=note)[1][0].statement for note in ("refused", "no graph")}
    assert said["refused"] == "second order: refused: the subject has no second derivative and says so"
    assert said["no graph"] == "second order: cut off: autograd finds no way back to the inputs"


def test_0_is_right_where_the_function_is_linear() -> None:
    faults, (said,) = judged(case(upstream=0.0), hessian=np.zeros((7, 11), np.float32))
    assert faults == ()
    assert (said.verdict, said.statement) == ("agrees", "second order: agrees in all 77 elements")


def test_the_exact_product_is_that_of_the_hessian() -> None:
    given = case(temperature=0.5, weight=[1.0 + k / 4 for k in range(11)])
    enclosure = hessian_product(Truth(given), DIRECTION)
    z = LOGITS.astype(np.float64) / 0.5
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    w = np.asarray([1.0 + k / 4 for k in range(11)])[LABELS]
    v = DIRECTION / 0.5
    due = 1.5 * w[:, None] / w.sum() * p * (v - (p * v).sum(1, keepdims=True)) / 0.5
    assert np.abs(enclosure.mid - due).max() < 1e-14
    assert enclosure.rad.max() < 1e-12


def test_a_right_one_agrees_and_says_under_what() -> None:
    faults, (said,) = judged(hessian=product(case()).astype(np.float32))
    assert faults == ()
    assert said.statement == "second order: agrees in all 77 elements"
    assert said.formulation_needed == "shifted, declared"
    assert said.decided >= 70
    assert said.max_error_over_tolerance < 1.0


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (2.0, "by a factor of 2"),
        (0.5, "by a factor of 1/2"),
        (-1.0, "with the sign flipped"),
        (7.0, "by a factor of 7, what the mean divides by"),
        (1 / 7, "by a factor of 1/7: divided once more by what the mean divides by"),
        (1 / 1.5, "as if the upstream gradient were 1"),
        (1.5, "as if the upstream gradient had been applied twice"),
        (1.01, "by a factor of 1.01"),
    ],
)
def test_a_factor_is_named(factor: float, words: str) -> None:
    fault, said = wrong(case(), factor)
    assert said.statement.endswith(f" of 77 elements, {words}")
    assert fault.statement.startswith("the first derivative is right, but the second derivative is apart from")
    assert words in fault.statement
    assert said.factor == pytest.approx(factor, rel=1e-4)


def test_the_temperature_and_rows_of_an_upstream_gradient_are_named() -> None:
    assert "1/0.07: divided once more by the temperature" in wrong(case(temperature=0.07), 1 / 0.07)[1].statement
    upstream = np.linspace(0.5, 2.0, 7).astype(np.float32)
    given = case(reduction="none", upstream=upstream)
    factor = 1.0 / upstream.astype(np.float64)[:, None]
    assert wrong(given, factor)[1].statement.endswith("as if the upstream gradient were 1")


def test_one_wrong_element_is_enough_and_has_no_factor() -> None:
    largest = np.unravel_index(int(np.abs(product(case())).argmax()), (7, 11))
    factor = np.ones((7, 11))
    factor[largest] = 1.01
    fault, said = wrong(case(), factor)
    assert said.statement == "second order: apart from the exact one in 1 of 77 elements"
    assert f" at {[int(i) for i in largest]}, where " in fault.statement
    assert said.factor is None
    factor[largest] = np.nan
    assert wrong(case(), factor)[1].statement == "second order: not finite in 1 of 77 elements"


def test_what_16_bits_cannot_tell_is_undecided() -> None:
    given = inputs("cross_entropy", LOGITS, "bfloat16", targets=LABELS, reduction="mean", upstream=1.5)  # type: ignore[arg-type]
    faults, (said,) = judged(given, hessian=(2.0 * product(given)).astype(formats.dtype("bfloat16")))
    assert faults == ()
    assert said.statement == "second order: undecided: the tolerance is as large as each of its elements"


def test_the_second_order_of_a_wrong_function_is_not_judged() -> None:
    given = case()
    kept = {"second_order.direction": DIRECTION, "second_order.hessian": 2.0 * product(given).astype(np.float32)}
    doubled = 2.0 * np.concatenate([Truth(given).gradient(b, None).mid for b in Truth(given).blocks()])
    rows = admissible.rows(given.function, given.dtype, claimed.profile_of(SUBJECT, given.dtype))
    one = entry(given, kept, gradient=doubled.astype(np.float32), second_order="a graph")
    faults, (said,) = second_order.judged([one], rows)
    assert faults == ()
    assert said.statement == "second order: not judged: the first order is not right"


def test_special_probes_are_left_out() -> None:
    assert judged(replace(case(), probe="minus-infinity", special=True), note="no graph") == ((), ())


def of_targets(gradient: np.ndarray | None, note: str = "a graph") -> tuple[tuple[NamedFault, ...], SecondOrder]:
    given = inputs("cross_entropy", LOGITS, targets=SOFT, reduction="mean", upstream=1.0)  # type: ignore[arg-type]
    kept = {} if gradient is None else {"of_targets.gradient": gradient}
    rows = admissible.rows(given.function, given.dtype, claimed.profile_of(SUBJECT, given.dtype))
    faults, (said,) = second_order.judged([entry(given, kept, of_targets=note)], rows)
    return faults, said


def test_soft_targets_that_are_cut_off() -> None:
    (fault,), said = of_targets(None, "no path")
    assert fault.fault == "detached-path"
    assert fault.statement.startswith(
        "the soft targets are cut off: autograd finds no way back to the inputs for them"
    )
    assert said.verdict == "cut"


def test_the_gradient_of_soft_targets() -> None:
    given = inputs("cross_entropy", LOGITS, targets=SOFT, reduction="mean", upstream=1.0)  # type: ignore[arg-type]
    due = target_gradient(Truth(given)).mid
    faults, said = of_targets(due.astype(np.float32))
    assert (faults, said.statement) == ((), "gradient of the targets: agrees in all 77 elements")
    (fault,), said = of_targets((-due).astype(np.float32))
    assert said.statement == (
        "gradient of the targets: apart from the exact one in 77 of 77 elements, with the sign flipped"
    )
    assert "but the derivative by the soft targets is apart from the exact one" in fault.statement
