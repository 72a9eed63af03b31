"""The key `subjects`: what it becomes, and what is said where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradaudit.errors import SpecError
from gradaudit.records.subject import Subject
from tests.specs.conftest import one_case

ENTROPY = "function: cross_entropy\nlogits: [[1, 2, 3], [3, 2, 1]]\ntargets: [0, 1]\nprobes: none\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of losses, which would fail if anybody imported them."""
    for name in ("losses.py", "other.py"):
        (tmp_path / name).write_text("raise SystemExit('imported')\n")
    return tmp_path


def subjects(text: str, folder: Path, more: str = "") -> tuple[Subject, ...]:
    return one_case(f"{ENTROPY}{more}subjects:\n{text}", str(folder)).subjects


def complaint(text: str, folder: Path, more: str = "") -> str:
    with pytest.raises(SpecError) as refused:
        subjects(text, folder, more)
    return str(refused.value)


def test_a_subject_in_full(folder: Path) -> None:
    text = """
- torch: losses.py:Losses.smoothed
  name: mine
  kwargs: {smoothing: 0.1, weight: {tensor: [1, 2, 3]}, names: [a, b], nothing: null}
  factory: true
  input: log_probabilities
  targets: one_hot
  profile: {compute: float32, accumulate: float32, storage: bfloat16, formulation: unfused}
  autocast: float16
"""
    (subject,) = subjects(text, folder, "derivatives: 2\ndevice: cuda:1\n")
    assert (subject.name, subject.backend, subject.target) == ("mine", "torch", "losses.py:Losses.smoothed")
    assert subject.kwargs == {
        "smoothing": 0.1,
        "weight": {"tensor": [1, 2, 3]},
        "names": ["a", "b"],
        "nothing": None,
    }
    assert (subject.factory, subject.input, subject.targets) == (True, "log_probabilities", "one_hot")
    assert subject.profile == {
        "compute": "float32",
        "accumulate": "float32",
        "storage": "bfloat16",
        "formulation": "unfused",
    }
    assert (subject.formulation, subject.autocast, subject.device) == ("unfused", "float16", "cuda:1")
    assert (subject.derivatives, subject.base_directory) == (2, str(folder))
    assert (subject.location.line, subject.location.column) == (10, 3)


def test_a_subject_in_short_takes_over_what_the_case_says(folder: Path) -> None:
    first, second = subjects("- torch: losses.py:loss\n- numpy: other.py:loss2\n", folder, "autocast: bfloat16\n")
    assert (first.name, second.name) == ("loss", "loss2")
    assert (first.formulation, first.input, first.targets, first.factory) == ("custom", "logits", "as_given", False)
    assert (first.autocast, second.autocast) == ("bfloat16", None)


def test_an_onnx_file_with_what_is_what(folder: Path) -> None:
    (folder / "loss.onnx").write_bytes(b"never read here")
    text = """
- onnx: loss.onnx
  inputs: {logits: x, targets: labels}
  output: mean
  gradient: dx
  external_data: true
"""
    (subject,) = subjects(text, folder)
    assert (subject.name, subject.backend, subject.target) == ("loss.onnx", "onnxruntime", "loss.onnx")
    assert subject.graph == {
        "inputs": {"logits": "x", "targets": "labels"},
        "output": "mean",
        "gradient": "dx",
        "external_data": True,
    }
    (short,) = subjects(f"- onnx: {folder / 'loss.onnx'}\n  external_data: false\n", folder)
    assert (short.name, dict(short.graph)) == ("loss.onnx", {})


def test_backends_are_none_beside_subjects_unless_they_are_named(folder: Path) -> None:
    text = "subjects: {torch: losses.py:loss}\n"
    assert one_case(ENTROPY + text, str(folder)).backends == ()
    assert one_case(ENTROPY + text + "backends: torch\n", str(folder)).backends == ("torch",)
    assert one_case(ENTROPY).backends == ("numpy", "torch", "onnxruntime")


def test_names_that_are_alike_are_told_apart_by_the_whole_target(folder: Path) -> None:
    found = subjects("- torch: losses.py:loss\n- torch: other.py:loss\n- numpy: losses.py:torch\n", folder)
    assert [each.name for each in found] == ["losses.py:loss", "other.py:loss", "losses.py:torch"]
    found = subjects("- torch: losses.py:loss\n- numpy: losses.py:loss\n", folder)
    assert [each.name for each in found] == ["torch:losses.py:loss", "numpy:losses.py:loss"]


