"""Files, folders, standard input, defaults, overrides: from paths to cases."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from gradaudit.errors import FlagError, RequestError, SpecError
from gradaudit.records.case import FileArray, GridArray, InlineArray, RandomArray, Upstream
from gradaudit.specs.flags import overrides_from_flags
from gradaudit.specs.loading import load, load_text
from tests.specs.conftest import CODES, one_case

SOFTMAX = "version: 1\nfunction: softmax\nlogits: [[0.1, 2]]\n"

FULL = """
name: smoothed cross entropy with padding
function: {name: cross_entropy, reduction: sum, label_smoothing: 0.1, ignore_index: -1, weight: [1, 2.5, 0]}
logits: {random: {distribution: uniform, shape: [4, 3, 5], scale: 3, seed: 42, generator: torch}}
targets: {random: {seed: 1, ignored: 5}}
axis: 1
upstream: {random: {seed: 3}}
derivatives: 1
device: cpu
autocast: null
scale: [1, 10, 1e2]
dtypes: [float32, bfloat16]
backends: [numpy, torch]
formulations: [fused, unfused]
probes: none
expect: [SAT201, {code: BUG461, formulation: unfused, dtype: bfloat16, scale: 100, backend: torch, subject: torch}]
ignore: [CAN103, CAN]
"""


def test_every_key_reaches_the_case() -> None:
    case = one_case(FULL)
    assert case.name == "smoothed cross entropy with padding"
    assert case.function.name == "cross_entropy"
    assert case.function.parameters["weight"] == (1.0, 2.5, 0.0)
    assert case.function.parameters["ignore_index"] == -1
    assert case.function.parameters["temperature"] == 1.0
    assert case.function.parameters["masked_classes"] == ()
    assert case.logits == RandomArray("uniform", (4, 3, 5), 42, 3.0, "torch")
    assert case.targets == RandomArray("indices", (4, 5), 1, ignored=5)
    assert case.upstream == Upstream("values", RandomArray("normal", (), 3))
    assert (case.shape, case.axis) == ((4, 3, 5), (1,))
    assert case.scale == (1.0, 10.0, 100.0)
    assert case.dtypes == ("float32", "bfloat16")
    assert (case.backends, case.backends_named) == (("numpy", "torch"), True)
    assert case.formulations == ("fused", "unfused")
    assert case.ignore == ("CAN103", "CAN")
    first, second = case.expect
    assert (first.code, first.backend, str(first.location)) == ("SAT201", None, "spec.yaml:17:10")
    assert (second.code, second.formulation, second.dtype, second.scale) == ("BUG461", "unfused", "bfloat16", 100.0)
    assert str(case.source) == "spec.yaml:1:1"


def test_defaults_of_a_case() -> None:
    case = one_case("function: softmax\nlogits: [0.1, 2]\n")
    assert case.name == "spec"
    assert (case.shape, case.axis) == ((2,), (0,))
    assert case.scale == (1.0,)
    assert case.dtypes == ("float32",)
    assert (case.backends, case.backends_named) == (("numpy", "torch", "onnxruntime"), False)
    assert case.formulations == ("fused",)
    assert case.upstream == Upstream("ones")


def test_scalars_stand_for_lists_of_one() -> None:
    case = one_case(
        "function: softmax\nlogits: [[1, 2]]\nscale: 10\ndtypes: float64\nbackends: torch\nformulations: unshifted\n"
        "axis: 0\nexpect: CAN101\nignore: SAT\n"
    )
    assert (case.scale, case.dtypes, case.backends, case.formulations, case.axis, case.ignore) == (
        (10.0,),
        ("float64",),
        ("torch",),
        ("unshifted",),
        (0,),
        ("SAT",),
    )
    assert [each.code for each in case.expect] == ["CAN101"]


def test_special_values_and_whole_numbers_are_logits() -> None:
    case = one_case("function: softmax\nlogits: [[1, -.inf, .nan], [0x10, 1e-3, .inf]]\n")
    assert isinstance(case.logits, InlineArray)
    np.testing.assert_array_equal(case.logits.values, [[1, -np.inf, np.nan], [16, 1e-3, np.inf]])
    assert case.logits.values.dtype == np.float64


def test_a_grid_is_rows_of_two() -> None:
    case = one_case(
        "function: softmax\nlogits: {grid: [{start: -5, stop: 5, count: 40}, {start: 0, stop: 1, count: 3}]}\n"
    )
    assert case.logits == GridArray((-5.0, 5.0, 40), (0.0, 1.0, 3))
    assert case.shape == (120, 2)


@pytest.mark.parametrize(
    ("logits", "targets", "axis", "shape", "kind"),
    [
        ("[0.1, 2]", "1", "-1", (), "i"),
        ("[0.1, 2]", "[1]", "-1", (), "i"),
        ("[[0.1, 2]]", "1", "-1", (1,), "i"),
        ("[[0.1, 2]]", "[-100]", "-1", (1,), "i"),
        ("[[0.1, 2], [3, 4]]", "[0, 1]", "0", (2,), "i"),
        ("[[0.1, 2]]", "[[0, 1]]", "-1", (1, 2), "f"),
        ("[0.1, 2]", "[0, 1]", "-1", (2,), "f"),
        ("[[[1], [2]]]", "[[1]]", "1", (1, 1), "i"),
        ("[[1, 2], [3, 4]]", "3", "[0, 1]", (), "i"),
    ],
)
def test_targets_are_told_apart_by_their_shape(
    logits: str, targets: str, axis: str, shape: tuple[int, ...], kind: str
) -> None:
    case = one_case(f"function: cross_entropy\nlogits: {logits}\ntargets: {targets}\naxis: {axis}\n")
    assert isinstance(case.targets, InlineArray)
    assert case.targets.values.shape == shape
    assert case.targets.values.dtype.kind == kind


def test_cases_take_defaults_key_by_key_and_functions_whole() -> None:
    first, second = load_text(
        "version: 1\n"
        "defaults: {function: {name: cross_entropy, reduction: sum}, logits: [[1, 2]], targets: [0], scale: 10}\n"
        "cases:\n"
        "- {scale: 1}\n"
        "- {name: other, function: {name: cross_entropy, temperature: 2}}\n",
        "dir/many.gradaudit.yaml",
    )
    assert (first.name, first.scale, first.function.parameters["reduction"]) == ("many #1", (1.0,), "sum")
    assert (second.name, second.scale, second.function.parameters["reduction"]) == ("other", (10.0,), "mean")
    assert str(first.source) == "dir/many.gradaudit.yaml:4:3"


def test_null_takes_targets_of_the_defaults_away() -> None:
    (case,) = load_text(
        "version: 1\ndefaults: {logits: [[1, 2]], targets: [0]}\ncases: [{function: softmax, targets: null}]\n",
        "s.yaml",
    )
    assert case.targets is None


def test_files_are_read_by_their_header_relative_to_the_spec(tmp_path: Path) -> None:
    np.save(tmp_path / "logits.npy", np.zeros((7, 3), dtype=np.float32))
    np.savez(tmp_path / "both.npz", targets=np.zeros(7, dtype=np.int32), other=np.zeros(1))
    (tmp_path / "spec.yaml").write_text(
        "version: 1\nfunction: cross_entropy\nlogits: {file: logits.npy}\ntargets: {file: 'both.npz:targets'}\n"
    )
    (case,) = load([tmp_path / "spec.yaml"])
    assert case.logits == FileArray(str(tmp_path / "logits.npy"), (7, 3), "float32")
    assert case.targets == FileArray(str(tmp_path / "both.npz"), (7,), "int32", "targets")
    assert case.base_directory == str(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("logits: {file: logit.npy}", "3:16: logits: there is no file '{}/logit.npy'; did you mean 'logits.npy'?"),
        ("logits: {file: zz.npy}", "3:16: logits: there is no file '{}/zz.npy'; paths are relative to the spec"),
        (
            "logits: {file: spec.yaml}",
            "3:16: logits: '{}/spec.yaml' is neither .npy nor .npz; save the array with numpy.save",
        ),
        ("logits: {file: both.npz}", "3:16: logits: '{}/both.npz' holds 2 arrays; add key: targets or other"),
        (
            "logits: {file: both.npz, key: othr}",
            "3:16: logits: '{}/both.npz' has no array 'othr'; did you mean 'other'?",
        ),
        (
            "logits: {file: 'both.npz:a', key: b}",
            "3:35: logits: the key of the archive stands twice, in file: and in key:",
        ),
        (
            "logits: {file: logits.npy, key: x}",
            "3:16: logits: '{}/logits.npy' holds one array without a key; remove key: 'x'",
        ),
    ],
)
def test_a_file_that_does_not_serve_is_named_with_its_place(tmp_path: Path, line: str, message: str) -> None:
    np.save(tmp_path / "logits.npy", np.zeros((7, 3)))
    np.savez(tmp_path / "both.npz", targets=np.zeros(7), other=np.zeros(1))
    text = f"version: 1\nfunction: softmax\n{line}\n"
    (tmp_path / "spec.yaml").write_text(text)
    with pytest.raises(SpecError) as refused:
        load_text(text, "spec.yaml", str(tmp_path))
    assert str(refused.value) == f"spec.yaml:{message.format(tmp_path)}"


def test_a_folder_stands_for_the_specs_below_it_sorted_and_once(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "sub/c.yaml", ".hidden/d.yaml", ".e.yaml", "f.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SOFTMAX)
    cases = load([tmp_path / "b.yaml", tmp_path, f"{tmp_path}/sub/../b.yaml"])
    assert [Path(case.source.path).name for case in cases] == ["b.yaml", "a.yml", "c.yaml"]


def test_standard_input_is_a_spec() -> None:
    (case,) = load(["-"], SOFTMAX)
    assert str(case.source) == "<stdin>:1:1"
    with pytest.raises(SpecError, match=r"^<stdin>:1:1: the spec is empty"):
        load(["-"], b"")


def test_what_is_not_there_is_a_request_error(tmp_path: Path) -> None:
    (tmp_path / "softmax.yaml").write_text(SOFTMAX)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=r"there is no file .*sofmax\.yaml'; did you mean .*softmax\.yaml'\?$"):
        load([os.path.relpath(tmp_path / "sofmax.yaml")])
    with pytest.raises(RequestError, match=r"no \.yaml or \.yml file in this folder or below it$"):
        load([tmp_path / "empty"])
    with pytest.raises(RequestError, match="no spec was named"):
        load([])
    with pytest.raises(RequestError, match="-: there is no standard input"):
        load(["-"])
    with pytest.raises(RequestError, match="cannot be read"):
        load(["a\0b"])


def test_flags_replace_keys_of_every_case() -> None:
    text = (
        "version: 1\ndefaults: {function: {name: cross_entropy, reduction: sum}, logits: [[1, 2]], targets: [0]}\n"
        "cases: [{dtypes: float16}, {function: cross_entropy}]\n"
    )
    overrides = overrides_from_flags(
        {"dtype": ["float64"], "label_smoothing": "0.5", "scale": ["2,3"], "backend": None}
    )
    first, second = load_text(text, "s.yaml", overrides=overrides)
    for case in (first, second):
        assert (case.dtypes, case.scale) == (("float64",), (2.0, 3.0))
        assert case.function.parameters["label_smoothing"] == 0.5
    assert (first.function.parameters["reduction"], second.function.parameters["reduction"]) == ("sum", "mean")


def test_a_flag_that_does_not_fit_a_case_is_named_with_the_case() -> None:
    overrides = overrides_from_flags({"formulation": ["unfused"]})
    with pytest.raises(FlagError) as refused:
        load_text(SOFTMAX, "spec.yaml", overrides=overrides)
    assert str(refused.value) == (
        "--formulation 'unfused': formulations: softmax has no formulation 'unfused'; it has fused, log_softmax or "
        "unshifted; did you mean 'fused'? (for the case at spec.yaml:1:1)"
    )


def test_a_flag_that_narrows_the_matrix_drops_what_was_expected_elsewhere() -> None:
    text = SOFTMAX + "dtypes: [float16, float32]\nexpect: [CAN101, {code: SAT201, dtype: float16}]\n"
    assert [each.code for each in load_text(text, "s.yaml", known_codes=CODES)[0].expect] == ["CAN101", "SAT201"]
    narrowed = overrides_from_flags({"dtype": "float32"})
    assert [each.code for each in load_text(text, "s.yaml", overrides=narrowed)[0].expect] == ["CAN101"]


def test_known_codes_may_be_a_callable_that_is_asked_only_when_needed() -> None:
    def codes() -> list[str]:
        raise AssertionError("no spec names a code")

    assert load_text(SOFTMAX, "s.yaml", known_codes=codes)
    with pytest.raises(AssertionError):
        load_text(SOFTMAX + "expect: CAN101\n", "s.yaml", known_codes=codes)
