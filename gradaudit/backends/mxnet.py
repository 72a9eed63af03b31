"""The mxnet backend: MXNet 1.9's own operators on the CPU, differentiated by its autograd.

placeholder
"""

from __future__ import annotations

from types import MappingProxyType

from gradaudit.backends.interface import STANDALONE, Backend, OwnFormulation, Recipe
from gradaudit.records.profile import Profile


def profile(function: str, formulation: str, dtype: str, *, classes_last: bool = True) -> Profile:  # noqa: ARG001
    """What this module's docstring says; the same for every layout."""
    probabilities = "quotient"
    if function in ("cross_entropy", "log_softmax") and formulation in ("fused", "log_softmax", "gluon"):
        probabilities = "exp_log"
    elif function == "softmax" and formulation == "log_softmax":
        probabilities = "exp_log"
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
            "softmax_output": _own("fused", "SoftmaxOutput, whose backward takes no head gradient"),
            "softmax_cross_entropy": _own("fused", "nd.softmax_cross_entropy"),
            "gluon": _own("fused", "gluon.loss.SoftmaxCrossEntropyLoss"),
        }
    ),
    recipes=(
        Recipe(("mxnet==1.9.1", "numpy==1.23.5"), oldest=(3, 8), newest=(3, 11)),
        # NumPy 1.23 is not there for newer Pythons; the adapter supplies the names that later ones have removed.
        Recipe(("numpy>=1.26", "requests>=2.20,<3", "graphviz>=0.8.1,<0.9"), ("mxnet==1.9.1",), (3, 12), (3, 99)),
    ),
)
