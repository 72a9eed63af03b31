"""One evaluation against its truth: which row explains it, what is counted where, what the faults are told."""

from __future__ import annotations

import numpy as np
import pytest

from gradaudit.measurement import evaluation as evaluations
from gradaudit.measurement.evaluation import measure
from gradaudit.numerics import formats
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.measurement import Measurement
from gradaudit.records.profile import Profile
from gradaudit.reference.truth import Truth
from tests.measurement.cases import truth

SHARP = Profile("float32", "float32", "float32", "float32", 1.0, 1.0)


def measured(
    found: Truth, output: np.ndarray, gradient: np.ndarray, *, formulation: str = "fused", profile: Profile = SHARP
) -> Measurement:
    """What is returned is rounded to the dtype first; a stack of planes is a Jacobian."""
    dtype = found.inputs.dtype
    stored = formats.dtype(dtype)
    planes = np.asarray(gradient, np.float64).astype(stored)
    jacobian = planes.ndim > found.inputs.logits.ndim
    key = EvaluationKey("it", "it", formulation, dtype, 1.0)
    given = Evaluation(
        key,
        np.asarray(output, np.float64).astype(stored),
        None if jacobian else planes,
        planes if jacobian else None,
        0.25,
        "said",
    )
    return measure(found, given, profile, "ones")


def exact_arrays(found: Truth) -> tuple[np.ndarray, np.ndarray]:
    """The midpoints of output and gradient, as a candidate would return them."""
    blocks = list(found.blocks())
    layout = found.layout
    planes = [
        layout.restored(np.concatenate([found.gradient(block, unit).mid for block in blocks])) for unit in found.units
    ]
    gradient = np.stack(planes) if found.inputs.per_output else planes[0]
    if found.reduced:
        return found.reduced_output().mid.reshape(()), gradient
    output = np.concatenate([block.output.mid for block in blocks])
    return (layout.restored(output) if found.elementwise else output.reshape(layout.outer_shape)), gradient


LOGITS = [[0.5, -1.0, 2.0], [3.0, 3.0, -4.0]]


@pytest.mark.parametrize(
    ("function", "options"),
    [
        ("softmax", {}),
        ("softmax", {"per_output": True}),
        ("softmax", {"masked_classes": (1,)}),
        ("log_softmax", {"upstream": [[1.0, -2.0, 0.5]] * 2}),
        ("logsumexp", {"upstream": [1.5, -1.0]}),
        ("logsumexp", {"per_output": True}),
        ("cross_entropy", {"targets": [2, 0]}),
        ("cross_entropy", {"targets": [2, -100], "reduction": "mean"}),
        ("cross_entropy", {"targets": [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], "reduction": "sum"}),
    ],
)
def test_rounded_exact_values_are_explained_by_the_strictest_row(function: str, options: dict[str, object]) -> None:
    found = truth(function, LOGITS, **options)
    result = measured(found, *exact_arrays(found))
    assert result.explanation.explains
    assert (result.explanation.formulation, result.explanation.precision) == ("shifted", "declared")
    assert result.explanation.rows_tried == ("shifted (declared)",)
    assert not result.diagnoses
    assert (result.seconds, result.upstream, result.captured, result.profile) == (0.25, "ones", "said", SHARP)
    per_output = bool(options.get("per_output"))
    assert (result.gradient is None) == per_output
    assert (result.jacobian is None) != per_output
    quantity = result.gradient or result.jacobian
    assert quantity is not None
    assert quantity.name == ("jacobian" if per_output else "gradient")
    assert result.output.name == ("loss" if function == "cross_entropy" else "output")
    assert quantity.sums is not None
    assert quantity.sums.rows_beyond == 0
    assert quantity.spot_checked > 0


def test_a_weaker_precision_is_named() -> None:
    """A softmax rounded to float16 on the way is explained by that, four rows down the ladder."""
    found = truth("softmax", LOGITS)
    output, gradient = exact_arrays(found)
    result = measured(found, output.astype(np.float16), gradient.astype(np.float16))
    assert result.explanation.explains
    assert result.explanation.weaker
    assert result.explanation.precision == "float16 inside"
    assert result.explanation.rows_tried[0] == "shifted (declared)"
    assert result.explanation.rows_tried[-1] == "shifted (float16 inside)"


