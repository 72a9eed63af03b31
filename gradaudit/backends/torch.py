"""The torch backend: torch's own operations on the CPU, differentiated by its autograd.

The sequence of roundings, by which tolerances are derived; found in ATen's sources and confirmed bit by bit on
bfloat16 (tests/backends). R(.) is one rounding to the dtype. K[.] is a kernel: its inside is computed in float32
for 16-bit types (in the dtype else), with sums accumulated there, and its result is rounded once. Results pass
between kernels in the dtype. exp and log are SLEEF's, within 1 ULP; sums run in vector lanes.

    scale, temperature   z = R(R(x scale) / temperature), each only where it is not 1; the parameter in float32
                         (float64 for float64)
    softmax              fused: p = K[exp(z - max) / sum]; K[(g - sum(p g)) p] from the stored p.
                         log_softmax: l = log_softmax, q = R(exp l); h = R(g q); K[h - exp(l) sum h].
                         unshifted: w = R(exp z), s = R(sum w), p = R(w / s);
                         R(R(R(g / s) + R(sum R(-g R(p / s)))) w)
    log_softmax          fused: l = K[z - max - log(sum exp(z - max))]; K[g - exp(l) sum g] from the stored l.
                         unfused: p as above, R(log p); h = R(g / p), K[(h - sum(p h)) p].
                         unshifted: w, s as above, R(z - R(log s)); R(g + R(R(R(sum R(-g)) / s) w))
    logsumexp            fused: a composite of stored operations, R(R(log R(sum R(exp R(z - max)))) + max);
                         R(g R(exp R(z - result))).  unshifted: R(log s); R(R(g / s) w)
    cross entropy        log_softmax as above (fused: its kernel; unfused: log of the stored p; unshifted: z - log
                         sum), then the negative log-likelihood, then back through the same chain: h = -t k, rounded
                         at each step, is the upstream gradient of the log-probabilities
      indices            loss_i = R(w_y l_y); sums over rows, and of w_y, are kept in the dtype, in blocks of 16
                         (16-bit types lose digits there); mean = R(sum / sum of w_y); k = R(1 / sum), h = R(w_y k)
      smoothing          R(R((1 - eps) nll) + R((eps / C) smooth)), the parameters in float32, smooth = -R(sum l)
                         (R(l w_j) inside), summed over rows in float32 and divided like a mean; h is the rounded sum
                         of both parts
      probabilities      t = R(R(q (1 - eps)) + eps / C), products R(l t), R(. w_j), one sum over everything for
                         mean and sum, divided by the number of rows

Over a dimension that is not the last, the softmax kernel of 16-bit types keeps w = exp(z - max) of some columns (the
rest after whole vectors of 32) in the dtype before it divides: p = R(R(w) / sum w), `stored_exponentials`.

Compiled (torch.compile, read off the C++ that inductor writes): a 16-bit type is computed in float32 throughout, also
where the eager form is a chain of stored operations, and sums over rows are kept in it; only what one kernel hands to
the next, and what the backward needs of the forward (p, l), is stored in the dtype. softmax's backward is the
expanded K[p g - p sum(p g)], with two roundings more than the kernel's factored form. The exponentials are SLEEF's
too. One program is compiled for each function, dtype and set of shapes, which takes some seconds with a C++ compiler;
without one the row says so.

One kernel does not keep what it declares: log_softmax over a last dimension of a 16-bit type rounds the sum and
its logarithm to that type (`statistics` says float32). The audit reports it as DIV304.
"""

from __future__ import annotations

from gradaudit.backends.interface import STANDALONE, Backend
from gradaudit.records.evaluation import EAGER
from gradaudit.records.profile import Profile

SIXTEEN_BITS = ("float16", "bfloat16")


def profile(
    function: str, formulation: str, dtype: str, *, classes_last: bool = True, execution: str = EAGER
) -> Profile:
    """What this module's docstring says."""
    probabilities = "quotient"
    if function in ("cross_entropy", "log_softmax") or formulation == "log_softmax":
        # Backward takes exp of the stored log-probability; dividing by the stored p, or by the stored sum, does not.
        probabilities = "quotient" if formulation in ("unfused", "unshifted") else "exp_log"
    elif function == "logsumexp" and formulation == "fused":
        probabilities = "exp_lse"
    if execution != EAGER:
        if (function, formulation) == ("softmax", "fused"):
            probabilities = "expanded"
        inside = "float32" if dtype in SIXTEEN_BITS else dtype
        return Profile(inside, inside, dtype, inside, 1.0, 1.0, "any", probabilities)
    if dtype not in SIXTEEN_BITS:
        return Profile(dtype, dtype, dtype, dtype, 1.0, 1.0, "any", probabilities)
    # logsumexp and the unshifted forms are chains of single operations, each stored: no kernel spans two of them.
    chain = function == "logsumexp" or formulation == "unshifted"
    compute, statistics = (dtype, dtype) if chain else ("float32", "float32")
    softmax_kernel = formulation == "unfused" or (function, formulation) == ("softmax", "fused")
    return Profile(
        *(compute, "float32", dtype, statistics, 1.0, 1.0, "any", probabilities),
        reduction=dtype,
        stored_exponentials=softmax_kernel and not classes_last,
    )


BACKEND = Backend(
    name="torch",
    adapter=STANDALONE / "torch_adapter.py",
    dtypes=("float16", "bfloat16", "float32", "float64"),
    packages=("torch",),
    remedy="pip install torch",
    profile=profile,
    subjects=STANDALONE / "torch_subjects.py",
    devices=("cpu", "cuda", "mps"),
    executions=(EAGER, "compiled"),
    padding=-100,
)
