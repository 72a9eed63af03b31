"""The policy for special values: every row of the table is what a truth is due, by float64 and by `arb`."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradaudit.reference import special_values
from gradaudit.reference.truth import Truth
from tests.measurement.cases import truth
from tests.numerics import documented

INF, NAN = math.inf, math.nan
ELEMENTWISE = ("softmax", "log_softmax")
FUNCTIONS = (*ELEMENTWISE, "logsumexp", "cross_entropy")
DTYPES = ("float32", "float64")


def of(function: str, logits: list[list[float]], dtype: str, **options: object) -> Truth:
    if function == "cross_entropy":
        options.setdefault("targets", [0] * len(logits))
    return truth(function, logits, dtype, **options)


def due(found: Truth) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Output and gradient, and which elements of them are left open."""
    block = found.block_at(0)
    gradient = found.gradient(block, None)
    return block.output.mid, gradient.mid, block.output.open, gradient.open


def same(found: np.ndarray, expected: object) -> bool:
    """Equal, NaN for NaN, to within the float64 rounding of ordinary values."""
    values = np.asarray(expected, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        near = (np.abs(found - values) <= 1e-14 * np.abs(values)) & np.isfinite(values)
    return bool(((found == values) | near | (np.isnan(found) & np.isnan(values))).all())


def test_every_row_has_a_reason_and_is_in_the_documentation() -> None:
    for row in special_values.TABLE:
        assert row.situation
        assert row.due
        assert row.reason
    situations = [row.situation for row in special_values.TABLE]
    assert len(set(situations)) == len(situations) == 14
    assert documented.between("special values") == documented.special_value_table()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_nan_logit_spoils_its_row_and_no_other(function: str, dtype: str) -> None:
    output, gradient, _, open_gradient = due(of(function, [[NAN, 0.0, INF], [0.0, 1.0, 2.0]], dtype))
    assert np.isnan(output[0]).all()
    assert np.isnan(gradient[0]).all()
    assert np.isfinite(output[1]).all()
    assert np.isfinite(gradient[1]).all()
    assert open_gradient is None or not open_gradient.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_infinite_logit(function: str, dtype: str) -> None:
    output, _, open_output, open_gradient = due(of(function, [[1.0, INF, -INF]], dtype))
    if function == "logsumexp":
        assert output.tolist() == [[INF]]
    elif function == "cross_entropy":
        assert open_output is not None
        assert open_output.all()
    else:
        assert np.isnan(output[0, 1])
        assert open_output is not None
        assert open_output.tolist() == [[True, False, True]]
    assert open_gradient is not None
    assert open_gradient.all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_but_minus_infinity(function: str, dtype: str) -> None:
    output, gradient, open_output, open_gradient = due(of(function, [[-INF, -INF]], dtype))
    assert same(output, -INF if function == "logsumexp" else NAN)
    assert np.isnan(gradient).all()
    assert open_output is None or not open_output.any()
    assert open_gradient is None or not open_gradient.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    "parameters",
    [{}, {"temperature": 1000.0}, {"logit_scale": 1e-3}, {"temperature": 0.01}],
    ids=["plain", "hot", "small", "cold"],
)
def test_a_logit_of_minus_infinity_takes_no_part(function: str, dtype: str, parameters: dict[str, float]) -> None:
    """Whatever the temperature: the rest of the row is as without the class."""
    upstream = [[0.5, -1.0, 2.0]] if function in ELEMENTWISE else [2.0]
    found = of(function, [[1.0, 2.0, -INF]], dtype, upstream=upstream, **parameters)
    alone = of(
        *(function, [[1.0, 2.0]], dtype),
        upstream=[[0.5, -1.0]] if function == "softmax" else [[0.5, 1.0]] if function == "log_softmax" else [2.0],
        **parameters,
    )
    output, gradient, _, _ = due(found)
    expected, slope, _, _ = due(alone)
    if function in ELEMENTWISE:
        assert same(output, [[*expected[0], 0.0 if function == "softmax" else -INF]])
    else:
        assert same(output, expected)
    if function == "log_softmax":
        # Its own upstream gradient, which reaches the others through the sum: 0.5 - 1 + 2 for 0.5 + 1.
        p = np.exp(expected[0])
        factor = parameters.get("logit_scale", 1.0) / parameters.get("temperature", 1.0)
        assert same(gradient, np.array([[0.5 - 1.5 * p[0], -1.0 - 1.5 * p[1], 2.0]]) * factor)
    else:
        assert same(gradient, [[*slope[0], 0.0]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("logits", [[3e38, 1e38, -INF], [-3e38, -3e38, -INF], [1e20, -INF, -INF]])
def test_beside_the_largest_logits_minus_infinity_is_still_far_away(dtype: str, logits: list[float]) -> None:
    output, _, _, _ = due(of("softmax", [logits], dtype))
    finite = [value for value in logits if value == max(logits)]
    assert same(output, [[1.0 / len(finite) if value == max(logits) else 0.0 for value in logits]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_target_mass_on_a_vanished_class(dtype: str) -> None:
    """-log 0 = inf, while T p - t has its limit."""
    output, gradient, _, _ = due(of("cross_entropy", [[0.0, 0.0, -INF]], dtype, targets=[2]))
    assert output.tolist() == [[INF]]
    assert same(gradient, [[0.5, 0.5, -1.0]])
    soft = of("cross_entropy", [[0.0, 0.0, -INF]], dtype, targets=[[0.5, 0.25, 0.25]])
    assert due(soft)[0].tolist() == [[INF]]
    assert same(due(soft)[1], [[0.0, 0.25, -0.25]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_target_mass_on_a_vanished_class(dtype: str) -> None:
    """0 * log 0 = 0, the limit of t log t."""
    for targets in ([0], [[1.0, 0.0, 0.0]]):
        output, gradient, _, _ = due(of("cross_entropy", [[0.0, 0.0, -INF]], dtype, targets=targets))
        assert same(output, [[math.log(2.0)]])
        assert same(gradient, [[-0.5, 0.5, 0.0]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_smoothed_labels_put_mass_on_every_class(dtype: str) -> None:
    found = of("cross_entropy", [[0.0, 0.0, -INF]], dtype, targets=[0], label_smoothing=0.25)
    assert due(found)[0].tolist() == [[INF]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_ignored_row(dtype: str) -> None:
    """0 exactly; beside undefined logits its gradient is left open, its loss is not."""
    logits = [[0.0, 1.0], [NAN, 1.0], [-INF, 1.0]]
    output, gradient, open_output, open_gradient = due(of("cross_entropy", logits, dtype, targets=[-100] * 3))
    assert output.tolist() == [[0.0], [0.0], [0.0]]
    assert gradient[[0, 2]].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert open_output is None or not open_output.any()
    assert open_gradient is not None
    assert open_gradient.tolist() == [[False, False], [True, True], [False, False]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("targets", "weight"), [([-100, -100], None), ([0, 0], [0.0, 1.0])], ids=["no rows", "no weight"]
)
def test_a_mean_over_nothing(dtype: str, targets: list[int], weight: list[float] | None) -> None:
    options: dict[str, object] = {"targets": targets, "weight": weight}
    mean = of("cross_entropy", [[0.0, 1.0], [2.0, 0.0]], dtype, reduction="mean", **options)
    assert np.isnan(mean.reduced_output().mid).all()
    open_gradient = due(mean)[3]
    assert open_gradient is not None
    assert open_gradient.all()
    total = of("cross_entropy", [[0.0, 1.0], [2.0, 0.0]], dtype, reduction="sum", **options)
    assert total.reduced_output().mid.tolist() == [[0.0]]
    assert not due(total)[1].any()


def test_an_exact_result_beyond_the_range_is_enclosed_all_the_same() -> None:
    """[3e38, -3e38] with label 1: 6e38, for which float32 has only infinity."""
    output, _, _, _ = due(of("cross_entropy", [[3e38, -3e38]], "float32", targets=[1]))
    assert float(output[0, 0]) == 2.0 * float(np.float32(3e38))


def test_radii_of_special_values_are_zero() -> None:
    found = of("logsumexp", [[INF, 0.0], [0.0, 0.0]], "float32")
    rad = found.block_at(0).output.rad
    assert rad[0, 0] == 0.0
    assert rad[1, 0] > 0.0
