"""Losses as TensorFlow's users write them, right and wrong."""

import keras
import tensorflow as tf


def plain(logits, targets):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))


def summed(logits, targets):
    return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))


def clamped(logits, targets):
    p = tf.gather(tf.nn.softmax(logits), targets, batch_dims=1)
    return -tf.reduce_mean(tf.math.log(tf.clip_by_value(p, 1e-7, 1.0)))


def stopped(logits, targets):
    return tf.stop_gradient(plain(logits, targets))


@tf.custom_gradient
def _by_hand(logits, targets):
    p = tf.nn.softmax(logits)

    def gradient(upstream):
        return upstream * (p - tf.one_hot(targets, logits.shape[-1], dtype=logits.dtype)), None

    return plain(logits, targets), gradient


def by_hand(logits, targets):
    return _by_hand(logits, targets)


@tf.function
def traced(logits, targets):
    return plain(logits, targets)


@tf.function
def failing(logits, targets):
    if tf.reduce_sum(logits) > 1e30:
        logits = logits + 1.0
    return tf.reshape(logits, [3, -1, 17])


def noisy(logits, targets):
    return plain(logits + 0.01 * tf.random.normal(logits.shape, dtype=logits.dtype), targets)


def otherwise_in_a_graph(logits, targets):
    return plain(logits, targets) * (1.0 if tf.executing_eagerly() else 2.0)


class Scaled(tf.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def __call__(self, logits, targets):
        return plain(logits * self.factor, targets)


class OfKeras(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.cast(y_true, tf.int32), logits=y_pred)


def keras_loss(**options):
    return keras.losses.SparseCategoricalCrossentropy(**options)


def softmax(logits):
    return tf.nn.softmax(logits)


@tf.custom_gradient
def _constant(logits, targets):
    p = tf.stop_gradient(tf.nn.softmax(logits))
    rows = tf.cast(tf.shape(logits)[0], logits.dtype)
    slope = (p - tf.one_hot(targets, logits.shape[-1], dtype=logits.dtype)) / rows
    return plain(logits, targets), lambda upstream: (upstream * slope, None)


def with_a_constant_gradient(logits, targets):
    return _constant(logits, targets)