def test_a_coarse_row_does_not_explain_what_it_merely_hides() -> None:
    """One tiny probability is wrong by its half. bfloat16 inside would hide it at this gap, and decides nothing."""
    found = truth("softmax", [[0.0, -80.0, 0.5]], upstream=[[1.0, 2.0, -1.0]])
    output, gradient = exact_arrays(found)
    output[0, 1] *= 1.5
    result = measured(found, output, gradient)
    assert not result.explanation.explains
    assert "shifted (bfloat16 inside)" in result.explanation.rows_tried


def test_what_nothing_explains_is_shown_under_the_declared_row() -> None:
    found = truth("cross_entropy", LOGITS, targets=[2, 0])
    output, gradient = exact_arrays(found)
    gradient[1, 2] += 0.5
    result = measured(found, output, gradient, formulation="log_softmax")
    assert not result.explanation.explains
    assert (result.explanation.formulation, result.explanation.precision) == ("log_softmax", "declared")
    assert not result.explanation.weaker
    assert len(result.explanation.rows_tried) == 8
    assert result.gradient is not None
    assert result.gradient.beyond == 1
    assert result.gradient.worst[0].index == (1, 2)
    assert result.output.beyond == 0
    assert result.gradient.sums is not None
    assert (result.gradient.sums.row, result.gradient.sums.rows_beyond) == (1, 1)


def test_elements_of_a_jacobian_are_named_by_class_row_and_class() -> None:
    found = truth("softmax", LOGITS, per_output=True, masked_classes=(0,))
    output, jacobian = exact_arrays(found)
    assert jacobian.shape == (2, 2, 3)
    planes = np.zeros((3, 2, 3))
    planes[1:] = jacobian
    planes[2, 1, 1] += 0.25
    result = measured(found, output, planes)
    assert result.jacobian is not None
    assert result.jacobian.worst[0].index == (2, 1, 1)
    assert result.jacobian.beyond == 1


def test_the_jacobian_of_one_output_a_row_has_one_plane_whatever_is_masked() -> None:
    found = truth("logsumexp", LOGITS, per_output=True, masked_classes=(0,))
    output, jacobian = exact_arrays(found)
    jacobian[0, 1, 2] += 0.25
    result = measured(found, output, jacobian)
    assert result.jacobian is not None
    assert result.jacobian.worst[0].index == (0, 1, 2)


def test_nothing_moves_the_output_of_a_masked_class() -> None:
    """Its plane of the Jacobian is due as 0 and shown in its place; where softmax does not exist it is NaN."""
    found = truth("softmax", [*LOGITS, [np.nan, 0.0, 1.0]], per_output=True, masked_classes=(1,))
    output, active = exact_arrays(found)
    jacobian = np.zeros((3, 3, 3))
    jacobian[[0, 2]] = active
    jacobian[1, 2, [0, 2]] = np.nan
    sound = measured(found, output, jacobian).jacobian
    assert sound is not None
    assert (sound.beyond, sound.special_mismatch, sound.non_finite, sound.elements) == (0, 0, 0, 27)
    assert sound.values is not None
    np.testing.assert_array_equal(sound.values.got.reshape(3, 3, 3), jacobian.astype(np.float32))
    jacobian[1, 0, 2] = 7.0
    result = measured(found, output, jacobian).jacobian
    assert result is not None
    assert result.beyond == 1
    assert result.worst[0].index == (1, 0, 2)


def test_masked_classes_that_take_part_are_a_mismatch() -> None:
    found = truth("softmax", LOGITS, masked_classes=(1,))
    output, gradient = exact_arrays(found)
    assert output[:, 1].tolist() == gradient[:, 1].tolist() == [0.0, 0.0]
    output[0, 1], gradient[1, 1] = 1e-30, np.nan
    result = measured(found, output, gradient)
    assert result.gradient is not None
    assert (result.output.special_mismatch, result.gradient.special_mismatch) == (1, 1)
    assert result.gradient.worst[0].index == (1, 1)


