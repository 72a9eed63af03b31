"""What further runs of a subject show: each breach by the arrays that show it, and silence where rounding differs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gradaudit.backends import claimed
from gradaudit.measurement import contract
from gradaudit.measurement.audited import Audited
from gradaudit.measurement.evaluation import measure
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import Breach
from gradaudit.records.subject import Subject
from gradaudit.reference import admissible
from gradaudit.reference.truth import Truth
from tests.measurement.cases import inputs

SUBJECT = Subject("loss", "torch", "losses.py:loss")
LOGITS = np.random.default_rng(3).normal(size=(7, 11)).astype(np.float32)
LABELS = np.arange(7)


def case(function: str = "cross_entropy", **options: object) -> Inputs:
    if function == "cross_entropy":
        options = {"targets": LABELS, "reduction": "mean", "upstream": 1.5, **options}
    return inputs(function, LOGITS, "float32", **options)  # type: ignore[arg-type]


def exact(given: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Output and gradient, each rounded once."""
    truth = Truth(given)
    blocks = list(truth.blocks())
    gradient = truth.layout.restored(np.concatenate([truth.gradient(block, None).mid for block in blocks]))
    if truth.reduced:
        output = truth.reduced_output().mid.reshape(())
    else:
        rows = np.concatenate([block.output.mid for block in blocks])
        output = truth.layout.restored(rows) if truth.elementwise else rows[:, 0]
    return np.asarray(output, np.float32), gradient.astype(np.float32)


def entry(
    given: Inputs | None = None,
    experiments: Mapping[str, np.ndarray] | None = None,
    output: np.ndarray | None = None,
    gradient: np.ndarray | None = None,
    **notes: object,
) -> Audited:
    """A sound evaluation of `given`, whose second call agrees, with something put in another's place."""
    given = case() if given is None else given
    due = exact(given)
    output = due[0] if output is None else output
    gradient = due[1] if gradient is None else gradient
    kept = {"again.output": output, "again.gradient": gradient, **(experiments or {})}
    said = {"defined": "losses.py:3 in loss", "returned": "a tensor", "unusable": "", "mutated": [], **notes}
    key = EvaluationKey("loss", "torch", "custom", given.dtype, 1.0, given.probe)
    evaluation = Evaluation(key, output, gradient, None, 0.0, "", kept, said)
    truth = Truth(given)
    measurement = None
    if output.shape == due[0].shape:
        profile = claimed.profile_of(SUBJECT, given.dtype)
        measurement = measure(
            truth, evaluation, profile, "ones", admissible.rows(given.function, given.dtype, profile)
        )
    return Audited(given, truth, evaluation, measurement)


def breaches(*entries: Audited) -> dict[str, Breach]:
    return {breach.fault: breach for breach in contract.breaches(SUBJECT, entries)}


def only(name: str, *entries: Audited) -> str:
    found = breaches(*entries)
    assert set(found) == {name}
    assert found[name].statement.endswith("(losses.py:3 in loss)")
    return found[name].statement


def nudged(array: np.ndarray, ulps: int = 1) -> np.ndarray:
    """Every element moved by some units in the last place."""
    return (array.view(np.int32) + np.int32(ulps)).view(np.float32)


def shifted(array: np.ndarray, index: tuple[int, ...], by: float) -> np.ndarray:
    changed = array.copy()
    changed[index] += np.float32(by)
    return changed


def test_a_sound_subject_breaks_nothing() -> None:
    sound = entry()
    gradient, output = sound.evaluation.gradient, sound.evaluation.output
    assert gradient is not None
    names = ("reseeded", "retained", "retained_twice", "perturbed", "transposed", "strided", "expanded")
    same = {f"{name}.gradient": gradient for name in names} | {f"{name}.output": output for name in names}
    assert breaches(entry(experiments=same, perturbed_row=3, process=[], raised={})) == {}


def test_kernels_may_round_otherwise_for_another_layout_or_another_row() -> None:
    gradient, output = exact(case())[::-1]
    other = {
        f"{name}.{quantity}": nudged(array)
        for name in ("transposed", "strided", "expanded", "perturbed")
        for quantity, array in (("gradient", gradient), ("output", output))
    }
    assert breaches(entry(experiments=other, perturbed_row=3)) == {}


