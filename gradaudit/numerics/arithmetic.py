"""The arithmetic that a bound is charged with: float64 for the enclosure, the candidate's for its tolerance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gradaudit.numerics import formats
from gradaudit.records.profile import Profile


def any_order(n: int) -> int:
    """Height of a summation tree of unknown shape: every term may pass through n - 1 additions."""
    return max(n - 1, 0)


def pairwise(n: int) -> int:
    """Height of NumPy's pairwise summation: 8 partial sums below 129 terms, halves above."""
    if n < 8:
        return any_order(n)
    if n <= 128:
        return n // 8 + 2 + n % 8
    left = n // 2 - (n // 2) % 8
    return 1 + max(pairwise(left), pairwise(n - left))


def lanes(n: int) -> int:
    """Height of a sum kept in vector lanes that are joined as a tree.

    There are 8 to 32 lanes and at least one term for each of 8; the tail is added to the lanes, or one by one to 8.
    """
    return min(any_order(n), -(-n // 8) + 4 + (n % 8 if n > 8 else 0))


def windows(n: int) -> int:
    """Height of a sum in windows of 32 terms, one after another, whose sums are added up in the same way."""
    height = 0
    while n > 32:
        height, n = height + 31, -(-n // 32)
    return height + any_order(n)


HEIGHTS: dict[str, Callable[[int], int]] = {"any": any_order, "pairwise": pairwise, "lanes": lanes}


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What one operation may cost. All fields but `height` are dimensionless; eta is in units of the values.

    `u`: unit roundoff of an operation inside a kernel. `e`, `l`: relative errors of exp and log. `eta`: what an
    underflowing result may lose. `u_sum`: unit roundoff of the additions of a sum, `height` the height of its tree.
    `u_statistics`: extra rounding of a row's sum and of its logarithm where they are stored; `l_statistics` the
    relative error of that logarithm. `u_store`, `eta_store`: rounding of a kernel's result on the way to memory where
    that is narrower than the kernel's own arithmetic, else 0. `u_exponential`, `eta_exponential`: rounding of the
    exponentials before they are divided by their sum, where they are stored meanwhile. `u_reduction`: unit roundoff
    of sums over rows. `u_cotangents`, `cotangent_height`: as of a sum, for the sums of a backward. `u_result`,
    `eta_result`: one more rounding of what is returned, else 0.
    `largest`: the largest number that an intermediate result may be.
    """

    u: float
    e: float
    l: float  # noqa: E741 - the name it has in the literature and in docs/numerics.md
    eta: float
    u_sum: float
    l_statistics: float
    u_statistics: float
    u_store: float
    eta_store: float
    u_exponential: float
    eta_exponential: float
    u_reduction: float
    u_result: float
    eta_result: float
    largest: float
    height: Callable[[int], int]
    u_cotangents: float
    cotangent_height: Callable[[int], int]

    @property
    def u_operation(self) -> float:
        """Unit roundoff of an operation whose result is stored: (1 + u)(1 + u_store) - 1."""
        return self.u + self.u_store + self.u * self.u_store

    @property
    def library(self) -> float:
        """Relative error of tanh and of powers: 2 ULP of a kernel's arithmetic."""
        return 4.0 * self.u

    @property
    def eta_operation(self) -> float:
        """What an underflowing operation may lose when its result is stored."""
        return max(self.eta, self.eta_store)


FLOAT64 = Arithmetic(
    u=2.0**-53,
    e=4 * 2.0**-53,
    l=4 * 2.0**-53,
    eta=2.0**-1073,
    u_sum=2.0**-53,
    l_statistics=4 * 2.0**-53,
    u_statistics=0.0,
    u_store=0.0,
    eta_store=0.0,
    u_exponential=0.0,
    eta_exponential=0.0,
    u_reduction=2.0**-53,
    u_result=0.0,
    eta_result=0.0,
    largest=formats.get("float64").largest,
    height=any_order,
    u_cotangents=2.0**-53,
    cotangent_height=any_order,
)
"""The enclosure's own arithmetic: IEEE double, exp and log within 2 units in the last place (also among subnormal
numbers, where the unit is 2^-1074), sums in any order."""


def of_profile(profile: Profile) -> Arithmetic:
    """The arithmetic that `profile` declares (relative error of k ULP is at most 2 k u)."""
    compute = formats.get(profile.compute)
    storage = formats.get(profile.storage)
    accumulate = formats.get(profile.accumulate)
    statistics = formats.get(profile.statistics)
    result = formats.get(profile.result or profile.storage)
    narrower = storage.unit_roundoff > compute.unit_roundoff
    # A sum kept in a narrower format than it is accumulated in is rounded once more, and so is its logarithm.
    stored = statistics.unit_roundoff if _narrower(statistics, accumulate) else 0.0
    log_format = max(statistics.unit_roundoff, min(accumulate.unit_roundoff, compute.unit_roundoff))
    return Arithmetic(
        u=compute.unit_roundoff,
        e=2 * profile.exp_ulp * compute.unit_roundoff,
        l=2 * profile.log_ulp * compute.unit_roundoff,
        eta=_eta(compute, profile),
        u_sum=accumulate.unit_roundoff,
        l_statistics=2 * profile.log_ulp * (compute.unit_roundoff if stored else log_format),
        u_statistics=stored,
        u_store=storage.unit_roundoff if narrower else 0.0,
        # bfloat16 inside float16 storage: no rounding is added, but the range is the storage's.
        eta_store=_eta(storage, profile) if _eta(storage, profile) > _eta(compute, profile) else 0.0,
        u_exponential=storage.unit_roundoff if profile.stored_exponentials else 0.0,
        eta_exponential=storage.smallest_subnormal if profile.stored_exponentials else 0.0,
        u_reduction=formats.get(profile.reduction or profile.accumulate).unit_roundoff,
        u_result=result.unit_roundoff if _narrower(result, storage) else 0.0,
        eta_result=result.smallest_subnormal if _narrower(result, storage) else 0.0,
        largest=min(compute.largest, storage.largest),
        height=HEIGHTS[profile.height],
        u_cotangents=formats.get(profile.cotangents or profile.accumulate).unit_roundoff,
        cotangent_height=windows if profile.cotangents else HEIGHTS[profile.height],
    )


def _eta(form: formats.Format, profile: Profile) -> float:
    return form.smallest_normal * profile.flushed_below if profile.flushes else form.smallest_subnormal


def _narrower(first: formats.Format, second: formats.Format) -> bool:
    return first.unit_roundoff > second.unit_roundoff
