"""The laws of the exact results; and wrong truths, each seen to break the laws that are to notice it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from gradaudit.functions import registry
from gradaudit.functions.interface import Function
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra
from gradaudit.reference import block, ladder, truth
from gradaudit.reference.layout import Layout
from gradaudit.reference.lift import Denominator, Lift, Parameters
from tests.properties import laws_of_truth as laws
from tests.properties.running import MANY, Law, run

each_law = pytest.mark.parametrize(
    "law",
    [pytest.param(law, id=law.__name__) for law in laws.LAWS],
)


@each_law
def test_truth_obeys(law: Law) -> None:
    run(law, 30)


@pytest.mark.slow
@each_law
def test_truth_obeys_on_many_examples(law: Law) -> None:
    run(law, MANY * 2 // 3)


# --------------------------------------------------------------------------------------------------- wrong truths

SMALL = 2.0**-30
"""How wrong a wrong truth is: nothing that anybody would see in float32."""

Formula = Callable[[Algebra, Rows], object]
Break = Callable[[pytest.MonkeyPatch], None]


def formulas(wrong: Callable[[Function], dict[str, Formula]]) -> Break:
    """Every function has some wrong formulas."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        right = registry.get
        monkeypatch.setattr(registry, "get", lambda name: replace(right(name), **wrong(right(name))))

    return patch