def test_written_inputs_are_named_by_phase() -> None:
    statement = only(
        "input-mutated", entry(mutated=["forward: logits", "forward: targets", "backward: upstream gradient"])
    )
    assert "the forward writes over logits and targets; the backward writes over upstream gradient" in statement


def test_what_carries_no_gradient() -> None:
    statement = only("wrong-shape-or-dtype", entry(unusable="it returned None where a tensor is due"))
    assert statement == "it returned None where a tensor is due (losses.py:3 in loss)"
    special = replace(case(), special=True)
    assert breaches(entry(special, unusable="it returned None where a tensor is due")) == {}


@pytest.mark.parametrize(("reduce", "words"), [(np.sum, "sum"), (np.mean, "mean"), (np.max, "")])
def test_one_number_where_one_for_each_row_is_due(reduce: object, words: str) -> None:
    given = case(reduction="none", upstream=1.0)
    losses, gradient = exact(given)
    statement = only("wrong-shape-or-dtype", entry(given, output=np.asarray(reduce(losses)), gradient=gradient))  # type: ignore[operator]
    assert statement.startswith("it returns shape [] where [7] is due (reduction: none)")
    assert (f": it is the {words} of the rows' losses" in statement) == bool(words)


def test_the_shapes_of_output_and_gradient() -> None:
    statement = only("wrong-shape-or-dtype", entry(output=np.zeros(7, np.float32)))
    assert "it returns shape [7] where [] is due (reduction: mean)" in statement
    gradient = exact(case())[1]
    flat = replace(entry(), evaluation=replace(entry().evaluation, gradient=gradient[:, :10]), measurement=None)
    assert "its gradient has the shape [7, 10], the logits [7, 11]" in only("wrong-shape-or-dtype", flat)


def test_a_narrower_dtype_loses_digits_and_a_wider_one_does_not() -> None:
    output, gradient = exact(case())
    half = replace(entry(), evaluation=replace(entry().evaluation, output=output.astype(np.float16), experiments={}))
    assert "its result is float16 though the logits are float32" in only("wrong-shape-or-dtype", half)
    wide = replace(entry(), evaluation=replace(entry().evaluation, output=output.astype(np.float64)))
    assert breaches(wide) == {}
    rough = replace(entry(), evaluation=replace(entry().evaluation, gradient=gradient.astype(np.float16)))
    assert "wrong-shape-or-dtype" in breaches(rough)


def test_the_same_call_twice_is_held_to_every_bit() -> None:
    gradient = exact(case())[1]
    statement = only("nondeterministic", entry(experiments={"again.gradient": nudged(gradient)}))
    assert statement.startswith("the same call twice gives two gradients: ")
    assert "77 elements in all; it keeps something from call to call" in statement
    output = exact(case())[0]
    statement = only("nondeterministic", entry(experiments={"reseeded.output": nudged(output)}))
    assert statement.startswith("the output depends on the random seed: ")
    assert "called again on the same inputs: f.py:3 in f: ValueError" in only(
        "nondeterministic", entry(raised={"again": "f.py:3 in f: ValueError"})
    )
    failed = {"kind": "crashed", "message": "the worker exited with status 5"}
    assert "called again in other ways it ended: the worker" in only(
        "nondeterministic", entry(experiments_failed=failed)
    )


def test_what_is_random_is_not_held_to_the_rest() -> None:
    gradient = exact(case())[1]
    noise = {"again.gradient": gradient * 2, "transposed.gradient": gradient * 3, "perturbed.gradient": gradient * 4}
    only("nondeterministic", entry(experiments=noise, perturbed_row=3))


def test_a_second_backward_is_held_to_every_bit() -> None:
    gradient = exact(case())[1]
    twice = {"retained.gradient": gradient, "retained_twice.gradient": nudged(gradient)}
    assert only("second-backward-differs", entry(experiments=twice)).startswith(
        "two backwards through the same graph"
    )
    statement = only("second-backward-differs", entry(raised={"retained": "f.py:9 in backward: KeyError: 'p'"}))
    assert (
        "a second backward through the kept graph (retain_graph=True) fails: f.py:9 in backward: KeyError"
        in statement
    )


