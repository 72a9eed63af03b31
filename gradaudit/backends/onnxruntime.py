"""The onnxruntime backend: forward and backward as one ONNX graph of primitives, run by its CPU kernels.

The sequence of roundings, by which tolerances are derived. R(.) is one rounding to the format inside the graph:
the dtype for float32 and float64, and float32 for float16 and bfloat16.

A bfloat16 graph says so itself: there are no kernels, so it casts on entry and on exit, and `result` is the one
rounding to bfloat16. A float16 graph has float16 tensors, but ONNX Runtime's CPU build has no float16 kernels on
x86-64: it wraps every operator in casts to float32 and removes the pairs of casts that meet. Seen in the graphs
that version 1.32 really runs: only z between two scaling steps (or before a transposition of class axes), t after
its first step and the results are rounded to float16. The profile allows that rounding (`storage`) between any
two operators, since nothing promises that the casts are removed. Softmax and LogSoftmax have no float16 kernels
either; there their function bodies (ReduceMax, Sub, Exp, ReduceSum, Div or Log, Sub) run in float32.

exp and log are MLAS's and Eigen's, within 4 ULP; sums in any order.

    scale, temperature   z = R(R(x scale) / temperature), each only where it is not 1; the parameter is R(parameter)
    fused                p = Softmax(z), l = LogSoftmax(z): R after R(z - max), R(exp), R(sum), then R(w / s) (or
                         R(w R(1 / s))), or R(R(z - max) - R(log s))
    unshifted            w = R(exp z), s = R(sum w), p = R(w / s), l = R(z - R(log s))
    softmax VJP          V(p, g) = R(p R(g - R(sum R(p g))))
    log-softmax VJP      W(p, g) = R(g - R(p R(sum g)))

    softmax              fused, unshifted: p; V(p, g).  log_softmax: q = R(exp l); W(q, R(q g))
    log_softmax          fused: l; W(R(exp l), g).  unfused: R(log p); V(p, R(g / p)).  unshifted: l; W(p, g)
    logsumexp            fused: R(R(log R(sum w)) + max z), w = R(exp R(z - max)); R(g R(w / s)).
                         unshifted: R(log s); R(g p)
    cross entropy        t_ij = R(R(R(q (1 - eps)) + eps / C) w_j), q one-hot for class indices, a step only where
                         eps or w ask for it; loss_i = -R(sum R(t l)); den = R(sum of w_y over the rows that count) or
                         the number of rows; k = R(upstream / den) for the mean, else upstream;
                         mean = R(R(sum loss_i) / den)
      fused              p from Softmax, l from LogSoftmax; R(R(R(R(sum t) p) - t) k)
      unshifted          the same with its p and l
      log_softmax        W(R(exp l), R(-t k))
      unfused            p from Softmax, l = R(log p); V(p, R(R(-t k) / p))
    logits' gradient     R(R(gradient / temperature) scale)

MXNet's operators (semantics: mxnet) are spelled with the same primitives, in `standalone/mxnet_graphs.py`:

    softmax, softmin     p = Softmax(R(+-x / T)); V(p, g), divided by T
    log_softmax          l = LogSoftmax(R(x / T)); W(R(exp l), g), divided by T
    SoftmaxOutput        R(R(p - t) R(grad_scale / n)), times the head gradient with out_grad
    softmax_cross_entropy  -R(sum t l), R(R(p - t) g)
    SoftmaxCrossEntropyLoss  R(R(sum R(-w sum t l)) / d); W(R(exp l), -R(t R(w R(g / d))))

Optional graph optimisations are off (ORT_DISABLE_ALL): ONNX Runtime 1.32 fuses none of these chains at any level,
but nothing promises that a later one will not turn Softmax and Log into LogSoftmax, and the unfused formulation
is audited for what it is. Sessions are also made faster without them.
"""

from __future__ import annotations

from types import MappingProxyType

from gradaudit.backends.interface import STANDALONE, Backend, OwnFormulation
from gradaudit.records.profile import Profile

STORED_LOG = ("log_softmax", "mxnet.log_softmax", "mxnet.SoftmaxCrossEntropyLoss")
"""Functions whose backward takes p from the stored log-probability."""

AS_MXNET = "as_mxnet"
MXNET_FAULTS = OwnFormulation(
    (
        "mxnet.log_softmax",
        "mxnet.SoftmaxOutput",
        "mxnet.softmax_cross_entropy",
        "mxnet.SoftmaxCrossEntropyLoss",
    ),
    "fused",
    "the operator with the faults of MXNet 1.9.1: oneDNN's logarithm, the clamped loss, out_grad",
)


def profile(function: str, formulation: str, dtype: str, *, classes_last: bool = True) -> Profile:  # noqa: ARG001
    """What this module's docstring says; the same for every layout."""
    stored_log = formulation == "log_softmax" or (function in STORED_LOG and formulation in ("fused", AS_MXNET))
    probabilities = "exp_log" if stored_log else "quotient"
    if dtype == "float16":
        return Profile("float32", "float32", "float16", "float32", 4.0, 4.0, "any", probabilities)
    if dtype == "bfloat16":
        return Profile("float32", "float32", "float32", "float32", 4.0, 4.0, "any", probabilities, result=dtype)
    return Profile(dtype, dtype, dtype, dtype, 4.0, 4.0, "any", probabilities)


BACKEND = Backend(
    name="onnxruntime",
    adapter=STANDALONE / "onnxruntime_adapter.py",
    dtypes=("float16", "bfloat16", "float32", "float64"),
    packages=("onnxruntime", "onnx"),
    remedy="pip install onnxruntime onnx",
    profile=profile,
    formulations=MappingProxyType({AS_MXNET: MXNET_FAULTS}),
    semantics=("mxnet",),
    subjects=STANDALONE / "onnx_subjects.py",
)
