"""The order in which tolerance rows are tried, and what each says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from gradaudit.backends import numpy as numpy_backend
from gradaudit.backends import registry as backends
from gradaudit.backends import torch as torch_backend
from gradaudit.functions import registry as functions
from gradaudit.numerics import formats
from gradaudit.records.profile import Profile
from gradaudit.reference import ladder
from gradaudit.reference.ladder import ToleranceRow

U = {name: form.unit_roundoff for name, form in formats.FORMATS.items()}
BACKENDS = ("numpy", "onnxruntime", "torch")
FUNCTIONS = ("cross_entropy", "log_softmax", "logsumexp", "softmax")


def ladders(backend: str, function: str) -> Iterator[tuple[Profile, tuple[ToleranceRow, ...]]]:
    """What a backend declares for a function, in every formulation and dtype, and its ladder."""
    for formulation in functions.get(function).formulations:
        for dtype in formats.FORMATS:
            profile = backends.get(backend).profile(function, formulation, dtype)
            yield profile, ladder.rows(function, formulation, profile)


def found(profile: Profile, function: str = "cross_entropy", formulation: str = "fused") -> list[tuple[str, str]]:
    return [(row.formulation, row.precision) for row in ladder.rows(function, formulation, profile)]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_of_every_backend_begin_with_the_strictest(backend: str, function: str) -> None:
    for profile, rows in ladders(backend, function):
        assert (rows[0].formulation, rows[0].precision, rows[0].looser) == ("shifted", "declared", False)
        assert rows[0].profile == profile
        assert len({(row.formulation, row.precision) for row in rows}) == len(rows)
        weaker = [row.weaker for row in rows]
        assert weaker == sorted(weaker), "the declared precision's rows come first"
        for row in rows:
            assert row.weaker == (row.precision != "declared")
            assert row.weaker == (row.profile != profile)
            assert row.profile.storage == profile.storage, "what is returned is in the dtype in any case"
            assert row.looser or not row.common_offset


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_precision_only_goes_down(backend: str, function: str) -> None:
    for declared, rows in ladders(backend, function):
        # Flushing takes the range, not the precision: its row keeps the declared formats.
        for first, second in pairwise(row.profile for row in rows if not row.profile.flushes):
            for part in ("compute", "accumulate", "statistics"):
                assert U[getattr(second, part)] >= U[getattr(declared, part)]
            assert U[second.compute] >= U[first.compute]


@pytest.mark.parametrize(
    ("function", "formulation", "probabilities", "expected"),
    [
        ("softmax", "fused", "quotient", []),
        ("cross_entropy", "fused", "exp_log", [("shifted, p = exp(log p)", False, False)]),
        ("logsumexp", "fused", "exp_lse", [("p = exp(x - logsumexp)", True, True)]),
        ("softmax", "log_softmax", "exp_log", [("log_softmax", False, False)]),
        ("log_softmax", "unfused", "quotient", [("unfused", True, False)]),
        ("cross_entropy", "unshifted", "quotient", [("unshifted", True, False)]),
    ],
)
def test_the_formulations_own_row_follows_the_shifted_one(
    function: str, formulation: str, probabilities: str, expected: list[tuple[str, bool, bool]]
) -> None:
    profile = Profile("float64", "float64", "float64", "float64", probabilities=probabilities)
    declared = [row for row in ladder.rows(function, formulation, profile) if not row.weaker]
    assert [(row.formulation, row.looser, row.common_offset) for row in declared[1:]] == expected


def test_steps_below_a_sixteen_bit_kernel() -> None:
    """torch's log_softmax of bfloat16 declares float32 inside; what it really does is the first step down."""
    profile = torch_backend.profile("softmax", "fused", "bfloat16")
    assert found(profile, "softmax") == [
        ("shifted", "declared"),
        ("shifted", "bfloat16 row statistics"),
        ("shifted", "bfloat16 sums"),
        ("shifted", "bfloat16 inside"),
        ("shifted", "subnormals flushed to 0"),
    ]
    half = torch_backend.profile("softmax", "fused", "float16")
    assert [precision for _, precision in found(half, "softmax")][-1] == "bfloat16 inside"


def test_a_step_that_would_change_nothing_is_left_out() -> None:
    """NumPy computes elementwise in float16 already: only sums and statistics can be weaker."""
    profile = numpy_backend.profile("softmax", "fused", "float16")
    assert [precision for _, precision in found(profile, "softmax")] == [
        "declared",
        "float16 row statistics",
        "float16 sums",
        "bfloat16 inside",
    ]


@pytest.mark.parametrize(
    ("dtype", "narrower"),
    [
        ("float64", ["float32 inside", "float16 inside", "bfloat16 inside"]),
        ("float32", ["float16 inside", "bfloat16 inside"]),
        ("bfloat16", []),
    ],
)
def test_narrower_formats_from_wide_to_narrow(dtype: str, narrower: list[str]) -> None:
    profile = Profile(dtype, dtype, dtype, dtype)
    expected = ["declared", "subnormals flushed to 0", *narrower]
    assert [precision for _, precision in found(profile, "softmax")] == expected


def test_what_a_step_changes() -> None:
    profile = replace(torch_backend.profile("cross_entropy", "fused", "float16"), reduction=None)
    changed = {row.precision: row.profile for row in ladder.rows("cross_entropy", "fused", profile)}
    statistics, sums, inside = (changed[f"float16 {part}"] for part in ("row statistics", "sums", "inside"))
    assert statistics == replace(profile, statistics="float16")
    assert sums == replace(profile, statistics="float16", accumulate="float16", reduction="float16")
    assert inside == replace(sums, compute="float16")


def test_rows_without_a_wider_format_inside_are_coarse() -> None:
    rows = ladder.rows("softmax", "fused", torch_backend.profile("softmax", "fused", "float16"))
    assert {row.precision: row.coarse for row in rows} == {
        "declared": False,
        "float16 row statistics": False,
        "float16 sums": False,
        "float16 inside": True,
        "subnormals flushed to 0": False,
        "bfloat16 inside": True,
    }


def test_a_candidate_that_declares_to_flush_is_not_tried_for_it() -> None:
    flushing = Profile("float32", "float32", "float32", "float32", flushes=True)
    assert "subnormals flushed to 0" not in [precision for _, precision in found(flushing)]
