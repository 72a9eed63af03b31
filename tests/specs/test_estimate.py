"""Sizes before anything is allocated."""

from __future__ import annotations

import pytest

from gradaudit.errors import FlagError, SpecError
from gradaudit.specs.estimate import DEFAULT_LIMIT, estimate, require_memory, size_text
from gradaudit.specs.flags import case_from_flags
from tests.specs.conftest import one_case


def test_one_evaluation_holds_logits_targets_upstream_output_and_gradient() -> None:
    case = one_case(
        "function: {name: cross_entropy, reduction: none}\nlogits: {random: {shape: [10, 7]}}\n"
        "targets: {random: {}}\ndtypes: [float16, float64]\nscale: [1, 2, 3]\n"
        "formulations: [fused, unfused]\nbackends: [numpy, torch]\n"
    )
    needed = estimate(case)
    assert needed.evaluations == 2 * 3 * 2 * 2
    assert (needed.logits, needed.targets, needed.upstream, needed.output) == (560, 80, 80, 80)
    assert (needed.derivative, needed.copies) == (560, 0)
    assert needed.per_evaluation == 560 + 80 + 80 + 80 + 560
    assert needed.total == 24 * (80 + 560) + 6 * (560 + 80 + 80)


def test_probabilities_weigh_as_much_as_logits() -> None:
    text = "function: cross_entropy\nlogits: {random: {shape: [10, 7]}}\ntargets: {random: {kind: probabilities}}\n"
    assert estimate(one_case(text)).targets == 280


def test_a_jacobian_is_as_many_logits_as_there_are_classes() -> None:
    text = "function: softmax\nlogits: {random: {shape: [10, 7]}}\nupstream: per_output\n"
    needed = estimate(one_case(text))
    assert (needed.derivative, needed.copies, needed.output, needed.upstream) == (7 * 280, 7 * 280, 7 * 280, 7 * 280)
    one_a_row = estimate(one_case(text.replace("softmax", "logsumexp")))
    assert (one_a_row.derivative, one_a_row.copies) == (280, 0)


def test_the_jacobian_of_a_vocabulary_is_refused_before_anything_is_allocated() -> None:
    case = one_case("function: softmax\nlogits: {random: {shape: [4096, 128000]}}\nupstream: per_output\n")
    with pytest.raises(SpecError) as refused:
        require_memory([case])
    assert str(refused.value) == (
        "spec.yaml:1:1: spec: the Jacobian of upstream: per_output has 128,000 x [4096, 128000] entries; one "
        "evaluation holds 977 TiB, more than the 8 GiB of --max-memory: audit one upstream gradient "
        "(upstream: random), or fewer classes or rows"
    )


def test_large_logits_are_refused_by_a_smaller_limit_alone() -> None:
    case = one_case("function: softmax\nlogits: {random: {shape: [1024, 1024]}}\n")
    require_memory([case], DEFAULT_LIMIT)
    with pytest.raises(
        SpecError, match=r"logits \[1024, 1024\]; one evaluation holds 16 MiB, more than the 1 MiB of"
    ):
        require_memory([case], 1 << 20)


def test_a_case_of_flags_is_refused_by_flag() -> None:
    case = case_from_flags({"function": "softmax", "random": "99999x99999", "upstream": "per_output"})
    with pytest.raises(
        FlagError, match=r"^--upstream per_output: the Jacobian of upstream: per_output has 99,999 x "
    ):
        require_memory([case])


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (8 << 30, "8 GiB"),
        (1536 << 20, "1.5 GiB"),
        (1 << 70, "1,048,576 PiB"),
    ],
)
def test_sizes_are_readable(count: int, text: str) -> None:
    assert size_text(count) == text
