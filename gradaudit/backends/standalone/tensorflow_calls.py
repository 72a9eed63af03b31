"""TensorFlow's and Keras's own losses, called as their users call them; for the table of semantics.

Run by path as users' functions; imports nothing of gradaudit.
"""

from __future__ import annotations

from typing import Any


def sparse(logits: Any, labels: Any) -> Any:
    """The mean of `tf.nn.sparse_softmax_cross_entropy_with_logits`."""
    import tensorflow as tf

    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))


def soft(logits: Any, targets: Any) -> Any:
    """The mean of `tf.nn.softmax_cross_entropy_with_logits`."""
    import tensorflow as tf

    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=logits))


def keras_sparse(logits: Any, labels: Any, **options: Any) -> Any:
    """`keras.losses.SparseCategoricalCrossentropy` of logits."""
    import keras

    return keras.losses.SparseCategoricalCrossentropy(from_logits=True, **options)(labels, logits)


def keras_categorical(logits: Any, targets: Any, **options: Any) -> Any:
    """`keras.losses.CategoricalCrossentropy` of logits; labels become one-hot rows."""
    import keras
    import tensorflow as tf

    if targets.dtype.is_integer:
        targets = tf.one_hot(targets, logits.shape[-1], dtype=logits.dtype)
    return keras.losses.CategoricalCrossentropy(from_logits=True, **options)(targets, logits)