def attribute(owner: object, name: str, wrong: Callable[[object], object]) -> Break:
    """`owner.name` is `wrong` of the right one."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(owner, name, wrong(getattr(owner, name)))

    return patch


def times_positions(m: Algebra, number: object, axis: int) -> object:
    """Each element times 1 + SMALL * its position along the axis."""
    shape = number.mid.shape if hasattr(number, "mid") else number.shape
    positions = np.arange(float(shape[axis]))
    return number * m.exact(1.0 + SMALL * (positions[:, None] if axis == 0 else positions[None, :]))


def leaning_on_logits(f: Function) -> dict[str, Formula]:
    return {"gradient": lambda m, rows: f.gradient(m, rows) + rows.z * m.exact(SMALL)}


def leaning_on_places(f: Function) -> dict[str, Formula]:
    return {"gradient": lambda m, rows: times_positions(m, f.gradient(m, rows), axis=1)}


def leaning_on_rows(f: Function) -> dict[str, Formula]:
    return {"gradient": lambda m, rows: times_positions(m, f.gradient(m, rows), axis=0)}


def not_centred(f: Function) -> dict[str, Formula]:
    return {"gradient": lambda m, rows: f.gradient(m, rows) + m.softmax(rows.z) * m.exact(SMALL)}


def quadratic(f: Function) -> dict[str, Formula]:
    return {
        "gradient": lambda m, rows: (
            f.gradient(m, rows)
            + f.gradient(m, replace(rows, upstream=rows.upstream * rows.upstream)) * m.exact(SMALL)
        )
    }


def output_off(f: Function) -> dict[str, Formula]:
    return {"output": lambda m, rows: f.output(m, rows) * m.exact(1.0 + SMALL)}


def without_factor(right: Callable[..., object]) -> Callable[..., object]:
    return lambda lift, part: (right(lift, part)[0], None)


def masking_nothing(right: Callable[..., Layout]) -> Callable[..., Layout]:
    return lambda inputs: replace(right(inputs), active=None)


def counting_all(right: Callable[..., block.Block]) -> Callable[..., block.Block]:
    def cut(*arguments: object) -> block.Block:
        found = right(*arguments)
        return replace(found, counted=np.ones_like(found.counted))

    return cut


def losing_mass(right: Callable[..., block.Block]) -> Callable[..., block.Block]:
    def cut(*arguments: object) -> block.Block:
        found = right(*arguments)
        return found if found.soft is None else replace(found, soft=found.soft * (1.0 - SMALL))

    return cut


def moving_nothing(right: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda layout, array: array.reshape(layout.rows, layout.classes)


def smoothing_more(right: Callable[..., Parameters]) -> staticmethod:
    def of(*parameters: object) -> Parameters:
        found = right(*parameters)
        return replace(found, label_smoothing=found.label_smoothing * (1.0 - SMALL))

    return staticmethod(of)


def next_unit(right: Callable[..., object]) -> Callable[..., object]:
    return lambda lift, part, unit: right(lift, part, None if unit is None else unit - 1)


def counting_rows(right: Callable[..., Denominator]) -> Callable[..., Denominator]:
    def denominator(arrays: block.RowArrays, parameters: Parameters) -> Denominator:
        found = right(arrays, parameters)
        return found if parameters.reduction != "mean" else Denominator(None, arrays.layout.rows)

    return denominator


def sharper(right: Callable[..., object]) -> Callable[..., object]:
    return lambda profile, _: right(profile, "float64")


@dataclass(frozen=True)
class Wrong:
    """A wrong truth and the laws that it must be seen to break."""

    name: str
    patch: Break
    broken: tuple[Law, ...]


WRONG = (
    Wrong(
        "the gradient leans on the logits",
        formulas(leaning_on_logits),
        (laws.shifts_change_nothing, laws.gradients_of_a_row_add_up),
    ),
    Wrong(
        "the gradient leans on the places of the classes",
        formulas(leaning_on_places),
        (laws.classes_have_no_order, laws.minus_infinity_is_no_class),
    ),
    Wrong("the gradient leans on the places of the rows", formulas(leaning_on_rows), (laws.rows_are_independent,)),
    Wrong(
        "p is added to the gradient", formulas(not_centred), (laws.gradients_of_a_row_add_up, laws.functions_agree)
    ),
    Wrong(
        "the gradient is not linear",
        formulas(quadratic),
        (laws.gradients_are_linear_in_the_upstream, laws.jacobian_rows_make_every_gradient),
    ),
    Wrong(
        "the output is off",
        formulas(output_off),
        (laws.functions_agree, laws.shifts_change_nothing),
    ),
    Wrong(
        "the gradient is not scaled back",
        attribute(Lift, "_logits", without_factor),
        (laws.scale_and_temperature_are_factors, laws.gradients_of_a_row_add_up),
    ),
    Wrong(
        "masks are not heeded",
        attribute(truth.layouts, "of_inputs", masking_nothing),
        (laws.masked_classes_are_no_classes,),
    ),
    Wrong(
        "a -inf stands in too near", attribute(block, "FAR_BELOW", lambda _: 20.0), (laws.minus_infinity_is_no_class,)
    ),
    Wrong("ignored rows count", attribute(truth, "cut", counting_all), (laws.ignored_rows_are_exactly_nothing,)),
    Wrong(
        "probabilities lose some mass",
        attribute(truth, "cut", losing_mass),
        (laws.labels_are_one_hot_probabilities, laws.smoothing_moves_mass),
    ),
    Wrong("axes stay where they are", attribute(Layout, "as_rows", moving_nothing), (laws.layouts_change_nothing,)),
    Wrong("a little less smoothing", attribute(Parameters, "of", smoothing_more), (laws.smoothing_moves_mass,)),
    Wrong(
        "the Jacobian's rows in another order",
        attribute(Lift, "_upstream", next_unit),
        (laws.jacobian_rows_make_every_gradient,),
    ),
    Wrong(
        "a mean over the number of rows",
        attribute(truth, "denominator", counting_rows),
        (laws.reductions_add_the_rows_up, laws.ignored_rows_are_exactly_nothing),
    ),
    Wrong(
        "no radius",
        attribute(truth, "INFLATION", lambda _: 0.0),
        (
            laws.classes_have_no_order,
            laws.gradients_of_a_row_add_up,
            laws.gradients_are_linear_in_the_upstream,
            laws.smoothing_moves_mass,
            laws.jacobian_rows_make_every_gradient,
            laws.reductions_add_the_rows_up,
            laws.functions_agree,
        ),
    ),
    Wrong(
        "a -inf that stands near",
        attribute(block, "FAR_BELOW", lambda _: 1.0),
        (laws.minus_infinity_is_no_class_at_any_scale,),
    ),
    Wrong("a wide radius", attribute(truth, "INFLATION", lambda _: 1e7), (laws.enclosures_are_narrow,)),
    Wrong("a weaker row of float64", attribute(ladder, "_inside", sharper), (laws.lower_precision_is_allowed_more,)),
)

BREAKS = [(wrong, law) for wrong in WRONG for law in wrong.broken]


@pytest.mark.parametrize(("wrong", "law"), BREAKS, ids=[f"{law.__name__}: {wrong.name}" for wrong, law in BREAKS])
def test_a_wrong_truth_is_noticed(monkeypatch: pytest.MonkeyPatch, wrong: Wrong, law: Law) -> None:
    wrong.patch(monkeypatch)
    with pytest.raises(AssertionError):
        run(law, 40, shrink=False)


def test_every_law_is_seen_to_fail() -> None:
    assert {law for _, law in BREAKS} == set(laws.LAWS)
