"""Ops on images: file bytes -> pixels -> tensor. Each is made once per job from its parameters and runs per sample."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from math import ceil
from typing import Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from follower.pipeline.protocol import Array, PipelineFailed
from follower.pipeline.raster import Raster
from shared.jobs.pipeline import ChannelsFirst, DecodeFrames, DecodeImage, Normalize, Resize

MAX_FILE_BYTES: Final = 64 << 20
MAX_PIXELS: Final = 50_000_000  # 150 MB once decoded; a full-frame camera's picture

ImageOp = Callable[[Raster], Raster]

_MODES: Final = {"rgb": "RGB", "bgr": "RGB", "gray": "L"}
_BROKEN: Final = (
    UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning,
    OSError, SyntaxError, ValueError, IndexError, KeyError, EOFError,
)  # fmt: skip
"""What Pillow raises on files that are damaged, each from another of its readers."""


def decode_image(op: DecodeImage) -> Callable[[bytes], Raster]:
    """JPEG or PNG bytes -> uint8 HWC. Orientation tags are not applied: pixels are taken as stored."""
    mode = _MODES[op.channels]
    step = -1 if op.channels == "bgr" else 1

    def run(data: bytes) -> Raster:
        pixels = _decode(data, mode)
        return Raster.of(np.atleast_3d(pixels)[:, :, ::step])

    return run


def decode_frames(op: DecodeFrames) -> Callable[[bytes], list[Raster]]:
    """Animated WebP, GIF or PNG bytes -> ``count`` frames of uint8 HWC, first and last among them.

    Frames are taken by number, not by the time for which each is shown.
    """
    mode = _MODES[op.channels]
    step = -1 if op.channels == "bgr" else 1

    def run(data: bytes) -> list[Raster]:
        return [Raster.of(np.atleast_3d(pixels)[:, :, ::step]) for pixels in _decode_frames(data, mode, op.count)]

    return run


def resize(op: Resize) -> ImageOp:
    """HWC -> HWC of ``op.size``, bilinear with the filter widened when shrinking (as Pillow does it).

    ``keep_aspect``: the height becomes ``size[0]``, the width follows, rounded up, but never above ``size[1]``;
    what is missing on the right is zero in the finished tensor.
    """
    height, width = op.size

    def run(raster: Raster) -> Raster:
        pixels = raster.filled()
        fitted = min(width, ceil(height * pixels.shape[1] / pixels.shape[0])) if op.keep_aspect else width
        return Raster(_resample(pixels, fitted, height), width)

    return run


def normalize(op: Normalize) -> ImageOp:
    """uint8 HWC -> float32 HWC: (x / 255 - mean) / std per channel, as one multiply-add."""
    std = np.asarray(op.std, np.float64)
    mean = np.asarray(op.mean, np.float64)
    scale = (1.0 / (255.0 * std)).astype(np.float32)
    shift = (-mean / std).astype(np.float32)
    wanted = max(scale.size, shift.size)

    def run(raster: Raster) -> Raster:
        if wanted not in (1, raster.pixels.shape[2]):
            raise PipelineFailed(f"normalize has {wanted} means or deviations for {raster.pixels.shape[2]} channels")
        pixels = np.multiply(raster.pixels, scale, dtype=np.float32)
        pixels += shift
        return raster.with_pixels(pixels)

    return run


def channels_first(_op: ChannelsFirst) -> ImageOp:
    """HWC -> CHW, carried out when the tensor is finished."""
    return lambda raster: replace(raster, channels_first=True)


def _decode(data: bytes, mode: str) -> Array:
    if len(data) > MAX_FILE_BYTES:
        raise PipelineFailed(f"an image file of {len(data)} bytes; at most {MAX_FILE_BYTES} are decoded")
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "PNG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PipelineFailed(f"an image of {image.width} x {image.height}; at most {MAX_PIXELS} pixels")
            return np.asarray(image.convert(mode))
    except _BROKEN as error:
        raise PipelineFailed(f"not a complete JPEG or PNG image: {type(error).__name__}: {error}") from error


def _decode_frames(data: bytes, mode: str, count: int) -> list[Array]:
    if len(data) > MAX_FILE_BYTES:
        raise PipelineFailed(f"a video file of {len(data)} bytes; at most {MAX_FILE_BYTES} are decoded")
    try:
        with Image.open(BytesIO(data), formats=("WEBP", "GIF", "PNG")) as video:
            found = int(getattr(video, "n_frames", 1))
            if count > found:
                raise PipelineFailed(f"a video of {found} frames; decode_frames takes {count}")
            if video.width * video.height * found > MAX_PIXELS:
                raise PipelineFailed(f"a video of {found} frames of {video.width} x {video.height}: too many pixels")
            return [_frame(video, number, mode) for number in frame_numbers(found, count)]
    except _BROKEN as error:
        raise PipelineFailed(f"not a complete animated image: {type(error).__name__}: {error}") from error


def _frame(video: Image.Image, number: int, mode: str) -> Array:
    video.seek(number)
    return np.asarray(video.convert(mode))


def frame_numbers(found: int, count: int) -> list[int]:
    """``count`` of ``found`` frames, ascending and evenly spread; a single one is the middle one."""
    if count == 1:
        return [(found - 1) // 2]
    return [position * (found - 1) // (count - 1) for position in range(count)]


def _resample(pixels: Array, width: int, height: int) -> Array:
    if pixels.shape[:2] == (height, width):
        return pixels
    planes = [_resample_part(part, width, height) for part in _parts(pixels)]
    return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)


def _parts(pixels: Array) -> list[Array]:
    """Pillow holds three channels of bytes in one image, and floats one channel at a time."""
    if pixels.dtype == np.uint8 and pixels.shape[2] == 3:  # noqa: PLR2004 - red, green, blue
        return [pixels]
    return [pixels[:, :, channel] for channel in range(pixels.shape[2])]


def _resample_part(part: Array, width: int, height: int) -> Array:
    image = Image.fromarray(np.ascontiguousarray(part)).resize((width, height), Image.Resampling.BILINEAR)
    return np.atleast_3d(np.asarray(image))
