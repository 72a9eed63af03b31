"""Errors against the enclosure, without a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradaudit.records.case import Case
from gradaudit.records.evaluation import BackendState, EvaluationFailure, EvaluationKey
from gradaudit.records.location import Location
from gradaudit.records.profile import Profile

if TYPE_CHECKING:
    import numpy as np

HISTOGRAM_EDGES = (0.0, 2.0**-8, 2.0**-6, 2.0**-4, 2.0**-3, 2.0**-2, 2.0**-1, 1.0, 2.0, 8.0, 64.0, float("inf"))
"""Bounds of the histogram of error / tolerance: counts[i] holds edges[i] < ratio <= edges[i + 1], exact zeros in
counts[0]."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element: its index in the array, what was returned, the exact value (midpoint), the tolerance, all as
    float64; and error / tolerance (infinite where a non-finite value is wrong)."""

    index: tuple[int, ...]
    got: float
    reference: float
    tolerance: float
    ratio: float


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Every element of a small array (at most 4,096), flat in C order, float64."""

    shape: tuple[int, ...]
    got: np.ndarray
    reference: np.ndarray
    tolerance: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """What the entries add up to along the class axes, row by row (the worst row is reported).

    For a gradient `expected` is the exact row sum (0 for softmax). `residual` is |sum - expected| of the worst
    row, `tolerance` what the elementwise tolerances of that row add up to; `row` its index. `total` is the sum
    over all elements and `total_magnitude` the sum of their absolute values.
    """

    row: int
    got: float
    expected: float
    residual: float
    tolerance: float
    rows_beyond: int
    total: float
    total_magnitude: float


