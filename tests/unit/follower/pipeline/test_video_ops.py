"""Videos: which frames are taken, how they become rows, and how their outputs become one."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from follower.generate.datasets.builtin import load_builtin
from follower.pipeline.chain import batch_of, build_postprocess, build_preprocess, outputs_of
from follower.pipeline.image import frame_numbers
from follower.pipeline.protocol import PipelineFailed
from shared.jobs.pipeline import PipelineSpec


def video(frames: int, size: tuple[int, int] = (4, 2), kind: str = "PNG") -> bytes:
    """A video without loss whose n-th frame is all of the grey level 10 n."""
    images = [Image.new("RGB", size, (10 * n, 10 * n, 10 * n)) for n in range(frames)]
    file = BytesIO()
    images[0].save(file, kind, save_all=True, append_images=images[1:], duration=40)
    return file.getvalue()


def spec(*ops: dict[str, Any], count: int = 3, postprocess: Any = ()) -> PipelineSpec:
    """A pipeline that begins with frames."""
    first = {"op": "decode_frames", "count": count}
    return PipelineSpec.model_validate({"preprocess": [first, *ops], "postprocess": list(postprocess)})


@pytest.mark.parametrize(
    ("found", "count", "taken"),
    [
        (12, 1, [5]),
        (12, 2, [0, 11]),
        (12, 3, [0, 5, 11]),
        (5, 5, [0, 1, 2, 3, 4]),
        (1, 1, [0]),
        (9, 5, [0, 2, 4, 6, 8]),
    ],
)
def test_frames_are_spread_evenly_from_the_first_to_the_last(found: int, count: int, taken: list[int]) -> None:
    """A single one is the middle one."""
    assert frame_numbers(found, count) == taken


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_video_becomes_its_frames(kind: str) -> None:
    """Stacked along a first axis, in their order."""
    frames = build_preprocess(spec())(video(5, kind=kind))
    assert frames.shape == (3, 2, 4, 3)
    assert frames.dtype == np.uint8
    assert frames[:, 0, 0, 0].tolist() == [0, 20, 40]


def test_the_ops_that_follow_run_on_each_frame() -> None:
    """As they would on a picture."""
    ops = ({"op": "resize", "size": [8, 8]}, {"op": "normalize", "std": [2.0]}, {"op": "channels_first"})
    frames = build_preprocess(spec(*ops))(video(5))
    assert frames.shape == (3, 3, 8, 8)
    assert frames[:, 0, 0, 0] == pytest.approx([0, 20 / 255 / 2, 40 / 255 / 2])


def test_several_videos_are_one_batch_of_frames() -> None:
    """And their outputs are averaged, each over its own."""
    given = spec(count=2)
    made = build_preprocess(given)
    assert batch_of(given, [made(video(5)), made(video(2))]).shape == (4, 2, 4, 3)
    output = np.array([[1.0, 3.0], [3.0, 1.0], [0.0, 8.0], [2.0, 4.0]])
    assert outputs_of(given, output, 2).tolist() == [[2.0, 2.0], [1.0, 6.0]]


def test_the_answer_is_that_of_the_averaged_scores() -> None:
    """Two frames that are hardly sure do not outvote one that is."""
    given = spec(postprocess=[{"op": "top_k"}])
    scores = np.array([[0.55, 0.45], [0.55, 0.45], [0.1, 0.9]])
    answer = build_postprocess(given, ("no", "yes"))(outputs_of(given, scores, 1)[0])
    assert answer is not None
    assert answer.label == "yes"
    assert answer.confidence == pytest.approx(0.6)


def test_a_picture_keeps_its_one_row() -> None:
    """Without frames nothing is averaged, and a wrong number of rows is told."""
    still = PipelineSpec()
    output = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert outputs_of(still, output, 2) is output
    with pytest.raises(ValueError, match="3 rows were sent"):
        outputs_of(still, output, 3)
    with pytest.raises(ValueError, match="6 rows were sent"):
        outputs_of(spec(), output, 2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (video(2), "a video of 2 frames; decode_frames takes 3"),
        (b"no video", "not a complete animated image"),
        (video(5)[:80], "not a complete animated image"),
        (b"", "not a complete animated image"),
    ],
    ids=["short", "other", "cut", "empty"],
)
def test_what_cannot_be_decoded_is_a_failed_sample(data: bytes, message: str) -> None:
    """And nothing else comes out."""
    with pytest.raises(PipelineFailed, match=message):
        build_preprocess(spec())(data)


def test_frames_come_first_or_not_at_all() -> None:
    """A frame is not a file."""
    with pytest.raises(ValueError, match="decode_frames takes the bytes of the dataset"):
        PipelineSpec.model_validate({"preprocess": [{"op": "decode_image"}, {"op": "decode_frames"}]})


def test_the_built_in_clips_move_and_are_labelled() -> None:
    """Twelve frames each, no two alike; as many upright as not; the same each time."""
    clips = load_builtin("text-clips")
    assert [sample.label for sample in clips.samples] == ["0", "180"] * 8
    frames = build_preprocess(spec(count=12))(clips.samples[0].data)
    assert len({frame.tobytes() for frame in frames}) == 12
    assert load_builtin.__wrapped__("text-clips").sha256 == clips.sha256
