"""The jax backend: JAX's own operations on the CPU, differentiated by `jax.vjp`, eager or compiled by XLA.

The sequence of roundings, by which tolerances are derived; read off the jaxprs of JAX 0.10.2 and the optimised HLO of
its XLA, and confirmed bit by bit on 16-bit types (tests/frameworks). R(.) is one rounding to the dtype. Operations of
16-bit types are computed in float32 and rounded each for itself. jax.jit fuses their loops, but leaves the roundings
where they are. XLA leaves out some of its own on bfloat16, of reciprocals and, compiled, of exponentials on their way
to a sum; that is no promise, and one profile holds for both executions.

    scale, temperature   z = R(R(x scale) R(1 / temperature)), each only where it is not 1; the parameter is
                         R(parameter): XLA multiplies by the reciprocal of what is common to an axis
    weights of a row     t = R(z - max z), w = R(exp t), s = R(sum w), the sum in float32 for 16-bit types
    unshifted            w = R(exp z), s = R(sum w)
    quotient             p = R(w R(1 / s))
    quotient rule        Q(w, s, g) = R(R(R(g R(1 / s)) - C) w), C = sum R(R(g q) w), q = R(1 / R(s s))
    log-softmax VJP      W(w, s, g) = R(g + R(R(-S / s) w)), S = sum g

    softmax              fused: p; Q.  log_softmax: l as below, y = R(exp l); W(w, s, R(g y)).  unshifted: p; Q
    log_softmax          fused: l = R(t - R(log s)); W.  unfused: R(log p); Q(w, s, R(g / p)).
                         unshifted: R(z - R(log s)); W
    logsumexp            fused: R(R(log s) + max z); R(R(g / s) w).  unshifted: R(log s); the same
    cross entropy        t_ij = R(R(q R(1 - eps)) + R(eps / C)), R(t_ij w_j) where classes have weights;
                         loss_i = -R(sum R(t l)), for class indices without smoothing -l_y (times w_y);
                         sums over rows in float32 for 16-bit types, then R;
                         mean = R(sum / den), den = R(sum of w_y) or the number of rows;
                         k = R(upstream / den) for the mean, else upstream
      fused              class indices: R(R(log s) - t_y); R(R(k / s) w), minus k at the label. Else as log_softmax
      log_softmax        l as above, W(w, s, R(-t k))
      unfused            l = R(log p); Q(w, s, R(R(-t k) / p))
      unshifted          l = R(z - R(log s)); W(w, s, R(-t k))

S and C are sums of cotangents, which `jax.numpy.sum` does not make: they are added up in the dtype, every addition
rounded, in windows of 32 numbers and windows of their sums (XLA's tree reduction; `cotangents`). All others are added
up in float32 or wider, in any order.

exp and log are XLA's own. Against 80-bit values on 14 million float32 and as many float64 numbers of all magnitudes
exp is within 1.01 and 1.63 ULP, log within 1.16 and 0.52: 2 are declared. Of a 16-bit type their one rounding is
within 1 ULP.

XLA's CPU client switches the processor to flush-to-zero while it computes: subnormal results of float32, float64 and
bfloat16 are zero, and so are subnormal operands. Those of float16 are normal numbers of float32, and are kept.

What no rounding explains is reported: in float16 s s is infinite from s = 256 on, q is 0, and the gradient of
`jax.nn.softmax` becomes p g; below, from s = 128 on, q is subnormal. `jax_softmax_custom_jvp`, off by default, has
another rule.
"""

from __future__ import annotations

from gradaudit.backends.interface import STANDALONE, Backend
from gradaudit.records.evaluation import EAGER
from gradaudit.records.profile import Profile

SIXTEEN_BITS = ("float16", "bfloat16")


def profile(
    function: str,
    formulation: str,
    dtype: str,
    *,
    classes_last: bool = True,  # noqa: ARG001
    execution: str = EAGER,  # noqa: ARG001
) -> Profile:
    """What this module's docstring says; the same for every layout, eager and compiled."""
    through_softmax = formulation == "unfused" or (function == "softmax" and formulation != "log_softmax")
    probabilities = "quotient_rule" if through_softmax else "quotient"
    if dtype in SIXTEEN_BITS:
        flushes = dtype == "bfloat16"
        return Profile(
            *(dtype, "float32", dtype, dtype, 1.0, 1.0, "any", probabilities, flushes),
            cotangents=dtype,
            reciprocals=True,
        )
    return Profile(dtype, dtype, dtype, dtype, 2.0, 2.0, "any", probabilities, flushes=True, reciprocals=True)


BACKEND = Backend(
    name="jax",
    adapter=STANDALONE / "jax_adapter.py",
    dtypes=("float16", "bfloat16", "float32", "float64"),
    packages=("jax", "jaxlib"),
    remedy="pip install 'gradaudit[jax]'",
    profile=profile,
    subjects=STANDALONE / "jax_subjects.py",
    devices=("cpu", "cuda"),
    executions=("eager", "compiled"),
)
