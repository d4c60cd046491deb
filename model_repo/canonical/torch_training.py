"""Trains a canonical network with PyTorch. Imported only where PyTorch is."""

from typing import Any

import torch  # type: ignore[import-not-found]
from torch import nn

from model_repo.canonical.training import Batch, Lessons, step_factor
from model_repo.cards import Training
from shared.jobs.spec import CanonicalSpec


def train(module: Any, spec: CanonicalSpec) -> Training:
    """Changes the module's weights; ``spec.train_steps`` must not be 0.

    An LSTM layer has two biases that are only ever added. One of them stays, so that the sum moves as the one bias does
    that other frameworks have.
    """
    lessons = Lessons(spec)
    weights = [weight for name, weight in module.named_parameters() if "bias_hh" not in name]
    before = _held_out_loss(module, lessons)
    for _ in range(spec.train_steps):
        gradients = torch.autograd.grad(_loss(module, lessons.next()), weights)
        factor = step_factor(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.sub_(factor * gradient)
    return Training(steps=spec.train_steps, loss_before=before, loss_after=_held_out_loss(module, lessons))


def _held_out_loss(module: Any, lessons: Lessons) -> float:
    with torch.no_grad():
        return float(_loss(module, lessons.held_out))


def _loss(module: Any, batch: Batch) -> Any:
    return nn.functional.cross_entropy(module(torch.from_numpy(batch.samples)), torch.from_numpy(batch.labels))