def test_one_row_must_not_move_another() -> None:
    gradient = exact(case())[1]
    own = {"perturbed.gradient": shifted(gradient, (3, 5), 0.25)}
    assert breaches(entry(experiments=own, perturbed_row=3)) == {}
    other = {"perturbed.gradient": shifted(gradient, (4, 5), 1e-5)}
    statement = only("rows-not-independent", entry(experiments=other, perturbed_row=3))
    assert statement.startswith("doubling the logits of row 3 changes the gradient of other rows: ")
    assert " at [4, 5], and may differ by " in statement
    given = case(reduction="none", upstream=1.0)
    losses = exact(given)[0]
    by_row = {"perturbed.output": shifted(losses, (6,), 0.01)}
    assert " at [6], and may differ by " in only("rows-not-independent", entry(given, by_row, perturbed_row=3))
    mine = {"perturbed.output": shifted(losses, (3,), 0.01)}
    assert breaches(entry(given, mine, perturbed_row=3)) == {}


def test_masked_classes_of_the_row_itself_may_move() -> None:
    given = case("softmax", masked_classes=(0, 4))
    output = exact(given)[0]
    assert breaches(entry(given, {"perturbed.output": shifted(output, (3, 4), 0.5)}, perturbed_row=3)) == {}
    statement = only(
        "rows-not-independent", entry(given, {"perturbed.output": shifted(output, (2, 1), 0.5)}, perturbed_row=3)
    )
    assert " at [2, 1]" in statement


@pytest.mark.parametrize("layout", ["transposed", "strided", "expanded"])
def test_the_layout_must_not_matter(layout: str) -> None:
    gradient = exact(case())[1]
    changed = {f"{layout}.gradient": shifted(gradient, (2, 2), 1e-5)}
    statement = only("layout-changes-result", entry(experiments=changed))
    assert statement.startswith("its gradient changes when ")
    lost = {f"{layout}.gradient": shifted(gradient, (2, 2), float("nan"))}
    assert "nan at [2, 2]" in only("layout-changes-result", entry(experiments=lost))


@pytest.mark.parametrize("execution", ["graph", "compiled"])
def test_the_execution_must_not_matter(execution: str) -> None:
    output, gradient = exact(case())
    rounded = {f"{execution}.output": nudged(output), f"{execution}.gradient": nudged(gradient)}
    assert breaches(entry(experiments=rounded)) == {}
    for by in (1e-5, float("nan")):
        changed = {f"{execution}.output": output, f"{execution}.gradient": shifted(gradient, (2, 2), by)}
        statement = only("execution-changes-result", entry(experiments=changed))
        assert statement.startswith("its gradient changes when ")


def test_a_compiler_may_choose_another_formulation_in_the_same_precision() -> None:
    given = replace(case(upstream=1.0), logits=LOGITS + np.float32(1000))
    logits = given.logits
    shift = logits.max(axis=-1, keepdims=True)
    lse = np.log(np.exp(logits - shift).sum(axis=-1, keepdims=True, dtype=np.float32)) + shift
    by_lse = (np.exp(logits - lse) - np.eye(11, dtype=np.float32)[LABELS]) / np.float32(7)
    output, gradient = exact(given)
    assert np.abs(by_lse - gradient).max() > 1e-6, "it loses the digits of the offset"
    other = {"compiled.output": output, "compiled.gradient": by_lse}
    assert breaches(entry(given, other)) == {}
    narrow = {"compiled.output": output, "compiled.gradient": gradient.astype(np.float16).astype(np.float32)}
    assert set(breaches(entry(given, narrow))) == {"execution-changes-result"}


def test_what_the_truth_does_not_explain_is_not_held_to_its_tolerance() -> None:
    gradient = exact(case())[1] * np.float32(3)
    wrong = {"gradient": gradient}
    for name in ("transposed", "strided", "expanded", "perturbed"):
        rounded = {f"{name}.gradient": nudged(gradient, 40)}
        assert breaches(entry(experiments=rounded, perturbed_row=3, **wrong)) == {}
        assert set(breaches(entry(experiments={f"{name}.gradient": nudged(gradient / 3, 40)}, perturbed_row=3)))


