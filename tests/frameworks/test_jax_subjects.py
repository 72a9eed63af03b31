"""Users' losses in JAX: every convention, by the values that come back, and what is said of the wrong ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradaudit import pipeline, workers
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject
from gradaudit.specs.loading import load_text
from gradaudit.workers.pool import Pool
from tests.backends.test_subjects import LOGITS, WEIGHT, assert_close, expected, inputs

pytestmark = pytest.mark.frameworks

FOLDER = Path(__file__).parent / "subjects"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(workers.WorkerSettings(timeout=120.0)) as pool:
        yield pool


def attempt(
    pool: Pool, name: str, given: Inputs, *, experiments: bool = False, **fields: object
) -> Evaluation | EvaluationFailure:
    target = f"jax_losses.py:{name}"
    subject = Subject(target, "jax", target, base_directory=str(FOLDER), **fields)  # type: ignore[arg-type]
    key = EvaluationKey(target, "jax", "custom", given.dtype, 1.0)
    return pool.submit(key, given, subject, experiments=experiments).result()


def ask(pool: Pool, name: str, given: Inputs, **fields: object) -> Evaluation:
    result = attempt(pool, name, given, **fields)  # type: ignore[arg-type]
    assert isinstance(result, Evaluation), f"{result.message}\n{result.detail}"
    assert (result.notes["unusable"], result.notes["mutated"], result.notes["process"]) == ("", [], [])
    return result


def test_conventions(pool: Pool) -> None:
    given = inputs()
    assert_close(ask(pool, "plain", given), expected())
    assert_close(ask(pool, "smoothed", given, kwargs={"smoothing": 0.1}), expected(0.1))
    assert_close(ask(pool, "smoothed", given, kwargs={"weight": {"tensor": WEIGHT}}), expected(weight=WEIGHT))
    assert_close(ask(pool, "make", given, kwargs={"smoothing": 0.2}, factory=True), expected(0.2))
    assert_close(ask(pool, "Smoothed", given, kwargs={"smoothing": 0.3}), expected(0.3))
    assert_close(ask(pool, "by_hand", given), expected())


def test_64_bit_types_are_on_for_float64_alone(pool: Pool) -> None:
    for dtype in ("float32", "float64", "float32", "bfloat16"):
        result = ask(pool, "of_defaults", inputs(dtype))
        assert result.gradient is not None
        assert result.gradient.dtype.name == dtype
        # An array of floats that names no dtype is float32 where 64-bit types are off, and float64 where they are on.
        assert result.output.dtype.name == ("float32" if dtype == "bfloat16" else dtype)


def test_the_jacobian_by_one_backward_for_each_output(pool: Pool) -> None:
    from gradaudit.records.function_call import FunctionCall

    given = replace(inputs(), function=FunctionCall("softmax", {}), targets=None, upstream=None, per_output=True)
    result = ask(pool, "softmax", given)
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    assert result.jacobian is not None
    for k in range(11):
        due = p[:, [k]] * ((np.arange(11) == k) - p)
        assert np.abs(result.jacobian[k] - due).max() < 1e-15


def test_experiments(pool: Pool) -> None:
    result = ask(pool, "by_hand", inputs(), experiments=True)
    found = result.experiments
    names = {name.partition(".")[0] for name in found}
    assert names == {"again", "reseeded", "retained", "retained_twice", "perturbed", "doubled", "compiled"}
    np.testing.assert_array_equal(found["again.gradient"], result.gradient)
    np.testing.assert_array_equal(found["doubled.gradient"], 2.0 * result.gradient)
    assert np.abs(found["compiled.gradient"] - result.gradient).max() < 1e-15
    row = result.notes["perturbed_row"]
    moved = (found["perturbed.gradient"] != result.gradient).any(axis=1)
    assert moved.nonzero()[0].tolist() == [row]
    (place,) = result.notes["written_by_hand"]  # type: ignore[misc]
    assert "jax_losses.py:" in str(place)
    assert str(place).endswith(" in by_hand")
    shown = ask(pool, "random_loss", inputs(), experiments=True).experiments
    assert shown["again.output"] != shown["reseeded.output"]


def test_mistakes_are_named_by_file_and_line(pool: Pool) -> None:
    raising = attempt(pool, "raising", inputs())
    assert isinstance(raising, EvaluationFailure)
    assert raising.kind == "raised"
    assert "jax_losses.py:11 in plain: ValueError: " in raising.message
    auxiliary = attempt(pool, "with_auxiliary", inputs())
    assert isinstance(auxiliary, Evaluation)
    assert auxiliary.notes["unusable"] == "it returned a tuple of 2 (Array, dict) where a JAX array is due"
    absent = attempt(pool, "plane", inputs())
    assert isinstance(absent, EvaluationFailure)
    assert absent.message.endswith("did you mean 'plain'?")


SPEC = f"""
version: 1
function: cross_entropy
logits: {{random: {{distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}}}
targets: {{random: {{seed: 2}}}}
probes: none
subjects:
  - jax: {FOLDER}/jax_losses.py:smoothed
  - jax: {FOLDER}/jax_losses.py:without_mean
  - jax: {FOLDER}/jax_losses.py:detached
"""


def test_the_audit_names_what_is_wrong() -> None:
    cases = load_text(SPEC, "jax.yaml")
    report = pipeline.audit(cases, pipeline.Settings(timeout=120.0))
    found: dict[str | None, set[str]] = {}
    for finding in report.cases[0].findings:
        if finding.severity == "error":
            found.setdefault(finding.subject, set()).add(finding.code)
    assert "smoothed" not in found
    assert "BUG401" in found["without_mean"]
    assert {code[:3] for code in found["detached"]} == {"BUG"}


def test_compiled_it_is_one_program(pool: Pool) -> None:
    """The same values as eagerly, and a branch on values that jax.jit cannot take."""
    given = inputs("float32")
    for name, refused in (("by_hand", False), ("branching", True)):
        target = f"jax_losses.py:{name}"
        subject = Subject(target, "jax", target, base_directory=str(FOLDER), execution="compiled")
        key = EvaluationKey(target, "jax", "custom", "float32", 1.0, execution="compiled")
        result = pool.submit(key, given, subject, experiments=not refused).result()
        if refused:
            assert isinstance(result, EvaluationFailure)
            assert result.kind == "raised"
            assert "in branching: TracerBoolConversionError" in result.message
            continue
        assert isinstance(result, Evaluation), result
        assert result.gradient is not None
        assert "compiled.gradient" not in result.experiments
        np.testing.assert_array_equal(result.experiments["retained.gradient"], result.gradient)
        np.testing.assert_array_equal(result.experiments["doubled.gradient"], 2.0 * result.gradient)


def test_the_second_order() -> None:
    text = SPEC.replace("probes: none", "probes: none\nderivatives: 2").replace(":without_mean", ":plain")
    case = pipeline.audit(load_text(text, "second.yaml"), pipeline.Settings(timeout=120.0)).cases[0]
    verdicts = {each.key.subject: each.verdict for each in case.second_order}
    assert verdicts["smoothed"] == verdicts["plain"] == "agrees"
    assert verdicts["detached"] != "agrees"


def test_small_programs_are_kept_where_jax_is_told_to_keep_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "programs"))
    with Pool(workers.WorkerSettings(timeout=120.0)) as fresh:
        ask(fresh, "plain", inputs("float32"))
    assert list((tmp_path / "programs").iterdir())


def test_a_live_loss() -> None:
    import importlib.util

    from gradaudit.testing import assert_gradients

    spec = importlib.util.spec_from_file_location("live_jax_losses", FOLDER / "jax_losses.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert_gradients(module.smoothed, "cross_entropy", probes="none")
    with pytest.raises(AssertionError, match="BUG401"):
        assert_gradients(module.without_mean, "cross_entropy", probes="none")
