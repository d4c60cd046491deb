"""An image on its way to a tensor, with padding that is only remembered until the end."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from follower.pipeline.protocol import Array


@dataclass(frozen=True)
class Raster:
    """Pixels as uint8 or float32 HWC, and the width to which the right edge is filled with zeros at the end.

    Padding comes last so that the filling is zero in the tensor that the model gets, not black before normalising:
    networks trained on padded batches (PP-OCR's, for one) expect that.
    """

    pixels: Array  # (height, width, channels)
    padded_width: int
    channels_first: bool = False

    @classmethod
    def of(cls, pixels: Array) -> Self:
        return cls(pixels, pixels.shape[1])

    def with_pixels(self, pixels: Array) -> Self:
        """The same layout with other values of the same size."""
        return replace(self, pixels=pixels)

    def filled(self) -> Array:
        """HWC with the padding in place."""
        height, width, channels = self.pixels.shape
        if width == self.padded_width:
            return self.pixels
        filled = np.zeros((height, self.padded_width, channels), self.pixels.dtype)
        filled[:, :width] = self.pixels
        return filled

    def tensor(self) -> Array:
        """C-contiguous, with the padding in place: CHW if ``channels_first``, else HWC."""
        if not self.channels_first:
            return np.ascontiguousarray(self.filled())
        height, width, channels = self.pixels.shape
        planes = np.empty((channels, height, self.padded_width), self.pixels.dtype)
        planes[:, :, :width] = self.pixels.transpose(2, 0, 1)
        planes[:, :, width:] = 0
        return planes
