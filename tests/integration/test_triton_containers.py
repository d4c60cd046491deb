"""Triton from an image: the real server, from the wheel, in a container of a real engine."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import served_models
from support.asking import ask
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.container_engine import contained, require_image
from support.containers import containers_in, made_on
from support.scripted_agent import wait_until_gone
from support.serving import READY_NS, alive, eventually, ready, serve_request, started

from follower.agent.reap import carriers_of
from follower.collect.cgroup import GroupCollector, server_collector
from follower.serve.containers.images import DEFAULT_IMAGES
from follower.serve.containers.leftovers import remove_below
from follower.serve.triton.place import NATIVE_BACK_END, PRELOAD
from follower.serve.triton.platform import TritonPlatform
from shared.errors import AttemptFailed, NotAvailable
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import ServiceSpec
from shared.measure.recompute import derive_again
from shared.measure.samples_file import read_samples

pytestmark = [contained, pytest.mark.usefixtures("_image")]

IMAGE = DEFAULT_IMAGES["triton"]
PLATFORM = TritonPlatform()
SERVICE = ServiceSpec(platform="triton", launch="docker")
CLOSED = {"pattern": "closed", "concurrency": 8, "warmup": "500ms", "duration": "2s"}


@pytest.fixture
def _image(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """The stand-in's image; whatever a test does to a container of it, none is left."""
    request.getfixturevalue("container_engine")
    require_image("triton")
    yield
    assert containers_in(tmp_path) == []


def failure_of(tmp_path: Path, model: Path, **more: object) -> AttemptFailed:
    """How a start fails that has begun."""
    with started(PLATFORM, serve_request(model, tmp_path / "run", SERVICE, **more)) as service:
        with pytest.raises(AttemptFailed) as caught:
            service.wait_ready(READY_NS)
        return caught.value


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_batching_run_in_a_container_has_every_requests_stages(tmp_path: Path, protocol: str) -> None:
    """As of the process: traced, joined by number, counted, batched; and the record says what it ran in."""
    service = {"platform": "triton", "launch": "docker", "protocol": protocol}
    batching = {"max_batch_size": 8, "max_delay_ms": 20}
    spec = run_spec(workload=CLOSED, service={**service, "batching": batching})
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        record = attempt.succeed().record
        assert derive_again(read_samples(attempt.directory.samples), record) == []
    assert record.errors == {}
    assert (record.batch_size_mean or 0) > 1.5
    latency = record.response_latency
    assert {record.stages[stage].n for stage in ("queue", "inference", "transmission")} == {latency.n}
    told = sum(stage.mean_ms or 0.0 for name, stage in record.stages.items() if name != "unattributed")
    assert 0.98 <= told / (latency.mean_ms or 0) <= 1.02
    in_force = record.environment["in_force"]["service"]
    assert in_force["back_end"].startswith("python+onnxruntime ")
    assert (in_force["launch"]["launcher"], in_force["launch"]["image"]) == ("docker", IMAGE)
    assert in_force["launch"]["capabilities"] == []


def test_samples_are_counted_where_triton_counts_requests(tmp_path: Path) -> None:
    """By the model program, in the one folder that it can write to."""
    model = served_models.affine(tmp_path / "m.onnx")
    with ready(PLATFORM, serve_request(model, tmp_path / "run", SERVICE)) as service:
        before = service.statistics()
        ask(service.endpoint, x=np.ones((5, 4), np.float32))
        after = service.statistics()
        assert service.facts()["counts"] == "samples"
    assert before is not None
    assert after is not None
    assert after.inferences - before.inferences == 5


def test_its_work_is_counted_by_the_containers_group(tmp_path: Path) -> None:
    """Server and model process together."""
    model = served_models.affine(tmp_path / "m.onnx")
    with ready(PLATFORM, serve_request(model, tmp_path / "run", SERVICE)) as service:
        assert isinstance(server_collector(service.pids()), GroupCollector)


def test_a_model_process_that_dies_later_ends_the_service(tmp_path: Path) -> None:
    """Triton would start another one; and nothing of the container is left."""
    model = served_models.affine(tmp_path / "m.onnx")
    with ready(PLATFORM, serve_request(model, tmp_path / "run", SERVICE)) as service:
        pids = service.pids()
        stub = next(pid for pid in pids if b"triton_python_backend_stub" in Path(f"/proc/{pid}/cmdline").read_bytes())
        service.check()
        os.kill(stub, signal.SIGKILL)
        assert eventually(lambda: stub not in service.pids())
        with pytest.raises(AttemptFailed) as caught:
            service.check()
        assert caught.value.cause is Cause.SERVER_DIED
    assert alive(pids) == []


def test_a_killed_attempt_leaves_no_process_in_its_container(tmp_path: Path) -> None:
    """As the agent ends a cancelled one: server and model process are known by their home, the rest is removed."""
    service = {"platform": "triton", "launch": "docker"}
    spec = run_spec(service=service, workload={**CLOSED, "duration": "60s"})
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        attempt.wait_for("ready")
        pids = carriers_of(attempt.directory.server)
        assert len(pids) > 2
        attempt.process.kill()
        wait_until_gone(pids)
        assert remove_below(attempt.directory.root) == 1


def test_a_model_that_does_not_fit_into_the_containers_memory_is_reported_as_such(tmp_path: Path) -> None:
    """80 MB of weights in 64 MiB: the limit is the container's, whichever of its processes the kernel chooses."""
    model = served_models.table_lookup(tmp_path / "m.onnx", rows=20_000_000)
    failure = failure_of(tmp_path, model, memory_bytes=64 << 20)
    assert failure.cause is Cause.SERVER_OUT_OF_MEMORY


def test_an_image_that_is_none_of_tritons_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """It was looked into, and says what it lacks."""
    request = serve_request(
        served_models.affine(tmp_path / "m.onnx"), tmp_path / "run", SERVICE, image=DEFAULT_IMAGES["onnxruntime"]
    )
    with pytest.raises(NotAvailable, match=r"none of Triton's.*libtriton_onnxruntime"):
        PLATFORM.start(request)


def test_an_image_that_has_the_native_back_end_is_told_to_use_it(tmp_path: Path) -> None:
    """Here it is an empty file, so the load ends with Triton's words about just that file."""
    recipe = f"USER root\nRUN mkdir -p {NATIVE_BACK_END.parent} && : > {NATIVE_BACK_END} && rm {PRELOAD}\n"
    with made_on(IMAGE, recipe) as image:
        failure = failure_of(tmp_path, served_models.affine(tmp_path / "m.onnx"), image=image)
    assert failure.cause is Cause.MODEL_LOAD_FAILED
    assert str(NATIVE_BACK_END) in failure.detail
    config = (tmp_path / "run/repository/tiny/config.pbtxt").read_text()
    assert 'backend: "onnxruntime"\n' in config
