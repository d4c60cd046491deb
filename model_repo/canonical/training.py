"""What a canonical network is trained on, and how: the same numbers for every framework, on every machine.

A sample is its class's prototype plus noise of the same deviation, so that there is something to learn. Training is
gradient descent on the cross-entropy, one new batch a step and every step equally long, whatever the gradient's norm
(Hazan, Levy, Shalev-Shwartz, "Beyond Convexity: Stochastic Quasi-Convex Optimization", 2015): gradients of a recurrent
network are a hundredth of a convolutional one's, and one length does for networks of one layer and of thirty.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from model_repo.canonical.architecture import CLASSES, input_shape
from model_repo.canonical.weights import Weights
from shared.jobs.spec import CanonicalSpec

STEP_LENGTH: Final = 0.1
"""In the space of all weights together."""

_BATCH: Final = CLASSES  # one sample of each class
_HELD_OUT: Final = 4 * CLASSES
_DEVIATION: Final = 1.0
_STREAM: Final = 1 << 64  # beyond any seed of weights


@dataclass(frozen=True)
class Batch:
    """``samples``: (batch, ...); ``labels``: (batch,), the index of each sample's class."""

    samples: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]


class Lessons:
    """The samples of one model's training, drawn in the order of the calls."""

    def __init__(self, spec: CanonicalSpec) -> None:
        self._stream = Weights(_STREAM + spec.seed)
        self._prototypes = self._stream.uniform((CLASSES, *input_shape(spec)), _DEVIATION)
        self.held_out = self._draw(_HELD_OUT)

    def next(self) -> Batch:
        """Samples that have not been seen before."""
        return self._draw(_BATCH)

    def _draw(self, count: int) -> Batch:
        labels = np.arange(count) % CLASSES
        noise = self._stream.uniform((count, *self._prototypes.shape[1:]), _DEVIATION)
        return Batch(self._prototypes[labels] + noise, labels)


def step_factor(norm: float) -> float:
    """What the gradient is multiplied with. ``norm``: of all of it together."""
    return STEP_LENGTH / norm if norm else 0.0