def test_rows_of_a_wrong_loss_must_not_move_as_far_as_they_are_large() -> None:
    gradient = exact(case())[1] * np.float32(3)
    index = (4, int(np.argmax(np.abs(gradient[4]))))
    near = {"perturbed.gradient": shifted(gradient, index, 0.5 * float(gradient[index]))}
    assert breaches(entry(experiments=near, gradient=gradient, perturbed_row=3)) == {}
    for by in (-3.0 * float(gradient[index]), float("nan")):
        far = {"perturbed.gradient": shifted(gradient, index, by)}
        statement = only("rows-not-independent", entry(experiments=far, gradient=gradient, perturbed_row=3))
        assert f" at {list(index)}" in statement
        assert "may differ by" not in statement
    saturated = replace(case(), logits=LOGITS * np.float32(8))
    noise = np.full_like(gradient, 6e-8)
    given = entry(saturated, {"perturbed.gradient": -noise}, gradient=noise, perturbed_row=3)
    assert breaches(given) == {}, "what cancellation leaves may be roundings throughout"


def test_a_refusal_of_a_layout_is_no_breach() -> None:
    assert breaches(entry(raised={"transposed": "RuntimeError: view size is not compatible"})) == {}


def test_a_backward_by_hand_that_is_not_of_its_own_loss() -> None:
    gradient = exact(case())[1]
    by_hand: dict[str, Any] = {"written_by_hand": ["losses.py:9 in Loss"]}
    statement = only("forward-and-backward-disagree", entry(gradient=gradient * np.float32(7), **by_hand))
    assert "the loss is right on all 1 inputs, and the gradient is that of something else on 1 of them" in statement
    assert "in the forward or backward written by hand of Loss (losses.py:9)" in statement
    itself = {"written_by_hand": ["losses.py:3 in loss"]}
    statement = only("forward-and-backward-disagree", entry(gradient=gradient * np.float32(7), **itself))
    assert statement.endswith(" written by hand of loss (losses.py:3 in loss)")
    assert breaches(entry(gradient=gradient * np.float32(7))) == {}, "autograd differentiates what it is given"
    assert breaches(entry(**by_hand)) == {}
    wrong_loss = entry(output=np.asarray(3.0, np.float32), gradient=gradient * np.float32(7), **by_hand)
    assert breaches(wrong_loss) == {}


def test_without_a_truth_a_backward_has_to_be_linear() -> None:
    gradient = exact(case())[1]

    def alone(doubled: np.ndarray) -> Audited:
        return replace(entry(experiments={"doubled.gradient": doubled}), truth=None, measurement=None)

    assert breaches(alone(gradient * 2)) == {}
    statement = only("forward-and-backward-disagree", alone(gradient))
    assert statement.startswith("its backward is not linear: under twice the upstream gradient ")
    assert breaches(entry(experiments={"doubled.gradient": gradient})) == {}, "the truth says more"
    assert breaches(alone(nudged(gradient * 2))) == {}
    assert breaches(alone(np.full_like(gradient, np.inf))) == {}, "an overflow is no fault of the backward"


def test_a_changed_process_is_told() -> None:
    statement = only("process-changed", entry(process=["replaces torch.exp", "leaves 1 thread running"]))
    assert statement.startswith("it replaces torch.exp; it leaves 1 thread running")


def test_each_kind_is_told_once_and_not_by_what_is_to_be_refused() -> None:
    first, second = (
        entry(mutated=["forward: logits"]),
        entry(replace(case(), probe="ones"), mutated=["forward: logits"]),
    )
    assert contract.breaches(SUBJECT, [first, second])[0].key.probe is None
    assert len(contract.breaches(SUBJECT, [first, second])) == 1
    to_refuse = entry(replace(case(), expects_error=True), mutated=["forward: logits"])
    assert breaches(to_refuse).keys() == {"special-values-differ"}


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_a_label_out_of_range_that_is_taken_is_a_matter_of_special_values(value: float) -> None:
    labels = np.where(LABELS == 3, 13, LABELS)
    given = replace(case(), targets=labels, probe="label-too-large", special=True, expects_error=True)
    key = EvaluationKey("loss", "torch", "custom", "float32", 1.0, "label-too-large")
    result = Evaluation(key, np.array(value, np.float32), np.zeros_like(LOGITS), None, 0.0)
    (breach,) = contract.breaches(SUBJECT, [Audited(given, None, result, None)] * 2)
    assert (breach.fault, breach.key.probe) == ("special-values-differ", "label-too-large")
    assert breach.statement.startswith("it takes the label 13, which is none of the 11 classes, and returns ")
    assert dict(breach.evidence)["probes"] == 2
