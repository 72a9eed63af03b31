"""The tensorflow backend: TensorFlow's operations on the CPU, differentiated by GradientTape.

The sequence of roundings, by which tolerances are derived; found in the sources of its kernels and confirmed bit by
bit on 16-bit types (tests/frameworks). R(.) is one rounding to the dtype. Eager execution and tf.function run the
same kernels; XLA compiles others.

    Eigen's kernels round every step, also within a kernel: in 16-bit types exp and log are taken in float32 and
    rounded, sums are kept in the dtype, in 8 lanes (4 for float64) that are joined as a tree; along an axis that is
    not the last, tf.reduce_sum adds one by one. Of bfloat16 alone tf.reduce_sum and tf.reduce_mean add in float32 and
    round once. tf.nn.softmax of float32 and bfloat16 is oneDNN's, in float32 throughout, rounded once (with
    TF_ENABLE_ONEDNN_OPTS=0 Eigen's: bfloat16 sums are then less than is declared here).
    XLA rounds any step or none (it may keep more than a 16-bit type holds), adds 16-bit types up in float32, one by
    one, and rounds the sum; it multiplies by the reciprocal of a constant, and forms (a / b) / b as a / (b b), whose
    b b leaves float16's range where an unshifted sum is over 255: that gradient is then wrong (DIV301).
    Every kernel flushes subnormal numbers to 0 and reads them as 0, in float32, float64 and bfloat16; float16 is
    converted, and keeps its own. oneDNN's exp is 0 below twice the smallest normal number.
    exp is within 1.6 ULP, log within 3.4 (Eigen's float32; 1.5 else): 2 and 4 are declared.

    scale, temperature   z = R(R(x scale) / temperature), each only where it is not 1
    softmax              fused: w = R(exp R(z - max)), p = R(w R(1 / R(sum w))); R(p R(g - R(sum R(p g)))).
                         log_softmax: l = log_softmax, q = R(exp l); W(q, R(g q)).
                         unshifted: w = R(exp z), s = R(sum w), p = R(w / s);
                         R(R(R(g / s) + R(sum R(g R(R(-w / s) / s)))) w)
    log_softmax          fused: R(R(z - max) - R(log R(sum R(exp R(z - max))))); W(R(exp l), g), where
                         W(q, g) = R(g - R(q R(sum g))).
                         unfused: p as above, R(log p); h = R(g R(1 / p)), then as softmax.
                         unshifted: R(z - R(log s)); R(g + R(R(R(sum -g) R(1 / s)) w))
    logsumexp            fused: R(R(log R(sum w)) + max); R(R(g R(1 / s)) w).  unshifted: the same without the max
    cross entropy        fused: one kernel, in float32 for float16 and for probabilities, in bfloat16 for labels of
                         that type: R(R(log s) - t_y), or the sum of R(q R(R(log s) - t)), with t = R(z - max);
                         k R(R(w / s) - q), k = the loss's upstream gradient, rounded where it was cast.
                         The others: log-probabilities as above, of which the labels' are gathered, or all are
                         multiplied with their targets and added up
      smoothing          q = R(R(onehot (1 - eps)) + eps / C), fused; else R(R((1 - eps) own) + R((eps / C) spread))
      reduction          R(w_y l_y) is added up in the dtype, R(sum / R(sum of w_y)) or tf.reduce_mean
"""

from __future__ import annotations

from dataclasses import replace

from gradaudit.backends.interface import STANDALONE, Backend
from gradaudit.records.evaluation import EAGER, EXECUTIONS
from gradaudit.records.profile import Profile

SIXTEEN_BITS = ("float16", "bfloat16")

EXP_ULP = 2.0
LOG_ULP = 4.0


def profile(
    function: str, formulation: str, dtype: str, *, classes_last: bool = True, execution: str = EAGER
) -> Profile:
    """What this module's docstring says."""
    stored_log = formulation == "log_softmax" or (function, formulation) == ("log_softmax", "fused")
    probabilities = "exp_log" if stored_log else "reciprocal" if formulation == "unfused" else "quotient"
    compiled = execution == "compiled"
    height = "lanes" if classes_last and not compiled else "any"
    in_onednn = formulation == "unfused" or (function, formulation) == ("softmax", "fused")
    flushed_below = 2.0 if in_onednn and not compiled and dtype != "float64" else 1.0
    if dtype not in SIXTEEN_BITS:
        return Profile(
            *(dtype, dtype, dtype, dtype, EXP_ULP, LOG_ULP, height, probabilities),
            flushes=True,
            reciprocals=compiled,
            flushed_below=flushed_below,
        )
    fused_loss = (function, formulation) == ("cross_entropy", "fused")
    declared = Profile(
        *(
            dtype,
            _sums(function, formulation, dtype, compiled=compiled),
            dtype,
            dtype,
            1.0,
            1.0,
            height,
            probabilities,
        ),
        flushes=dtype == "bfloat16",
        reduction="float32" if compiled or dtype == "bfloat16" else dtype,
        reciprocals=compiled,
        flushed_below=flushed_below,
    )
    if fused_loss and dtype == "float16":
        return replace(
            declared,
            compute="float32",
            accumulate="float32",
            statistics="float32",
            exp_ulp=EXP_ULP,
            log_ulp=LOG_ULP,
        )
    return declared


def _sums(function: str, formulation: str, dtype: str, *, compiled: bool) -> str:
    """The format in which a row's sum of a 16-bit type is accumulated."""
    if compiled:
        return "float32"
    in_eigen = formulation == "log_softmax" or (function, formulation) in (
        ("log_softmax", "fused"),
        ("cross_entropy", "fused"),
    )
    return dtype if dtype == "float16" or in_eigen else "float32"


BACKEND = Backend(
    name="tensorflow",
    adapter=STANDALONE / "tensorflow_adapter.py",
    dtypes=("float16", "bfloat16", "float32", "float64"),
    packages=("tensorflow",),
    remedy="pip install 'gradaudit[tensorflow]'",
    profile=profile,
    subjects=STANDALONE / "tensorflow_subjects.py",
    executions=EXECUTIONS,
)
