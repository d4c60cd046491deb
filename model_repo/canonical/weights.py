"""Random weights that are the same on every machine, for every version of numpy."""

from math import prod
from typing import Final

import numpy as np
import numpy.typing as npt

BIAS_DEVIATION: Final = 0.05


class Weights:
    """Uniform numbers from the raw output of PCG64, drawn in the order of the calls.

    numpy keeps the raw stream of a bit generator fixed, but not what its distributions make of it (NEP 19).
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def uniform(self, shape: tuple[int, ...], deviation: float, *, mean: float = 0.0) -> npt.NDArray[np.float32]:
        """Float32 numbers of this mean and standard deviation: within sqrt(3) deviations of the mean."""
        count = prod(shape)
        words = self._bits.random_raw((count + 1) // 2).astype("<u8").view("<u4")[:count]
        numbers = (words >> np.uint32(8)).astype(np.float32)  # 24 bits, which a float32 holds exactly
        numbers *= np.float32(2 * np.sqrt(3) * deviation / 2**24)
        numbers += np.float32(mean - np.sqrt(3) * deviation)
        return numbers.reshape(shape)

    def bias(self, size: int) -> npt.NDArray[np.float32]:
        """A small offset per output."""
        return self.uniform((size,), BIAS_DEVIATION)
