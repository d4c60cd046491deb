"""Image ops against answers worked out by hand or by Pillow and numpy directly."""

import warnings
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from follower.pipeline import image as image_ops
from follower.pipeline.chain import build_preprocess
from follower.pipeline.protocol import PipelineFailed
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.pipeline import PipelineSpec

Array = npt.NDArray[Any]
DECODE = {"op": "decode_image"}
COLOURS = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3) * 10


def png(pixels: Array) -> bytes:
    """The pixels as a PNG file, which loses nothing."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def run(data: bytes, *ops: Mapping[str, object]) -> Array:
    """The preprocessing that a job file would declare, on one sample."""
    return build_preprocess(PipelineSpec.model_validate({"preprocess": list(ops)}))(data)


def test_without_ops_a_sample_is_its_bytes() -> None:
    """Nothing declared, nothing done."""
    assert run(b"\x01\xff").tolist() == [1, 255]


def test_decoding_gives_the_pixels_as_rgb() -> None:
    """PNG is lossless, so the pixels come back exactly."""
    np.testing.assert_array_equal(run(png(COLOURS), DECODE), COLOURS)


def test_bgr_is_rgb_with_channels_reversed() -> None:
    """Models trained with OpenCV expect blue first."""
    np.testing.assert_array_equal(run(png(COLOURS), {**DECODE, "channels": "bgr"}), COLOURS[:, :, ::-1])


def test_gray_has_one_channel_by_the_luma_weights() -> None:
    """ITU-R 601-2: 0.299 R + 0.587 G + 0.114 B, rounded."""
    gray = run(png(COLOURS), {**DECODE, "channels": "gray"})
    assert gray.shape == (2, 4, 1)
    np.testing.assert_allclose(gray[..., 0], COLOURS @ [0.299, 0.587, 0.114], atol=1)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "I;16"])
def test_every_png_kind_becomes_three_channels(mode: str) -> None:
    """Palettes, alpha and 16 bits are brought to RGB."""
    file = BytesIO()
    Image.new("L", (5, 4), 255).convert(mode).save(file, "PNG")
    assert run(file.getvalue(), DECODE).shape == (4, 5, 3)


def test_resizing_is_pillows_bilinear() -> None:
    """The result is that of Pillow on the same picture."""
    expected = np.asarray(Image.fromarray(COLOURS).resize((9, 5), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(run(png(COLOURS), DECODE, {"op": "resize", "size": [5, 9]}), expected)


def test_resizing_a_bgr_image_resizes_each_channel_alike() -> None:
    """The order of channels does not matter to the filter."""
    resize = {"op": "resize", "size": [5, 9]}
    rgb = run(png(COLOURS), DECODE, resize)
    np.testing.assert_array_equal(run(png(COLOURS), {**DECODE, "channels": "bgr"}, resize), rgb[:, :, ::-1])


def test_resizing_floats_agrees_with_resizing_bytes() -> None:
    """After normalising the same filter runs on floats, without rounding to whole numbers."""
    resize = {"op": "resize", "size": [5, 9]}
    rounded = run(png(COLOURS), DECODE, resize)
    floats = run(png(COLOURS), DECODE, {"op": "normalize"}, resize)
    assert floats.dtype == np.float32
    np.testing.assert_allclose(floats * 255, rounded, atol=1)


def test_keep_aspect_pads_the_right_edge() -> None:
    """A 2 x 4 picture made 3 high is 6 wide; the other columns of 10 are zero."""
    fitted = run(png(COLOURS + 1), DECODE, {"op": "resize", "size": [3, 10], "keep_aspect": True})
    assert fitted.shape == (3, 10, 3)
    expected = np.asarray(Image.fromarray(COLOURS + 1).resize((6, 3), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(fitted[:, :6], expected)
    assert not fitted[:, 6:].any()


def test_padding_is_zero_in_the_tensor_not_in_the_picture() -> None:
    """With mean 0.5, black is -1; the padding stays 0, as in PP-OCR."""
    resize = {"op": "resize", "size": [2, 6], "keep_aspect": True}
    normalize = {"op": "normalize", "mean": [0.5], "std": [0.5]}
    endings: Sequence[Sequence[Mapping[str, object]]] = ([], [{"op": "channels_first"}])
    for last in endings:
        tensor = run(png(np.zeros((2, 4, 3), np.uint8)), DECODE, resize, normalize, *last)
        by_width = np.moveaxis(tensor, -1 if last else 1, 0)
        assert np.allclose(by_width[:4], -1)
        assert np.array_equal(by_width[4:], np.zeros_like(by_width[4:]))


def test_keep_aspect_never_exceeds_the_width() -> None:
    """A picture too wide for the size is squeezed into it, whole."""
    squeezed = run(png(COLOURS), DECODE, {"op": "resize", "size": [2, 3], "keep_aspect": True})
    expected = np.asarray(Image.fromarray(COLOURS).resize((3, 2), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(squeezed, expected)


def test_a_second_resize_takes_the_padding_along() -> None:
    """Padding is part of the picture for whatever comes after it."""
    padded = {"op": "resize", "size": [2, 8], "keep_aspect": True}
    halved = run(png(np.full((2, 4, 3), 200, np.uint8)), DECODE, padded, {"op": "resize", "size": [2, 4]})
    assert (halved[:, 0] == 200).all()
    assert (halved[:, 3] == 0).all()


def test_normalising_follows_its_formula() -> None:
    """(x / 255 - mean) / std per channel, in float32."""
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    tensor = run(png(COLOURS), DECODE, {"op": "normalize", "mean": mean, "std": std})
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor, (COLOURS / 255 - mean) / std, rtol=1e-5, atol=1e-5)


def test_one_mean_serves_all_channels() -> None:
    """Means and deviations may be given once."""
    once = run(png(COLOURS), DECODE, {"op": "normalize", "mean": [0.5], "std": [0.25, 0.25, 0.25]})
    thrice = run(png(COLOURS), DECODE, {"op": "normalize", "mean": [0.5] * 3, "std": [0.25] * 3})
    np.testing.assert_array_equal(once, thrice)


def test_channels_first_transposes_into_contiguous_memory() -> None:
    """The tensor can be sent as it lies in memory."""
    tensor = run(png(COLOURS), DECODE, {"op": "channels_first"})
    np.testing.assert_array_equal(tensor, COLOURS.transpose(2, 0, 1))
    assert tensor.flags.c_contiguous


def test_means_must_fit_the_channels() -> None:
    """Three means do not fit a grey picture."""
    with pytest.raises(PipelineFailed, match="3 means or deviations for 1 channels"):
        run(png(COLOURS), {**DECODE, "channels": "gray"}, {"op": "normalize", "mean": [0.5] * 3})


@pytest.mark.parametrize("data", [b"", b"not an image", png(COLOURS)[:40], b"GIF89a" + bytes(20), b"\xff\xd8\xff\xe0"])
def test_what_is_no_image_fails_the_sample(data: bytes) -> None:
    """The failure is the one error that senders count, and a cause of the attempt where it ends it."""
    with pytest.raises(PipelineFailed) as caught:
        run(data, DECODE)
    assert isinstance(caught.value, AttemptFailed)
    assert caught.value.cause is Cause.PIPELINE_FAILED


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_images_fail_in_no_other_way(data: st.DataObject) -> None:
    """Flipped bytes anywhere in a picture file end as a picture or as PipelineFailed."""
    file = BytesIO()
    Image.fromarray(COLOURS).save(file, data.draw(st.sampled_from(["PNG", "JPEG"])))
    content = bytearray(file.getvalue())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of strange metadata
        try:
            run(bytes(content), DECODE, {"op": "resize", "size": [4, 4]})
        except PipelineFailed as failure:
            assert failure.detail  # noqa: PT017 - the property is about every outcome


def test_a_decompression_bomb_is_refused_before_it_is_unpacked() -> None:
    """A tiny file that claims 60 megapixels is judged by its header."""
    header = b"IHDR" + (7746).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    bomb = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    data = (0).to_bytes(4, "big") + b"IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big")
    with pytest.raises(PipelineFailed, match="7746 x 7746"):
        run(bomb + data, DECODE)


def test_an_enormous_file_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's size is looked at first."""
    monkeypatch.setattr(image_ops, "MAX_FILE_BYTES", 10)
    with pytest.raises(PipelineFailed, match="at most 10"):
        run(png(COLOURS), DECODE)
