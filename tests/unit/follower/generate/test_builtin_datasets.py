"""The built-in datasets: what is in them, and that they are the same every time."""

from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from follower.generate.datasets.builtin import BUILTIN, builtin, load_builtin
from follower.generate.datasets.dataset import Dataset, Sample
from follower.generate.datasets.text_lines import LINES, text_directions, text_lines
from shared.errors import NotFound


def image_of(sample: Sample) -> Image.Image:
    """The sample's picture."""
    return Image.open(BytesIO(sample.data))


def test_text_lines_are_labelled_with_their_text() -> None:
    """Thirty-two different lines, words with spaces, numbers and codes among them."""
    labels = [sample.label for sample in text_lines().samples]
    assert labels == list(LINES)
    assert len(set(labels)) == 32
    assert sum(" " in line for line in LINES) >= 8
    assert sum(any(letter.isdigit() for letter in line) for line in LINES) >= 8


def test_every_sample_is_a_small_jpeg_in_colour() -> None:
    """What a client would send: a file, not an array."""
    for sample in text_lines().samples:
        image = image_of(sample)
        assert (image.format, image.mode) == ("JPEG", "RGB")
        assert 15 <= image.height <= 80
        assert image.width > image.height
        assert sample.data[:3] == b"\xff\xd8\xff"


def test_pictures_have_dark_ink_on_light_and_noisy_paper() -> None:
    """There is something to read, and the background is not flat."""
    for sample in text_lines().samples:
        grey = np.asarray(image_of(sample).convert("L"), np.float64)
        assert np.percentile(grey, 95) - grey.min() > 60
        assert np.abs(np.diff(grey[0])).mean() > 0.1


def test_sizes_differ_between_the_lines() -> None:
    """Several font sizes, so that resizing has work to do."""
    assert len({image_of(sample).height for sample in text_lines().samples}) >= 5


def test_directions_are_the_same_lines_half_of_them_upside_down() -> None:
    """Odd samples are turned; turned back they are the upright picture, up to JPEG's losses."""
    upright, turned = text_lines().samples, text_directions().samples
    assert Counter(sample.label for sample in turned) == {"0": 16, "180": 16}
    for before, after in zip(upright, turned, strict=True):
        found = image_of(after).rotate(180 if after.label == "180" else 0)
        difference = np.abs(np.asarray(found, np.float64) - np.asarray(image_of(before), np.float64))
        assert difference.mean() < 12


def test_the_same_environment_gives_the_same_bytes() -> None:
    """Made twice, a dataset has one digest."""
    for entry in BUILTIN.values():
        assert entry.make().sha256 == entry.make().sha256


def test_the_table_holds_what_is_announced() -> None:
    """Names, descriptions and datasets agree."""
    assert builtin() == ("text-lines", "text-directions", "text-clips", "short-messages")
    for name in builtin():
        assert load_builtin(name).name == name
        assert BUILTIN[name].description
    with pytest.raises(NotFound, match="text-lines, text-directions"):
        load_builtin("imagenet")


@pytest.mark.parametrize(
    "other",
    [
        (Sample("a", b"xy", "z"), Sample("b", b"", "")),
        (Sample("a", b"x", "z"), Sample("b", b"y", None)),
        (Sample("a", b"x", "z"), Sample("by", b"", None)),
        (Sample("b", b"", None), Sample("a", b"x", "z")),
        (Sample("a", b"x", "z"),),
    ],
)
def test_the_digest_covers_contents_and_order(other: tuple[Sample, ...]) -> None:
    """Moving a byte between fields, dropping a label or swapping two samples changes it."""
    first = Dataset("d", 1, (Sample("a", b"x", "z"), Sample("b", b"", None)))
    assert Dataset("d", 1, other).sha256 != first.sha256
    assert Dataset("other", 2, first.samples).sha256 == first.sha256
