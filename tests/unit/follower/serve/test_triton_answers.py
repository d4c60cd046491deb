"""What Triton says of itself, read: its trace, its statistics, its refusals, its ports."""

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from follower.load.encode import MalformedAnswer
from follower.serve.first_inference import check_outputs
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo
from follower.serve.ports import HOST, free_ports
from follower.serve.triton.failures import load_failure
from follower.serve.triton.layout import (
    SHM_PREFIX,
    Layout,
    new_shm_prefix,
    remove_shared_memory,
    remove_stale_shared_memory,
)
from follower.serve.triton.ports import taken_address
from follower.serve.triton.statistics import statistics_of
from follower.serve.triton.trace import request_stages
from shared.jobs.lifecycle import Cause


def traced(key: int, number: str, times: dict[str, int]) -> list[dict[str, Any]]:
    """The events of one request as Triton writes them."""
    events: list[dict[str, Any]] = [{"id": key, "timestamps": [{"name": "HTTP_RECV_START", "ns": 1}]}]
    events.append({"id": key, "model_name": "tiny", "model_version": 1, "request_id": number})
    events += [{"id": key, "timestamps": [{"name": name, "ns": ns}]} for name, ns in times.items()]
    return events


def stages(*requests: list[dict[str, Any]]) -> dict[int, tuple[int, int]]:
    """Number -> (queue, inference), of a trace file."""
    text = json.dumps([event for request in requests for event in request], separators=(",", ":"))
    found = request_stages(text.encode())
    rows = zip(found.request_id.tolist(), found.queue_ns.tolist(), found.inference_ns.tolist(), strict=True)
    return {number: (queue, inference) for number, queue, inference in rows}


TIMES = {"QUEUE_START": 1_000, "COMPUTE_START": 1_300, "COMPUTE_INPUT_END": 1_400, "COMPUTE_END": 2_000}


def test_a_trace_gives_each_numbered_request_its_queue_and_inference() -> None:
    """Whatever the order in which its events were written."""
    backwards = dict(reversed(TIMES.items()))
    assert stages(traced(1, "000000000007", TIMES), traced(2, "000000000009", backwards)) == {
        7: (300, 700),
        9: (300, 700),
    }


def test_requests_without_a_number_or_an_end_are_left_out() -> None:
    """Those of the start, and those that the load's end cut off."""
    cut = {name: ns for name, ns in TIMES.items() if name != "COMPUTE_END"}
    assert stages(traced(1, "", TIMES), traced(2, "------------", TIMES), traced(3, "000000000001", cut)) == {}


def test_of_a_number_seen_twice_the_last_counts() -> None:
    """A request that went out again was answered the second time."""
    later = {**TIMES, "COMPUTE_START": 1_500}
    assert stages(traced(1, "000000000001", TIMES), traced(2, "000000000001", later)) == {1: (500, 500)}


def test_an_empty_trace_is_no_requests() -> None:
    """Arrays of no rows."""
    found = request_stages(b"")
    assert found.request_id.shape == found.queue_ns.shape == found.inference_ns.shape == (0,)


def test_statistics_are_sums_of_batches_and_times() -> None:
    """As the statistics extension documents them."""
    spent = {"queue": {"count": 3, "ns": 10}, "compute_input": {"count": 3, "ns": 20}}
    spent |= {"compute_infer": {"count": 3, "ns": 30}, "compute_output": {"count": 3, "ns": 40}}
    batches = [{"batch_size": size, "compute_infer": {"count": count, "ns": 1}} for size, count in ((1, 2), (4, 1))]
    model = {"inference_count": 6, "execution_count": 3, "inference_stats": spent, "batch_stats": batches}
    found = statistics_of({"model_stats": [model]})
    assert (found.inferences, found.executions, dict(found.batches)) == (6, 3, {1: 2, 4: 1})
    assert (found.queue_ns, found.input_ns, found.inference_ns, found.output_ns) == (10, 20, 30, 40)


@pytest.mark.parametrize("document", [{}, {"model_stats": []}, {"model_stats": [{"inference_count": 1}]}])
def test_anything_else_is_no_statistics(document: dict[str, Any]) -> None:
    """Rather than zeros."""
    with pytest.raises(ValueError, match="statistics"):
        statistics_of(document)


@pytest.mark.parametrize(
    ("message", "log", "oom_kills", "cause"),
    [
        ("failed to load 'tiny': Internal: no such operator", "", 0, Cause.MODEL_LOAD_FAILED),
        ("Stub process 'tiny_0_0' is not healthy.", "", 0, Cause.SERVER_DIED),
        ("Stub process 'tiny_0_0' is not healthy.", "", 1, Cause.SERVER_OUT_OF_MEMORY),
        ("Stub process 'tiny_0_0' is not healthy.", "std::bad_alloc", 0, Cause.SERVER_OUT_OF_MEMORY),
        ("Internal: MemoryError: ", "", 0, Cause.SERVER_OUT_OF_MEMORY),
    ],
)
def test_a_refused_load_has_the_cause_that_its_words_tell(message: str, log: str, oom_kills: int, cause: Cause) -> None:
    """The server outlives the model's process, so its exit tells nothing."""
    failure = load_failure(message, log, oom_kills=oom_kills)
    assert failure.cause is cause
    assert message.strip() in failure.detail
    assert failure.log_tail == log


def test_chosen_ports_differ_and_are_free() -> None:
    """At the time."""
    ports = free_ports(3)
    assert len(set(ports)) == 3
    for port in ports:
        with socket.socket() as probe:
            probe.bind((HOST, port))


def test_a_taken_port_is_known_by_the_log() -> None:
    """Of either protocol; nothing else is."""
    line = "E1122 main.cc:257] \"failed to start HTTP service: Unavailable - Socket '127.0.0.1:8000' already in use \""
    assert taken_address(f"something\n{line}\n") == "127.0.0.1:8000"
    assert taken_address("E1122 main.cc:535] failed to stop server") is None


def test_only_our_own_shared_memory_is_removed(tmp_path: Path) -> None:
    """Others use the same folder."""
    for name in ("ours-1", "ours-2", "theirs"):
        (tmp_path / name).touch()
    remove_shared_memory(Layout(workdir=tmp_path, model_name="m", shm_prefix="ours-"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_shared_memory_of_processes_that_are_gone_is_removed(tmp_path: Path) -> None:
    """A follower that was killed could not do it; one that lives still needs its own."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    ours = f"{new_shm_prefix()}region"
    for name in (f"{SHM_PREFIX}{gone.pid}-0a1b-region", ours, "theirs"):
        (tmp_path / name).touch()
    remove_stale_shared_memory(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {ours, "theirs"}


MODEL = ModelMetadata(name="m", inputs=(), outputs=(TensorInfo(name="y", datatype="FP32", shape=(-1, 4)),))


def test_outputs_of_the_promised_type_and_shape_pass() -> None:
    """A free dimension may be anything."""
    check_outputs(MODEL, {"y": np.zeros((3, 4), np.float32)})


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"y": np.zeros((3, 5), np.float32)},
        {"y": np.zeros(4, np.float32)},
        {"y": np.zeros((3, 4), np.float64)},
    ],
)
def test_other_outputs_are_malformed(outputs: dict[str, Any]) -> None:
    """Absent, of another shape, of another type."""
    with pytest.raises(MalformedAnswer, match="'y'"):
        check_outputs(MODEL, outputs)
