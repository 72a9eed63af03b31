"""What is assumed of a candidate's arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """Assumptions under which a tolerance is derived (docs/numerics.md, "Profiles").

    `compute` is the format of the operations inside a kernel, `accumulate` that of its sums, `storage` that of
    the arrays which pass between kernels, and `statistics` that in which a row's sum and its logarithm are kept.
    `exp_ulp` and `log_ulp` are the contracts of exp and log in units in the last place of `compute`. `height`
    names the summation tree: "any" (n - 1), "pairwise" (NumPy), "lanes" (at least 8 partial sums).
    `probabilities` tells how the backward of cross entropy forms p: "quotient" (w / s) or "exp_log" (exp of the
    stored log-probability), or that of logsumexp: "exp_lse" (exp of the logit minus the stored result), or that of
    softmax: "quotient_rule" (the quotient is differentiated, w (g / s - sum of g w / s^2), and no p stored for it) or
    "expanded" (p g - p sum of p g).
    `flushes` is true where subnormal results become zero. `result` is the format of the returned arrays where it is
    narrower than `storage`: one rounding at the very end. `reduction` is the format in which the losses and class
    weights of different rows are added up where it is not `accumulate`. `stored_exponentials` is true where a kernel
    of softmax keeps w = exp(z - max) in `storage` before it is divided by the sum of the unrounded w. `cotangents` is
    the format in which a backward adds up the cotangents of a row where it is not `accumulate`, in windows of 32
    numbers, then of their sums. `flushed_below` is what becomes zero where `flushes`, in units of the smallest normal
    number. `reciprocals` is true where a division by a parameter is a product with its rounded
    reciprocal.
    """

    compute: str
    accumulate: str
    storage: str
    statistics: str
    exp_ulp: float = 4.0
    log_ulp: float = 4.0
    height: str = "any"
    probabilities: str = "quotient"
    flushes: bool = False
    result: str | None = None
    reduction: str | None = None
    stored_exponentials: bool = False
    cotangents: str | None = None
    reciprocals: bool = False
    flushed_below: float = 1.0