def test_files_are_looked_for_beside_the_spec_and_in_the_working_directory(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert "there is no file 'losses.py'; looked in" in complaint("- torch: losses.py:loss\n", elsewhere)
    monkeypatch.chdir(folder)
    assert subjects("- torch: losses.py:loss\n", elsewhere)
    assert subjects(f"- torch: {folder / 'losses.py'}:loss\n", elsewhere)


def test_what_is_called_like_a_file_and_is_none_is_told_as_it_is(folder: Path) -> None:
    (folder / "package.py").mkdir()
    (folder / "lost.py").symlink_to("nowhere.py")
    assert "'package.py' is a folder; name a file that ends in .py" in complaint("- torch: package.py:loss\n", folder)
    assert "'lost.py' is a link that leads nowhere; name" in complaint("- torch: lost.py:loss\n", folder)
    assert "did you mean" not in complaint("- torch: lose.py:loss\n", folder).partition("'lost.py'")[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {}\n", "7:3: subjects: names no function; give one of torch: losses.py:loss"),
        ("- {torch: a:b, numpy: c:d}\n", "7:3: subjects: names two functions, by torch or numpy; give one of torch"),
        ("- losses.py:loss\n", "7:3: subjects[0]: 'losses.py:loss' is not a mapping such as {torch: losses.py:loss}"),
        (
            "- torch: losses.py\n",
            "'losses.py' names no function; expected MODULE:NAME or PATH.py:NAME, such as losses.py:",
        ),
        ("- torch: losses.py:2x\n", "7:10: subjects: '2x' in 'losses.py:2x' is no name of a function"),
        ("- torch: losses.py:f()\n", "subjects: 'f()' in 'losses.py:f()' is no name of a function"),
        (
            "- torch: lo sses:f\n",
            "subjects: 'lo sses' in 'lo sses:f' is neither a module nor a file that ends in .py",
        ),
        ("- torch: loses.py:loss\n", "7:10: subjects: there is no file 'loses.py'; looked in"),
        ("- torch: loses.py:loss\n", "did you mean 'losses.py'?"),
        ("- torch: losses.py:f\n  kwarg: {}\n", "8:3: unknown key 'kwarg' in subjects; did you mean 'kwargs'?"),
        ("- torch: losses.py:f\n  kwargs: {a b: 1}\n", "subjects: 'a b' is no name of an argument"),
        (
            "- torch: losses.py:f\n  kwargs: {a: {tensor: [[1], [1, 2]]}}\n",
            "subjects: a list of 2 is no tensor; expected",
        ),
        (
            "- torch: losses.py:f\n  kwargs: {a: {tensor: [x]}}\n",
            "8:24: subjects: a list of 1 is no tensor; expected",
        ),
        (
            "- torch: losses.py:f\n  kwargs: {a: {tensor: [1], b: 2}}\n",
            "subjects: tensor: stands alone, as in {tensor:",
        ),
        (
            "- torch: losses.py:f\n  name: torch\n",
            "8:9: subjects: 'torch' is the name of a backend; give it another",
        ),
        (
            "- {torch: losses.py:f, name: a}\n- {torch: losses.py:g, name: a}\n",
            "8:3: subjects: two are called 'a'; give",
        ),
        ("- onnx: los.onnx\n", "7:9: subjects: there is no file 'los.onnx'; looked in"),
        ("- onnx: losses.py\n  kwargs: {}\n", "8:11: subjects: kwargs says nothing of an ONNX file; remove it"),
        ("- torch: losses.py:f\n  output: loss\n", "8:11: subjects: output says nothing of a function; remove it"),
        (
            "- onnx: losses.py\n  inputs: {logit: x}\n",
            "8:19: subjects[0].inputs.logit: 'logit' is not known; did you mean 'logits'?",
        ),
        (
            "- torch: losses.py:f\n- torch: losses.py:f\n",
            "8:3: subjects: two are called 'torch:losses.py:f'; give each a name",
        ),
        (
            "- numpy: losses.py:f\n  autocast: bfloat16\n",
            "8:13: subjects: autocast is torch's; a numpy function does not",
        ),
        ("- torch: losses.py:f\n  input: odds\n", "8:10: subjects[0].input: 'odds' is not known; expected logits,"),
        ("- torch: losses.py:f\n  profile: {compute: fp32}\n", "'fp32' is not known; did you mean 'float32'?"),
    ],
)
def test_what_cannot_be_is_explained(text: str, message: str, folder: Path) -> None:
    assert message in complaint(text, folder)


def test_what_no_subject_can_do(folder: Path) -> None:
    text = "- numpy: losses.py:f\n"
    message = (
        "6:14: derivatives: only subjects written in torch, jax or tensorflow have a second order; add subjects:"
    )
    assert message in complaint(text, folder, "derivatives: 2\n")
    assert "autocast: only subjects written in torch run under it" in complaint(text, folder, "autocast: float16\n")
    softmax = "function: softmax\nlogits: [1, 2]\nsubjects: [{torch: losses.py:f, targets: one_hot}]\n"
    with pytest.raises(SpecError, match="softmax has no targets that could be one-hot"):
        one_case(softmax, str(folder))


def test_expectations_may_name_a_subject(folder: Path) -> None:
    text = ENTROPY + "subjects: [{torch: losses.py:loss}]\n"
    (expected,) = one_case(f"{text}expect: [{{code: SAT201, subject: loss}}]\n", str(folder)).expect
    assert expected.subject == "loss"
    assert one_case(f"{text}expect: [{{code: SAT201, formulation: custom, backend: torch}}]\n", str(folder)).expect
    with pytest.raises(SpecError, match="this case makes no evaluation with subject 'los'; subjects: loss"):
        one_case(f"{text}expect: [{{code: SAT201, subject: los}}]\n", str(folder))


def test_evaluations_of_subjects_are_counted(folder: Path) -> None:
    from gradaudit.specs.estimate import estimate

    text = "subjects: [{torch: losses.py:loss}, {numpy: losses.py:loss}]\nscale: [1, 2]\n"
    assert estimate(one_case(ENTROPY + text, str(folder))).evaluations == 4
    assert estimate(one_case(ENTROPY + text + "backends: [torch]\n", str(folder))).evaluations == 6
