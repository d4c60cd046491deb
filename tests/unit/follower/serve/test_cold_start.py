"""The phases of a cold start, without a server."""

import os
from pathlib import Path

import numpy as np
import pytest

from follower.load.encode import tensor_bytes
from follower.serve.first_inference import zeros_of
from follower.serve.openinference.tensors import DTYPES, TensorInfo, example_shape
from follower.serve.readiness import Progress, Step
from follower.serve.status import StatusEvent, StatusFile, parse, read
from shared.measure.record import ColdStart

START = Progress(started_ns=1_000_000, spawned_ns=3_000_000)
LISTENING = StatusEvent(name="listening", at_ns=11_000_000, port=4000)
LOADED = StatusEvent(name="model-loaded", at_ns=21_000_000)


def test_phases_are_reached_in_order() -> None:
    """Port, model, ready, first inference, done."""
    assert START.next_step is Step.AWAIT_PORT
    assert START.after([LISTENING]).next_step is Step.AWAIT_MODEL
    loaded = START.after([LISTENING, LOADED])
    assert loaded.next_step is Step.ASK_READY
    assert loaded.port == 4000


def test_a_report_that_is_read_again_changes_nothing() -> None:
    """The file is read from its beginning every time."""
    once = START.after([LISTENING])
    later = StatusEvent(name="listening", at_ns=99_000_000, port=5000)
    assert once.after([LISTENING, later]) == once


def test_every_phase_counts_from_the_decision_to_start() -> None:
    """In milliseconds; what has not been reached is not available."""
    assert START.after([LISTENING, LOADED]).cold_start() == ColdStart(
        spawned_ms=2, port_open_ms=10, model_loaded_ms=20, ready_ms=None, first_inference_ms=None
    )


def test_what_the_server_reports_is_what_is_read(tmp_path: Path) -> None:
    """Names, the port, and stamps that do not go back."""
    path = tmp_path / "status.jsonl"
    assert read(path) == ()
    StatusFile(path).report("listening", port=4000)
    StatusFile(path).report("model-loaded")
    first, second = read(path)
    assert (first.name, first.port, second.name, second.port) == ("listening", 4000, "model-loaded", None)
    assert 0 < first.at_ns <= second.at_ns


@pytest.mark.parametrize("text", ["", '{"name": "liste', '{"name": "listening", "at_ns": 1, "port": 2}'])
def test_a_line_that_is_still_being_written_is_left_for_later(text: str) -> None:
    """Only a newline completes it."""
    assert list(parse(text)) == []


@pytest.mark.parametrize(
    ("shape", "hint", "expected"),
    [
        ((-1, 3, 224, 224), None, (1, 3, 224, 224)),
        ((-1, 3, -1, -1), None, (1, 3, 32, 32)),
        ((-1,), None, (1,)),
        ((4, -1), None, (4, 32)),
        ((), None, ()),
        ((-1, 3, 48, -1), (1, 3, 48, 320), (1, 3, 48, 320)),
    ],
)
def test_the_first_inference_has_one_sample_of_a_plausible_shape(
    shape: tuple[int, ...], hint: tuple[int, ...] | None, expected: tuple[int, ...]
) -> None:
    """The model's own dimensions decide, then a hint, then 1 for the batch and 32 for what is free."""
    assert example_shape(TensorInfo(name="x", datatype="FP32", shape=shape), hint) == expected


@pytest.mark.parametrize("datatype", sorted(DTYPES.keys() - {"BYTES"}))
def test_zeros_are_as_long_as_the_tensor(datatype: str) -> None:
    """And zero."""
    sent = tensor_bytes(zeros_of(TensorInfo(name="x", datatype=datatype, shape=(-1, 3)), (2, 3)))
    array = np.frombuffer(sent, DTYPES[datatype]).reshape(2, 3)
    assert not array.any()


def test_zeros_of_strings_are_empty_strings() -> None:
    """Each is a length of 0."""
    assert tensor_bytes(zeros_of(TensorInfo(name="x", datatype="BYTES", shape=(2,)))) == b"\0" * 8


def test_a_status_file_that_is_something_else_is_not_read(tmp_path: Path) -> None:
    """A hostile server may make it a link to a secret, or a pipe that nobody writes to."""
    secret = tmp_path / "secret"
    StatusFile(secret).report("model-loaded")
    (tmp_path / "link").symlink_to(secret)
    os.mkfifo(tmp_path / "pipe")
    assert [event.name for event in read(secret)] == ["model-loaded"]
    assert read(tmp_path / "link") == ()
    assert list(read(tmp_path / "pipe")) == []
    assert read(tmp_path / "nothing") == ()
