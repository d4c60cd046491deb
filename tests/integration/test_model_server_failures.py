"""The ONNX Runtime service when things go wrong: each failure has its own cause, and nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support import served_models
from support.serving import (
    alive,
    batching,
    eventually,
    failed_start,
    failure_of,
    infer,
    infer_json,
    is_open,
    ready,
    serve_request,
    started,
)

from follower.serve.modelserver.platform import ModelServerPlatform
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause

PLATFORM = ModelServerPlatform("onnxruntime")


def test_a_file_that_is_no_model_fails_to_load_with_the_reason(tmp_path: Path) -> None:
    """In one line, with the log's tail, long before the deadline."""
    (tmp_path / "m.onnx").write_bytes(b"garbage")
    failure = failed_start(PLATFORM, serve_request(tmp_path / "m.onnx", tmp_path / "run"))
    assert failure.cause is Cause.MODEL_LOAD_FAILED
    assert failure.detail.startswith("ONNX Runtime refuses the model")
    assert failure.detail in failure.log_tail


def test_a_model_that_cannot_be_batched_as_asked_fails_to_load(tmp_path: Path) -> None:
    """Rather than be measured without the batching that the job names."""
    model = served_models.identity(tmp_path / "m.onnx", (1, 4))
    failure = failed_start(PLATFORM, serve_request(model, tmp_path / "run", batching(8, 2)))
    assert failure.cause is Cause.MODEL_LOAD_FAILED
    assert "export it with a free batch dimension" in failure.detail


def test_a_model_that_cannot_execute_zeros_fails_with_its_own_words(tmp_path: Path) -> None:
    """Loaded, but of no use with these shapes."""
    model = served_models.reshaped_to(tmp_path / "m.onnx", 7)
    failure = failed_start(PLATFORM, serve_request(model, tmp_path / "run"))
    assert failure.cause is Cause.MODEL_LOAD_FAILED
    assert "first inference" in failure.detail
    assert "Reshape" in failure.detail


def test_a_hint_for_its_shape_makes_such_a_model_ready(tmp_path: Path) -> None:
    """Where free dimensions cannot be guessed."""
    model = served_models.reshaped_to(tmp_path / "m.onnx", 7)
    with ready(PLATFORM, serve_request(model, tmp_path / "run", example_shapes={"x": (1, 7)})) as service:
        assert infer(service.endpoint, x=np.ones((1, 14), np.float32)).tensors["y"].shape == (2, 7)


def test_a_server_that_hangs_is_not_ready_at_the_deadline(tmp_path: Path) -> None:
    """Stopped right after its start; the failure names the phase and comes with the log's tail."""
    model = served_models.identity(tmp_path / "m.onnx")
    request = serve_request(model, tmp_path / "run")
    request.workdir.mkdir()
    (request.workdir / "server.log").write_text("a line from before\n")
    with started(PLATFORM, request) as service:
        for pid in service.pids():
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        failure = failure_of(service, timeout_ns=500_000_000)
        assert time.monotonic() - began < 5
    assert failure.cause is Cause.SERVER_NOT_READY
    assert failure.detail == "not ready within 0.5 s, still waiting for its port to open"
    assert failure.log_tail == "a line from before"


def test_a_server_that_hangs_in_its_first_inference_is_not_ready_at_the_deadline(tmp_path: Path) -> None:
    """A connection that is accepted and never answered does not hold up the follower."""
    model = served_models.identity(tmp_path / "m.onnx")
    with ready(PLATFORM, serve_request(model, tmp_path / "run")) as service:
        again = PLATFORM.start(serve_request(model, tmp_path / "second"))
        status = tmp_path / "second" / "status.jsonl"
        assert eventually(lambda: status.exists() and "model-loaded" in status.read_text(), 30)
        for pid in again.pids():
            os.kill(pid, signal.SIGSTOP)
        failure = failure_of(again, timeout_ns=500_000_000)
        again.stop()
        assert infer(service.endpoint, x=np.zeros((1, 4), np.float32)).status == 200
    assert failure.cause is Cause.SERVER_NOT_READY
    assert "still waiting for it to report that it is ready" in failure.detail


def test_a_server_killed_during_its_start_has_died(tmp_path: Path) -> None:
    """The start ends at once, with the signal's name."""
    model = served_models.identity(tmp_path / "m.onnx")
    with started(PLATFORM, serve_request(model, tmp_path / "run")) as service:
        os.kill(service.pids()[0], signal.SIGKILL)
        failure = failure_of(service)
    assert failure.cause is Cause.SERVER_DIED
    assert failure.detail == "the server was killed by SIGKILL"


def test_a_server_that_is_told_to_stop_ends_cleanly(tmp_path: Path) -> None:
    """SIGTERM from anyone leads to status 0 and a word in the log."""
    model = served_models.identity(tmp_path / "m.onnx")
    with ready(PLATFORM, serve_request(model, tmp_path / "run")) as service:
        os.kill(service.pids()[0], signal.SIGTERM)
        assert eventually(lambda: service.pids() == ())
        with pytest.raises(AttemptFailed) as caught:
            service.check()
        assert caught.value.detail == "the server exited with status 0"
        assert service.log_path.read_text() == "told to stop\n"
        assert not is_open(service.endpoint)


def test_a_request_that_exhausts_memory_ends_the_server_as_out_of_memory(tmp_path: Path) -> None:
    """The client is told, and the follower gets the cause."""
    model = served_models.zeros_on_demand(tmp_path / "m.onnx")
    request = serve_request(model, tmp_path / "run", memory_bytes=8 << 30)
    with ready(PLATFORM, request) as service:
        inputs = [{"name": "n", "datatype": "INT64", "shape": [1], "data": [1 << 32]}]
        answer = infer_json(service.endpoint, {"inputs": inputs})
        assert answer.status == 503
        assert "out of memory" in answer.error
        assert eventually(lambda: service.pids() == ())
        with pytest.raises(AttemptFailed) as caught:
            service.check()
    assert caught.value.cause is Cause.SERVER_OUT_OF_MEMORY


@pytest.mark.parametrize("memory_mib", [30, 60, 100, 150])
def test_a_server_that_does_not_fit_into_its_memory_limit_is_out_of_memory(tmp_path: Path, memory_mib: int) -> None:
    """Wherever in its start the allocation fails."""
    model = served_models.identity(tmp_path / "m.onnx")
    failure = failed_start(PLATFORM, serve_request(model, tmp_path / "run", memory_bytes=memory_mib << 20))
    assert failure.cause is Cause.SERVER_OUT_OF_MEMORY


FOLLOWER = """
import sys, time
from pathlib import Path
from follower.serve.platforms import find_platform
from follower.serve.protocol import ServeRequest
from shared.jobs.spec import ServiceSpec
model, workdir = Path(sys.argv[1]), Path(sys.argv[2])
service = find_platform("onnxruntime").start(ServeRequest(
    model_path=model, model_name="tiny", service=ServiceSpec(), server_cores=[], workdir=workdir))
service.wait_ready(60_000_000_000)
print(*service.pids(), flush=True)
time.sleep(60)
"""


def test_a_server_does_not_outlive_a_follower_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL to the process that started it is enough."""
    model = served_models.identity(tmp_path / "m.onnx")
    argv = [sys.executable, "-c", FOLLOWER, str(model), str(tmp_path / "run")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as follower:
        assert follower.stdout is not None
        pids = [int(pid) for pid in follower.stdout.readline().split()]
        assert alive(pids) == pids != []
        follower.kill()
    assert eventually(lambda: alive(pids) == [])
