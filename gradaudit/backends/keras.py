"""The backends keras-tensorflow, keras-torch and keras-jax: Keras's losses on each of the frameworks below it.

The arithmetic is that of the framework (`tensorflow.py`, `torch.py`, `jax.py`). Keras takes a loss of each row and
reduces them itself: sum, then the quotient by the number of rows; rows are masked by a product with rows / valid
rows.

`from_probabilities` is the framework's softmax, p, handed over with from_logits=False. CategoricalCrossentropy (on
PyTorch and JAX SparseCategoricalCrossentropy too) divides p by its sum again and clips it to [epsilon, 1 - epsilon];
on TensorFlow the sparse one clips p and takes a softmax of its logarithm. epsilon is 1e-7: the loss ends at 16.118,
and the gradient of what is clipped is 0. In a tf.function TensorFlow's Keras finds the Softmax in the graph and takes
its logits instead; of `from_activation` it remembers them, unless `ignore_class` masks the predictions.

Keras converts labels to the dtype of the loss: from 257 classes on bfloat16 names others, float16 from 2049 on. On
PyTorch the mean of float64 losses is formed in float32 (Keras 3.15).
"""

from __future__ import annotations

from types import MappingProxyType

from gradaudit.backends import jax, tensorflow, torch
from gradaudit.backends.interface import STANDALONE, Backend, OwnFormulation
from gradaudit.records.evaluation import EAGER
from gradaudit.records.profile import Profile

LOSS = ("cross_entropy",)
RENORMALISED = {"tensorflow": "renormalised, or fused of log p"}
"""The formulation that divides the stored probabilities by their sum again, by framework; on TensorFlow the sparse
loss leaves that to the fused one of their logarithms."""

REMEDIES = {
    "tensorflow": "pip install 'gradaudit[tensorflow]'",
    "torch": "pip install keras",
    "jax": "pip install keras 'gradaudit[jax]'",
}

SPELLED_AS = {"from_probabilities": "unfused", "from_activation": "unfused", "softmax_as_logits": "fused"}
"""Which of the framework's formulations rounds as Keras's own do."""


def _backend(name: str, below: Backend, executions: tuple[str, ...], *, unwrapped: bool) -> Backend:
    """Keras on the framework `below`; `unwrapped` where keras.activations.softmax remembers its logits."""

    def profile(
        function: str, formulation: str, dtype: str, *, classes_last: bool = True, execution: str = EAGER
    ) -> Profile:
        spelled = "fused" if unwrapped and formulation == "from_activation" else formulation
        return below.declared(
            function,
            SPELLED_AS.get(spelled, spelled),
            dtype,
            classes_last=classes_last,
            execution=execution,
        )

    renormalised = RENORMALISED.get(below.name, "renormalised")
    return Backend(
        name=name,
        adapter=STANDALONE / f"keras_{below.name}_adapter.py",
        dtypes=below.dtypes,
        packages=("keras", below.name),
        remedy=REMEDIES[below.name],
        profile=profile,
        executions=executions,
        formulations=MappingProxyType(
            {
                "from_probabilities": OwnFormulation(
                    LOSS, renormalised, "the loss with from_logits=False, of the framework's softmax"
                ),
                "from_activation": OwnFormulation(
                    LOSS,
                    "fused" if unwrapped else renormalised,
                    "the loss with from_logits=False, of keras.activations.softmax",
                ),
                "softmax_as_logits": OwnFormulation(
                    LOSS, "fused", "the loss with from_logits=True, of the framework's softmax: a mistake"
                ),
            }
        ),
    )


ON_TENSORFLOW = _backend(
    name="keras-tensorflow", below=tensorflow.BACKEND, executions=tensorflow.BACKEND.executions, unwrapped=True
)
ON_TORCH = _backend(name="keras-torch", below=torch.BACKEND, executions=(EAGER,), unwrapped=False)
ON_JAX = _backend(name="keras-jax", below=jax.BACKEND, executions=jax.BACKEND.executions, unwrapped=False)
