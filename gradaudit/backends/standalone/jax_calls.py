"""The two ways in which JAX users pick a label's log-probability; for the table of semantics.

Run by path as users' functions; imports nothing of gradaudit.
"""

from __future__ import annotations

from typing import Any


def taken(logits: Any, labels: Any) -> Any:
    """The mean of minus `jax.nn.log_softmax`, picked by `jax.numpy.take_along_axis`."""
    import jax
    import jax.numpy as jnp

    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=-1).mean()


def one_hot(logits: Any, targets: Any) -> Any:
    """The mean of minus the sum of `jax.nn.log_softmax` times targets; labels become rows of `jax.nn.one_hot`."""
    import jax
    import jax.numpy as jnp

    if jnp.issubdtype(targets.dtype, jnp.integer):
        targets = jax.nn.one_hot(targets, logits.shape[-1], dtype=logits.dtype)
    return -(targets * jax.nn.log_softmax(logits)).sum(axis=-1).mean()
