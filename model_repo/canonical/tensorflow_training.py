"""Trains a canonical network with TensorFlow. Imported only where TensorFlow is."""

from typing import Any

import tensorflow as tf  # type: ignore[import-untyped]

from model_repo.canonical.architecture import OUTPUT
from model_repo.canonical.tensorflow_networks import Network
from model_repo.canonical.training import Batch, Lessons, step_factor
from model_repo.cards import Training
from shared.jobs.spec import CanonicalSpec


def repeatable() -> None:
    """Sums are taken in one order. Must come before anything is computed."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()


def train(network: Network, spec: CanonicalSpec) -> Training:
    """Changes the network's weights; ``spec.train_steps`` must not be 0."""
    lessons = Lessons(spec)
    before = float(_loss(network, lessons.held_out))
    for _ in range(spec.train_steps):
        with tf.GradientTape() as tape:
            loss = _loss(network, lessons.next())
        gradients = tape.gradient(loss, network.weights)
        factor = step_factor(float(tf.linalg.global_norm(gradients)))
        for weight, gradient in zip(network.weights, gradients, strict=True):
            weight.assign_sub(factor * gradient)
    return Training(steps=spec.train_steps, loss_before=before, loss_after=float(_loss(network, lessons.held_out)))


def _loss(network: Network, batch: Batch) -> Any:
    scores = network.serve(tf.constant(batch.samples))[OUTPUT]
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.constant(batch.labels), logits=scores)
    return tf.reduce_mean(losses)
