"""The mxnet backend: MXNet 1.9's own operators on the CPU, differentiated by its autograd.

The sequence of roundings, by which tolerances are derived; from MXNet's and oneDNN's sources, and confirmed by random
surveys of MXNet 1.9.1 (tests/frameworks). R(.) is one rounding to the dtype. MXNet's own kernels compute each
operation in the dtype itself: float16 through float32, rounded after every step, and a softmax's sum of float16 terms
is kept in float16 from term to term (`MXNET_SAFE_ACCUMULATION=1` keeps it in float32, which is admissible too). exp
and log are the C library's. Results pass between operators in the dtype.

    scale, temperature   z = R(R(x scale) / temperature), each only where it is not 1; the parameter in the dtype
    softmax              fused: t = R(z - max), s = R(sum exp t), p = R(exp(t) / s); R(p R(g - R(sum R(g p)))).
                         log_softmax: q = R(exp l); then the backward of l for R(g q).
                         unshifted: w = R(exp z), s = R(sum w), p = R(w / s);
                         R(R(R(g / s) - R(sum R(g R(w / R(s s))))) w): s s leaves the range before s does
    log_softmax          fused: l = R(t - R(log s)); R(g - R(R(exp l) R(sum g))).
                         unfused: p as above, R(log p); the backward of softmax for R(g / p).
                         unshifted: R(z - R(log s)); through R(g / s) like the softmax
    logsumexp            no operator of its own. fused: R(R(log R(sum R(exp R(z - max)))) + max), the maximum held
                         constant; R(R(g / s) w).  unshifted: R(log s), the same backward
    cross entropy        log_softmax as above (fused is log_softmax: MXNet's fused operators have contracts of their
                         own; unfused: log of the stored p), pick, and back through the same chain:
      indices            loss_i = -l_y, R(. w_y); sums over rows in the dtype (they are compensated there, which is
                         better); R(sum / sum of w_y) or the mean; h = R(w_y R(g / den))
      smoothing          R(R(loss_i (1 - eps)) + R(-R(sum l) R(eps / C))), R(l w_j) inside
      probabilities      t = R(R(q (1 - eps)) + eps / C), R(. w_j), -R(sum R(t l))
      gluon              the same operators in gluon's order; with smoothing the labels are spread as probabilities
      softmax_output, softmax_cross_entropy
                         p with stored exponentials, R(R(exp t) / s), and the loss from the stored p: beyond that of
                         softmax_output by the infinities of unfused, for softmax_cross_entropy never (see below);
                         R(R(p - onehot) factor), whatever the probability at the label is

float32 over the last axis, to which gluon's classes are moved, is oneDNN's: w = exp t within 4 ULP (its ln 2 has one
word: up to 125 (R(ln 2) - ln 2), which is 4 u, beside 2 u of the polynomial), p = R(w R(1 / s)), and what lies below
2^-125.5 becomes 0: the exponent is rounded to the nearest integer before the power of 2 is formed.

What falls short of this is MXNet's own and for the audit to say: oneDNN's logarithm is wrong by 24 to 60 u, so that
float32 log_softmax over the last axis, and all cross entropy by it, has lost a good part of its digits (log_softmax
of a single class is 1.4e-6); `softmax_cross_entropy` cuts p off below 1e-8 in its loss; `softmax_output` takes ones
for its head gradient, and holds its options in float32.
"""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from types import MappingProxyType

from gradaudit.backends.interface import STANDALONE, Backend, OwnFormulation, Recipe
from gradaudit.records.profile import Profile

BY_LOG_PROBABILITIES = ("fused", "log_softmax", "gluon")
"""Formulations of cross entropy whose backward takes exp of the stored log-probability."""

BY_PROBABILITIES = ("logsumexp", "SoftmaxOutput", "softmax_cross_entropy")
"""Functions and operators that never form a log-probability."""


def profile(function: str, formulation: str, dtype: str, *, classes_last: bool = True) -> Profile:
    """What this module's docstring says."""
    name = function.rpartition(".")[2]
    if name in ("softmax", "softmin"):
        by_log = formulation == "log_softmax"
    else:
        by_log = formulation in BY_LOG_PROBABILITIES and name not in BY_PROBABILITIES
    probabilities = "exp_log" if by_log else "quotient"
    if dtype == "float32" and (classes_last or formulation in BACKEND.formulations):
        one_dnn = Profile(dtype, dtype, dtype, dtype, 4.0, 1.0, "any", probabilities, flushes=True)
        return replace(one_dnn, flushed_below=sqrt(2.0))
    return Profile(dtype, dtype, dtype, dtype, 1.0, 1.0, "any", probabilities)


def _own(held_to: str, doc: str) -> OwnFormulation:
    return OwnFormulation(("cross_entropy",), held_to, doc)


BACKEND = Backend(
    name="mxnet",
    adapter=STANDALONE / "mxnet_adapter.py",
    dtypes=("float16", "float32", "float64"),
    packages=("mxnet",),
    remedy="gradaudit backends install mxnet",
    profile=profile,
    formulations=MappingProxyType(
        {
            "softmax_output": _own("unfused", "SoftmaxOutput, and -log of its probability at the label"),
            "softmax_cross_entropy": _own("fused", "nd.softmax_cross_entropy"),
            "gluon": _own("fused", "gluon.loss.SoftmaxCrossEntropyLoss"),
        }
    ),
    recipes=(
        Recipe(("mxnet==1.9.1", "numpy==1.23.5"), oldest=(3, 8), newest=(3, 11)),
        # NumPy 1.23 is not there for newer Pythons; the adapter supplies the names that later ones have removed.
        Recipe(("numpy>=1.26", "requests>=2.20,<3", "graphviz>=0.8.1,<0.9"), ("mxnet==1.9.1",), (3, 12), (3, 99)),
    ),
    semantics=("mxnet",),
)
