"""The tables of model formats: whole, and of use to a person who chose wrong."""

from typing import get_args

from shared.jobs.formats import CONVERTS, SERVES, SUFFIXES, ModelFormat, PlatformName, ways_to_serve


def test_every_platform_and_format_has_its_row() -> None:
    """A name that a job file may have and no table knows would break in mid-submit."""
    assert SERVES.keys() == set(get_args(PlatformName))
    assert CONVERTS.keys() == SUFFIXES.keys() == set(get_args(ModelFormat))
    known = set(get_args(ModelFormat))
    assert all(set(formats) <= known for formats in (*SERVES.values(), *CONVERTS.values()))


def test_a_wrong_choice_is_told_what_would_be_right() -> None:
    """Another platform where nothing converts."""
    assert ways_to_serve("onnx", "tfserving").startswith("platforms that load onnx: onnxruntime, openvino, triton")
