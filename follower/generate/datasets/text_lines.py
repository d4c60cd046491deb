"""Pictures of text lines with known text. They are rendered, not photographed.

Each line is set in the typeface that Pillow carries in itself, on paper with a brightness gradient and grain, turned
by up to a degree, slightly blurred and stored as a JPEG. The same Pillow and numpy give the same bytes.
"""

from io import BytesIO
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from follower.generate.datasets.dataset import Dataset, Sample

SEED: Final = 20_240_601
FONT_SIZES: Final = (18, 22, 26, 32, 40)
MARGIN: Final = 0.3  # of the font size, around the text
WORD_GAP: Final = (0.3, 0.6)  # of the font size: from tight setting to that of forms and receipts
PAPER: Final = (180, 245)  # grey levels
TINT: Final = 10  # grey levels by which a colour channel differs from the others
MAX_GRADIENT: Final = 60  # grey levels across the line
INK: Final = (0, 90)  # grey levels, each channel by itself
MAX_TURN_DEGREES: Final = 1.0
MAX_BLUR: Final = 0.8  # standard deviation in pixels
MAX_GRAIN: Final = 12.0  # standard deviation in grey levels
JPEG_QUALITY: Final = (45, 90)

LINES: Final = (
    "Inference Server", "48.90", "INV-2024-0117", "B217", "opening hours", "Departures", "88213-04", "Main Street 5",
    "QX-7741", "throughput", "EXIT ONLY", "LH430", "3.14159", "Keep right", "A1B2C3D4", "12:45",
    "net weight 250 g", "MODEL-T800", "page 16 of 32", "Thank you", "benchmark", "130km/h",
    "latency percentile", "0093-5521", "Fragile", "queue depth", "PLATFORM", "1,299.00", "Best before 05/27",
    "North Wing", "Warning!", "https://example.org",
)  # fmt: skip


def text_lines() -> Dataset:
    """One JPEG per line; the label is its text."""
    samples = (Sample(_name(index), _jpeg(index, turned=False), text) for index, text in enumerate(LINES))
    return Dataset("text-lines", 1, tuple(samples))


def text_directions() -> Dataset:
    """The same pictures, every second one upside down; the label is the turn in degrees, "0" or "180"."""
    samples = (
        Sample(_name(index), _jpeg(index, turned=bool(index % 2)), "180" if index % 2 else "0")
        for index in range(len(LINES))
    )
    return Dataset("text-directions", 1, tuple(samples))


def _name(index: int) -> str:
    return f"line-{index:03}.jpg"


def _jpeg(index: int, *, turned: bool) -> bytes:
    random = np.random.Generator(np.random.PCG64([SEED, index]))
    picture = _picture(LINES[index], random)
    if turned:
        picture = picture.transpose(Image.Transpose.ROTATE_180)
    file = BytesIO()
    picture.save(file, "JPEG", quality=int(random.integers(*JPEG_QUALITY)))
    return file.getvalue()


def _picture(text: str, random: np.random.Generator) -> Image.Image:
    mask = _mask(text, int(random.choice(FONT_SIZES)), random.uniform(*WORD_GAP))
    turned = mask.rotate(random.uniform(-MAX_TURN_DEGREES, MAX_TURN_DEGREES), Image.Resampling.BICUBIC)
    ink = np.asarray(turned, np.float64)[..., None] / 255
    inked = _paper(ink.shape[0], ink.shape[1], random) * (1 - ink) + random.uniform(*INK, 3) * ink
    grain = random.normal(0, random.uniform(2, MAX_GRAIN), ink.shape)
    picture = Image.fromarray(np.clip(inked + grain, 0, 255).astype(np.uint8))
    return picture.filter(ImageFilter.GaussianBlur(random.uniform(0, MAX_BLUR)))


def _mask(text: str, size: int, word_gap: float) -> Image.Image:
    """The text in white on black, its words ``word_gap`` font sizes apart."""
    font = ImageFont.load_default(size)
    words = text.split(" ")
    widths = [font.getlength(word) for word in words]
    gap, margin = size * word_gap, size * MARGIN
    _, top, _, bottom = font.getbbox(text)
    height = round(bottom - top + 2 * margin)
    mask = Image.new("L", (round(sum(widths) + gap * (len(words) - 1) + 2 * margin), height))
    draw, left = ImageDraw.Draw(mask), margin
    for word, width in zip(words, widths, strict=True):
        draw.text((left, margin - top), word, fill=255, font=font)
        left += width + gap
    return mask


def _paper(height: int, width: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """A light tint that gets darker in a random direction; shape (height, width, 3)."""
    angle = random.uniform(0, 2 * np.pi)
    down, across = np.linspace(0, np.sin(angle), height), np.linspace(0, np.cos(angle), width)
    slope = (down[:, None] + across)[..., None]
    tint = random.uniform(*PAPER) + random.uniform(-TINT, TINT, 3)
    paper: npt.NDArray[np.float64] = tint - slope * random.uniform(0, MAX_GRADIENT)
    return paper