def test_a_nan_is_no_value_beyond_its_tolerance() -> None:
    found = truth("softmax", LOGITS)
    output, gradient = exact_arrays(found)
    gradient[0, 0] = np.nan
    result = measured(found, output, gradient)
    assert result.explanation.explains, "every finite element is within"
    assert result.gradient is not None
    assert (result.gradient.non_finite, result.gradient.beyond) == (1, 0)


def test_logits_of_minus_infinity_take_no_part() -> None:
    found = truth("softmax", [[0.0, -np.inf, 1.0]], upstream=[[1.0, 2.0, -1.0]])
    output, gradient = exact_arrays(found)
    assert (output[0, 1], gradient[0, 1]) == (0.0, 0.0)
    result = measured(found, output, gradient)
    assert result.explanation.explains
    assert result.output.special_mismatch == result.output.non_finite == 0


def test_what_the_faults_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows by where they are wrong; of a mean only that it is, for no row stands out in it."""
    told: list[object] = []

    def diagnose(*arguments: object) -> tuple[()]:
        told.append(arguments[2])
        return ()

    monkeypatch.setattr(evaluations.hypotheses, "diagnose", diagnose)
    for reduction in ("none", "mean"):
        found = truth("cross_entropy", LOGITS, targets=[2, 0], reduction=reduction)
        output, gradient = exact_arrays(found)
        output = np.where(np.arange(output.size) == output.size - 1, np.inf, output.ravel()).reshape(output.shape)
        gradient[0, 0] = np.nan
        gradient[1, 1] += 1.0
        measured(found, output, gradient)
    whole, mean = told
    assert (whole.beyond, whole.output_non_finite, whole.gradient_non_finite) == ({1}, {1}, {0})
    assert not whole.reduced_non_finite
    assert (mean.beyond, mean.output_non_finite, mean.gradient_non_finite) == ({1}, frozenset(), {0})
    assert mean.reduced_non_finite


def test_a_sound_evaluation_is_not_diagnosed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluations.hypotheses, "diagnose", lambda *_: pytest.fail("nothing is wrong"))
    found = truth("softmax", LOGITS)
    measured(found, *exact_arrays(found))


def test_arb_decides_what_float64_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """An enclosure as wide as half of the tolerance: only the doubtful row is asked for."""
    found = truth("logsumexp", LOGITS)
    output, gradient = exact_arrays(found)
    block = found.block_at(0)
    output = output.astype(np.float32).astype(np.float64)
    error = np.abs(output - block.output.mid[:, 0])
    asked: list[list[int]] = []
    exact_output = Truth.exact_output

    def note(self: Truth, part: object, rows: np.ndarray) -> object:
        asked.append(rows.tolist())
        return exact_output(self, part, rows)

    found.spot_checked = 0
    widened = evaluations.Tolerance.output

    def narrow(self: object, given: object) -> object:
        allowed = widened(self, given)
        allowed.values[:, 0] = [error[0], 1.0]
        return allowed

    monkeypatch.setattr(Truth, "exact_output", note)
    monkeypatch.setattr(evaluations.Tolerance, "output", narrow)
    result = measured(found, output, gradient)
    assert asked[0] == [0]
    assert result.output.escalated >= 1


def test_a_flipped_sign_is_no_overflow_though_the_row_could_have_had_one() -> None:
    """At -log p = 95 an unfused float32 chain loses its gradient to infinity; a finite wrong one is another fault."""
    found = truth("cross_entropy", [[0.0, -95.0]], targets=[1])
    output, gradient = exact_arrays(found)
    assert measured(found, output, gradient).explanation.explains
    result = measured(found, output, -gradient)
    assert not result.explanation.explains
    assert result.diagnoses == ()
    lost = measured(found, output, np.full_like(gradient, np.nan))
    assert [diagnosis.fault for diagnosis in lost.likely] == ["unfused-logarithm"]