@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """One array of an evaluation against its enclosure.

    Counts are numbers of elements. `beyond`: error not <= tolerance. `undecided`: the tolerance is as large as
    the exact value (or infinite), so that nothing is decided. `vacuous`: an answer of 0 would also have passed.
    `non_finite`: NaN or infinity where a finite value is due. `special_mismatch`: a special value (NaN, infinity,
    or a finite value beside a -inf logit) that differs from the policy. `cancelled`: returned as 0 or with a
    relative error over 1/2 where the exact value is a normal number. `escalated`: decided by arb;
    `spot_checked`: confirmed by arb at random. Errors are maxima over the decided, finite elements; ULP
    where the exact value is not 0.
    `special_classes`: where the policy for special values admits more than one answer, the index of the element
    and the class of what was returned ("nan", "inf", "-inf", "zero" or "finite"); the first 64 such elements in C
    order, hence the same ones for every evaluation of the same inputs.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    max_error_over_tolerance: float
    max_ulp: float
    max_abs_error: float
    max_rel_error: float
    worst: tuple[Element, ...]
    histogram: tuple[int, ...]
    beyond: int
    undecided: int
    vacuous: int
    non_finite: int
    special_mismatch: int
    cancelled: int
    worst_cancelled: Element | None
    escalated: int
    spot_checked: int
    sums: Sums | None
    values: Values | None
    special_classes: tuple[tuple[tuple[int, ...], str], ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """The first tolerance row that explains every element of an evaluation, or the declared one if none does.

    `formulation` and `precision` name the row ("declared" is the profile's own precision). `weaker` is true
    where the precision is below the declared one; `looser` where the formulation is looser than the shifted row.
    `common_offset` is true where the row contains the term u * |logsumexp|, that is, digits lost to an offset.
    """

    formulation: str
    precision: str
    explains: bool
    weaker: bool
    looser: bool
    common_offset: bool
    rows_tried: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A named fault that explains the non-finite or wrong elements of an evaluation.

    `fault` is a stable word ("unfused-logarithm", "missing-max-shift"); `evidence` holds the numbers. `chosen`: it
    rests on a choice among several values, of which one fits.
    """

    fault: str
    evidence: tuple[tuple[str, float | int | str], ...]
    chosen: bool = False


UNDIAGNOSED = "undiagnosed"
"""The fault of a subject with errors that no known fault explains."""


@dataclass(frozen=True, slots=True)
class NamedFault:
    """A fault class that explains every element of every evaluation of a subject at one dtype.

    `fault` is the name of the rule it belongs to ("mean-denominator"); `statement` says what was found, with the
    numbers ("gradient = reference x 0.714286 = 5/7: the mean also counts the 2 ignored rows"), `advice` what to do
    about it. `key` is the evaluation that shows it best. `alternatives` are statements of other faults that explain
    the same, each with the name of a probe that would tell them apart.
    """

    fault: str
    key: EvaluationKey
    statement: str
    advice: str
    evidence: tuple[tuple[str, float | int | str], ...]
    alternatives: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Breach:
    """Something a subject does that a function must not: `fault` is the name of a rule of the family CON."""

    fault: str
    key: EvaluationKey
    statement: str
    evidence: tuple[tuple[str, float | int | str], ...]


@dataclass(frozen=True, slots=True)
class SelfConsistency:
    """What a subject's gradient says beside the differences of its own values (`function: self`).

    `verdict` is "agrees", "wrong", "kink" (a point without a derivative, the gradient between the one-sided ones),
    "too_noisy" (the difference cannot tell the gradient from 0) or "not_tried"; `statement` says so with the numbers.
    `error` is the estimated error of the differences relative to the largest of them, `mismatch` the largest
    difference from the gradient on the same scale, `directions` how many were tried, `dtype` what the values were
    computed in. `apart` is the largest difference of the gradient in the case's dtype from that in float64, relative
    to the largest of its `elements` (None where there are not both).
    """

    key: EvaluationKey
    verdict: str
    statement: str
    directions: int
    dtype: str
    error: float
    mismatch: float
    apart: float | None = None
    elements: int = 0


@dataclass(frozen=True, slots=True)
class SecondOrder:
    """What is said of one further derivative of a subject (`derivatives: 2`).

    `derivative` is "second order" (the product of the Hessian with a random direction) or "gradient of the targets".
    `verdict` is "agrees", "wrong", "cut" (0 or without a graph where it is not 0), "undecided" (the tolerance is as
    large as every element), "refused" or "not_judged" (the first order is wrong); `statement` says so in one line.
    `beyond` of `elements` are wrong and `decided` have a tolerance below their exact value, under
    `formulation_needed` (None where nothing was compared). `factor` times the exact values is what was returned, if
    one number is.
    """

    key: EvaluationKey
    derivative: str
    verdict: str
    statement: str
    elements: int
    decided: int
    beyond: int
    max_error_over_tolerance: float
    formulation_needed: str | None
    factor: float | None


@dataclass(frozen=True, slots=True)
class Exposure:
    """Which fault classes the inputs of a subject at one dtype could expose, by planting each of them.

    `own` are exposed by the case's own inputs, `probes` only by probes, `hidden` by none. `named` are those that the
    audit would also name (None: it was not tried, for that takes `--prove`).
    """

    subject: str
    dtype: str
    own: tuple[str, ...]
    probes: tuple[str, ...]
    hidden: tuple[str, ...]
    named: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """One evaluation, measured. Exactly one of `gradient` and `jacobian` is present."""

    key: EvaluationKey
    profile: Profile
    explanation: Explanation
    output: Quantity
    gradient: Quantity | None
    jacobian: Quantity | None
    diagnoses: tuple[Diagnosis, ...]
    seconds: float
    upstream: str
    captured: str = ""
    special_probe: bool = False

    @property
    def likely(self) -> tuple[Diagnosis, ...]:
        """The diagnoses that one evaluation alone can bear: without those that rest on a choice."""
        return tuple(each for each in self.diagnoses if not each.chosen)


@dataclass(frozen=True, slots=True)
class InputFacts:
    """What the inputs themselves do to the function at one dtype and scale; no backend has a part in it.

    Saturation: `saturated_rows` have a largest probability that rounds to 1 in the dtype (1 - p <= u/2),
    `vanished_rows` a Jacobian whose every entry is below u, `underflowed` probabilities (of finite logits) lie
    below the smallest normal number of the dtype and `zero` of them round to 0. `max_probability` and
    `complement` = 1 - p belong to the most saturated row, `largest_jacobian_entry` to the row where it is
    smallest. Cancellation: `cancelled_rows` have per-output gradients whose exact sum is at most u times the sum
    of their magnitudes; `cancelled_sum` and `cancelled_magnitude` belong to the row with the largest magnitude.
    `condition` is the largest relative condition number of the output, `offset` the largest |common offset|,
    in units of the row's spread. Special values: rows that hold a NaN, +inf or -inf logit, or are masked whole.
    """

    dtype: str
    scale: float
    unit_roundoff: float
    rows: int
    classes: int
    saturated_rows: int
    max_probability: float
    complement: float
    vanished_rows: int
    largest_jacobian_entry: float
    underflowed: int
    zero: int
    smallest_probability: float
    sums_outputs: bool
    cancelled_rows: int
    cancelled_sum: float
    cancelled_magnitude: float
    condition: float
    offset: float
    special_rows: int


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredCase:
    """Everything that is known of a case before it is judged.

    `measurements` and `failures` hold one entry for each evaluation, those of probes included. `faults`, `breaches`
    and `exposures` are about subjects. `definitions` tells where a subject of that name is defined, if it is known.
    `backends` are the states of those that this case is the first to use.
    """

    case: Case
    facts: tuple[InputFacts, ...]
    measurements: tuple[Measurement, ...]
    failures: tuple[EvaluationFailure, ...]
    faults: tuple[NamedFault, ...] = ()
    breaches: tuple[Breach, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    self_consistency: tuple[SelfConsistency, ...] = ()
    definitions: tuple[tuple[str, Location], ...] = ()
    second_order: tuple[SecondOrder, ...] = ()
    backends: tuple[BackendState, ...] = ()
