"""The numpy backend: the textbook closed forms, in NumPy's own arithmetic.

The sequence of roundings, by which tolerances are derived. R(.) is one rounding to the dtype; F(.) is one
rounding to the format of a row: float32 for float16 and bfloat16, else the dtype itself. Everything not marked
is exact. exp and log are NumPy's own, within 4 ULP of the format they are computed in; for a 16-bit type that is
within 1 ULP of the type. sum is NumPy's pairwise sum over contiguous classes, each term converted to the format
of a row first; the numbers of a row stay in it until they are multiplied into an array or returned.

    scale, temperature   z = R(R(x scale) / temperature), each only where it is not 1; the parameter is F(parameter)
    weights of a row     t = R(z - max z), w = R(exp t), s = F(sum w), p = R(w / s), log_p = R(t - F(log s))
    unshifted            w = R(exp z), s = F(sum w), p = R(w / s), log_p = R(z - F(log s))
    softmax VJP          V(p, g) = R(p R(g - F(sum R(p g))))
    log-softmax VJP      W(p, g) = R(g - R(p F(sum g)))

    softmax              fused, unshifted: p; V(p, g).  log_softmax: q = R(exp log_p); W(q, R(q g))
    log_softmax          fused: log_p; W(R(exp log_p), g).  unfused: R(log p); V(p, R(g / p)).
                         unshifted: log_p; W(p, g)
    logsumexp            fused: R(F(max z + F(log s))); R(p g).  unshifted: R(F(log s)); R(p g)
    cross entropy        t_ij = R(R(R(q (1 - eps)) + eps / C) w_j), q one-hot for class indices, a step only where
                         eps or w ask for it; loss_i = -F(sum R(t log_p));
                         den = F(sum of w_y over the rows that count) or the number of rows; k = F(upstream / den)
                         for the mean, else upstream; mean = R(F(F(sum loss_i) / den)), sum = R(F(sum loss_i)),
                         none = R(loss_i)
      fused, unshifted   R(R(R(F(sum t) p) - t) k)
      log_softmax        W(R(exp log_p), R(-t k))
      unfused            log_p = R(log p); V(p, R(R(-t k) / p))
    logits' gradient     R(R(gradient / temperature) scale)
"""

from __future__ import annotations

from gradaudit.backends.interface import STANDALONE, Backend
from gradaudit.records.profile import Profile

SIXTEEN_BITS = ("float16", "bfloat16")


def profile(function: str, formulation: str, dtype: str, *, classes_last: bool = True) -> Profile:  # noqa: ARG001
    """What this module's docstring says; the same for every layout."""
    # Every formulation of cross entropy but the closed ones forms p from the stored log-probability.
    stored_log = formulation == "log_softmax" or (function, formulation) == ("log_softmax", "fused")
    probabilities = "exp_log" if stored_log else "quotient"
    if dtype in SIXTEEN_BITS:
        return Profile(dtype, "float32", dtype, "float32", 1.0, 1.0, "pairwise", probabilities)
    return Profile(dtype, dtype, dtype, dtype, 4.0, 4.0, "pairwise", probabilities)


BACKEND = Backend(
    name="numpy",
    adapter=STANDALONE / "numpy_adapter.py",
    dtypes=("float16", "bfloat16", "float32", "float64"),
    packages=("numpy", "ml_dtypes"),
    remedy="pip install numpy ml-dtypes",
    profile=profile,
    subjects=STANDALONE / "numpy_subjects.py",
    padding=-100,
)
