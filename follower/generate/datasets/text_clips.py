"""Short videos of text lines, as a hand-held camera sees them. They are rendered, not filmed.

Each clip shows one picture of ``text-directions``: it drifts and shakes by a few pixels, the light flickers, and each
frame has grain of its own. A clip is an animated WebP. The same Pillow and numpy give the same bytes.
"""

from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from follower.generate.datasets.dataset import Dataset, Sample
from follower.generate.datasets.text_lines import text_directions

SEED: Final = 20_261_122
CLIPS: Final = 16
FRAMES: Final = 12
FRAME_MS: Final = 40
DRIFT: Final = 4.0  # pixels over the clip, in a random direction
SHAKE: Final = 1.0  # standard deviation in pixels, each frame
FLICKER: Final = 0.06  # standard deviation of the brightness, as a share of it
GRAIN: Final = 6.0  # standard deviation in grey levels
QUALITY: Final = 80


def text_clips() -> Dataset:
    """One animated WebP per line; the label is the turn in degrees, "0" or "180"."""
    pictures = text_directions().samples[:CLIPS]
    samples = (
        Sample(f"clip-{index:03}.webp", _clip(picture.data, index), picture.label)
        for index, picture in enumerate(pictures)
    )
    return Dataset("text-clips", 1, tuple(samples))


def _clip(jpeg: bytes, index: int) -> bytes:
    random = np.random.Generator(np.random.PCG64([SEED, index]))
    with Image.open(BytesIO(jpeg)) as picture:
        still = picture.convert("RGB")
    angle = random.uniform(0, 2 * np.pi)
    direction = np.array([np.cos(angle), np.sin(angle)])
    frames = [_frame(still, direction * DRIFT * (at / (FRAMES - 1) - 0.5), random) for at in range(FRAMES)]
    file = BytesIO()
    frames[0].save(
        file, "WEBP", save_all=True, append_images=frames[1:], duration=FRAME_MS, quality=QUALITY, minimize_size=False
    )
    return file.getvalue()


def _frame(still: Image.Image, drift: npt.NDArray[np.float64], random: np.random.Generator) -> Image.Image:
    across, down = drift + random.normal(0, SHAKE, 2)
    shift = (1, 0, across, 0, 1, down)
    moved = still.transform(
        still.size, Image.Transform.AFFINE, shift, Image.Resampling.BILINEAR, fillcolor=_paper(still)
    )
    light = 1 + random.normal(0, FLICKER)
    grain = random.normal(0, GRAIN, (still.height, still.width, 3))
    return Image.fromarray(np.clip(np.asarray(moved, np.float64) * light + grain, 0, 255).astype(np.uint8))


def _paper(still: Image.Image) -> tuple[int, int, int]:
    """The colour of the corner, which shows where the picture has moved away."""
    red, green, blue = np.asarray(still)[0, 0].tolist()
    return red, green, blue
