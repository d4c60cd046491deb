"""Triton when things go wrong: each failure has its own cause, and nothing is left behind."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import helper
from support import served_models
from support.asking import RefusedToAnswer, ask
from support.engines import require_engine
from support.onnx_models import value
from support.serving import alive, eventually, failed_start, failure_of, ready, serve_request, started

from follower.serve.ports import free_ports
from follower.serve.protocol import Service
from follower.serve.triton.layout import SHM
from follower.serve.triton.platform import TritonPlatform
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import BatchingSpec, ServiceSpec

PLATFORM = TritonPlatform()
SERVICE = ServiceSpec(platform="triton")


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Whatever a test does to it, the server leaves no shared memory."""
    require_engine("triton")
    yield
    assert list(SHM.glob("inferbench-triton-*")) == []


def failure_with(model: Path) -> AttemptFailed:
    """How a start fails that serves this model."""
    return failed_start(PLATFORM, serve_request(model, model.parent / "run", SERVICE))


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else has."""
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        yield occupant.getsockname()[1]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model with which nothing is wrong."""
    return served_models.identity(tmp_path / "m.onnx")


@pytest.fixture
def run_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the model run by this program in place of ours."""

    def put(program: str) -> None:
        (tmp_path / "onnx_model.py").write_text(program)
        monkeypatch.setattr("follower.serve.triton.layout._PROGRAM", tmp_path / "onnx_model.py")

    return put


def unsupported(path: Path) -> Path:
    """A model of well-formed nodes, one of which no runtime knows."""
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Entangle", ["a"], ["y"])]
    graph = helper.make_graph(nodes, "graph", [value("x", ["N", 4])], [value("y", ["N", 4])])
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def test_a_file_that_is_no_model_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """Its structure says so."""
    (tmp_path / "m.onnx").write_bytes(b"garbage")
    with pytest.raises(AttemptFailed) as caught:
        PLATFORM.start(serve_request(tmp_path / "m.onnx", tmp_path / "run", SERVICE))
    assert caught.value.cause is Cause.MODEL_LOAD_FAILED
    assert "not a complete ONNX file" in caught.value.detail


def test_a_model_that_cannot_be_batched_as_asked_is_refused(tmp_path: Path) -> None:
    """Rather than be measured without the batching that the job names."""
    model = served_models.identity(tmp_path / "m.onnx", (1, 4))
    spec = ServiceSpec(platform="triton", batching=BatchingSpec(max_batch_size=8))
    with pytest.raises(AttemptFailed) as caught:
        PLATFORM.start(serve_request(model, tmp_path / "run", spec))
    assert caught.value.cause is Cause.MODEL_LOAD_FAILED
    assert "export it with a free batch dimension" in caught.value.detail


def test_an_operator_that_the_runtime_does_not_have_fails_to_load_by_name(tmp_path: Path) -> None:
    """With the runtime's own words and the log's tail."""
    failure = failure_with(unsupported(tmp_path / "m.onnx"))
    assert failure.cause is Cause.MODEL_LOAD_FAILED
    assert "Entangle" in failure.detail
    assert "failed to load" in failure.log_tail


def test_a_configuration_that_never_loads_fails_with_what_is_wrong_in_it(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Triton says it."""
    config = 'name: "tiny"\nbackend: "python"\ninput [ { name: "x" data_type: TYPE_FP31 dims: [ -1, 4 ] } ]\n'
    monkeypatch.setattr("follower.serve.triton.platform.model_config", lambda *_, **__: config)
    failure = failure_with(model)
    assert failure.cause is Cause.MODEL_LOAD_FAILED
    assert "TYPE_FP31" in failure.log_tail


def test_a_model_that_cannot_execute_zeros_fails_with_its_own_words(tmp_path: Path) -> None:
    """Loaded, but of no use with these shapes."""
    failure = failure_with(served_models.reshaped_to(tmp_path / "m.onnx", 7))
    assert failure.cause is Cause.MODEL_LOAD_FAILED
    assert "first inference" in failure.detail
    assert "Reshape" in failure.detail


def test_a_server_that_dies_while_it_loads_is_reported_as_dead(model: Path, tmp_path: Path) -> None:
    """Not as slow."""
    with started(PLATFORM, serve_request(model, tmp_path / "run", SERVICE)) as service:
        os.kill(service.pids()[0], signal.SIGKILL)
        failure = failure_of(service)
    assert failure.cause is Cause.SERVER_DIED
    assert "SIGKILL" in failure.detail


def test_a_model_process_that_dies_while_it_loads_is_reported_as_dead(
    model: Path, run_by: Callable[[str], None]
) -> None:
    """The server lives on; the model does not."""
    run_by("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    failure = failure_with(model)
    assert failure.cause is Cause.SERVER_DIED
    assert "stub process" in failure.detail.lower()


def test_a_model_that_does_not_fit_into_memory_is_reported_as_such(model: Path, run_by: Callable[[str], None]) -> None:
    """The server lives on here, too."""
    run_by("too_much = bytearray(1 << 60)\n")
    assert failure_with(model).cause is Cause.SERVER_OUT_OF_MEMORY


def test_a_model_process_that_dies_later_ends_the_service(model: Path, tmp_path: Path) -> None:
    """Triton would start another one; what is measured then is not one service any more."""
    with ready(PLATFORM, serve_request(model, tmp_path / "run", SERVICE)) as service:
        service.check()
        os.kill(service.pids()[1], signal.SIGKILL)
        assert eventually(lambda: _fails(service))
        with pytest.raises(AttemptFailed, match="a process of the model ended") as caught:
            service.check()
        assert caught.value.cause is Cause.SERVER_DIED


def _fails(service: Service) -> bool:
    try:
        service.check()
    except AttemptFailed:
        return True
    return False


def test_a_port_that_somebody_else_has_is_answered_by_a_start_with_others(
    model: Path, taken: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the choice and the use of a port anything can happen."""
    offered = iter([(taken, *free_ports(1)), (*free_ports(1), taken)])
    monkeypatch.setattr(
        "follower.serve.triton.place.free_ports", lambda count: next(offered, None) or free_ports(count)
    )
    with ready(PLATFORM, serve_request(model, tmp_path / "run", SERVICE)) as service:
        assert service.endpoint.port != taken
        x = np.ones((1, 4), np.float32)
        np.testing.assert_array_equal(ask(service.endpoint, x=x)["y"], x)


def test_ports_that_are_always_taken_are_said_to_be_in_use(
    model: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a few starts."""
    monkeypatch.setattr("follower.serve.triton.place.free_ports", lambda _: (taken, 1))
    failure = failure_with(model)
    assert failure.cause is Cause.SERVER_DIED
    assert f"127.0.0.1:{taken}" in failure.detail


def test_a_request_that_the_model_cannot_take_fails_alone(tmp_path: Path) -> None:
    """Beside others of its batch that are fine."""
    model = served_models.table_lookup(tmp_path / "m.onnx", rows=4)
    spec = ServiceSpec(platform="triton", batching=BatchingSpec(max_batch_size=8, max_delay_ms=200))
    with ready(PLATFORM, serve_request(model, tmp_path / "run", spec)) as service:
        name = service.metadata().inputs[0].name
        with pytest.raises(RefusedToAnswer):
            ask(service.endpoint, **{name: np.array([[9]], np.int64)})
        np.testing.assert_array_equal(ask(service.endpoint, **{name: np.array([[3]], np.int64)})["y"], [[30.0]])


def test_the_model_s_process_does_not_survive_the_server(model: Path, tmp_path: Path) -> None:
    """However the server ends."""
    with ready(PLATFORM, serve_request(model, tmp_path / "run", SERVICE)) as service:
        server, *processes = service.pids()
        psutil.Process(server).kill()
        assert eventually(lambda: _fails(service))
        assert eventually(lambda: alive(processes) == [])
