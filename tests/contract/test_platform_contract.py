"""What every serving platform must do, tried on every platform, launcher and protocol that can be had here.

A platform joins by rows in ``CASES``: how to make a model for it whose answers are known without it. The first row is a
server that is written down, so that the suite is known to hold for what does its duty; test_platform_contract_itself.py
shows that it does not hold for what does not.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
from support import saved_models, served_models, torch_models
from support.asking import ask
from support.container_engine import contained, require_image
from support.engines import require_engine
from support.scripted_platform import ScriptedPlatform, script
from support.serving import READY_NS, alive, eventually, is_open, ready, serve_request, started

from follower.serve.platforms import PLATFORMS
from follower.serve.protocol import ModelMetadata, Platform, ServeRequest, Service, TensorInfo
from shared.errors import AttemptFailed
from shared.jobs.formats import PlatformName
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import ServiceSpec

pytestmark = contained


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to serve. ``make``: writes a model of y = 2x + 1 and z = row sums of x, for x of shape [batch, 4]."""

    platform: PlatformName | Literal["scripted"]
    launch: Literal["process", "docker"] = "process"
    protocol: Literal["http", "grpc"] = "http"
    make: Callable[[Path], Path]
    engine: str | None = None
    phases: int = 5  # of a cold start, that the software shows

    def __str__(self) -> str:
        return f"{self.platform}-{self.launch}-{self.protocol}"


def _onnx(folder: Path) -> Path:
    return served_models.affine(folder / "model.onnx")


def _torchscript(folder: Path) -> Path:
    return torch_models.affine(folder / "model.pt")


CASES = (
    Case(platform="scripted", make=script),
    Case(platform="onnxruntime", make=_onnx),
    Case(platform="onnxruntime", launch="docker", make=_onnx),
    Case(platform="openvino", make=_onnx, engine="openvino"),
    Case(platform="openvino", launch="docker", make=_onnx, engine="openvino"),
    Case(platform="torchscript", make=_torchscript, engine="torch"),
    Case(platform="torchscript", launch="docker", make=_torchscript, engine="torch"),
    Case(platform="triton", protocol="http", make=_onnx, engine="triton"),
    Case(platform="triton", protocol="grpc", make=_onnx, engine="triton"),
    Case(platform="triton", launch="docker", protocol="http", make=_onnx),
    Case(platform="triton", launch="docker", protocol="grpc", make=_onnx),
    Case(platform="tfs-compat", protocol="http", make=saved_models.affine, engine="tensorflow"),
    Case(platform="tfs-compat", protocol="grpc", make=saved_models.affine, engine="tensorflow"),
    Case(platform="tfs-compat", launch="docker", protocol="grpc", make=saved_models.affine, engine="tensorflow"),
)

TABLE: dict[str, Platform] = {**PLATFORMS, "scripted": ScriptedPlatform()}

STARTED_BY_OTHERS: set[str] = {"endpoint"}
"""Platforms that start nothing; they have suites of their own: test_endpoint.py."""

NOT_TO_BE_HAD: set[str] = {"tfserving"}
"""Platforms whose software is on no machine of ours; test_tensorflow_model_server.py has a program in its place."""


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    """Each way in turn."""
    found: Case = request.param
    if found.engine:
        require_engine(found.engine)
    if found.launch == "docker":
        request.getfixturevalue("container_engine")
        require_image(found.platform)
    return found


@pytest.fixture(scope="module")
def platform(case: Case) -> Platform:
    """The platform under test."""
    return TABLE[case.platform]


@pytest.fixture(scope="module")
def model(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its model."""
    return case.make(tmp_path_factory.mktemp("model"))


Serve = Callable[[str], ServeRequest]


def serving(case: Case, model: Path, folder: Path) -> Serve:
    """What to ask the platform for, working in a folder of this name inside of ``folder``."""
    asked: dict[str, str] = {"launch": case.launch, "protocol": case.protocol}
    if case.platform in PLATFORMS:
        asked["platform"] = case.platform  # job files know no other
    spec = ServiceSpec.model_validate(asked)
    return lambda name: serve_request(model, folder / name, spec)


@pytest.fixture
def serve(case: Case, model: Path, tmp_path: Path) -> Serve:
    """For a service of the test's own."""
    return serving(case, model, tmp_path)


@pytest.fixture(scope="module")
def service(case: Case, platform: Platform, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that is ready, and shared: whoever ends one starts its own."""
    with ready(platform, serving(case, model, tmp_path_factory.mktemp("shared"))("run")) as service:
        yield service


def test_no_platform_escapes_the_contract() -> None:
    """A row in the table needs a row in this suite."""
    assert TABLE.keys() == {case.platform for case in CASES} | STARTED_BY_OTHERS | NOT_TO_BE_HAD


def test_an_offer_names_the_platform_and_how_it_can_be_used(case: Case, platform: Platform) -> None:
    """This way among them."""
    offer = platform.offer()
    assert offer is not None
    assert offer.platform == platform.name
    assert offer.version
    assert case.launch in offer.launch
    assert case.protocol in offer.protocol
    assert "cpu" in offer.device


def test_a_cold_start_goes_through_its_phases_in_order(case: Case, platform: Platform, serve: Serve) -> None:
    """Each that the software shows is known, and none is before the one that it needs."""
    with started(platform, serve("run")) as service:
        cold = service.wait_ready(READY_NS)
    phases = (cold.spawned_ms, cold.port_open_ms, cold.model_loaded_ms, cold.ready_ms, cold.first_inference_ms)
    known = [phase for phase in phases if phase is not None]
    assert len(known) == case.phases
    assert known == sorted(known)
    assert known[0] > 0
    assert known[-1] < READY_NS / 1e6


def test_before_it_is_ready_a_service_has_no_address(platform: Platform, serve: Serve) -> None:
    """Asking for it says so; and a deadline of a millisecond, which nobody can keep, is reported as such."""
    with started(platform, serve("run")) as service:
        with pytest.raises(AttemptFailed) as asked:
            _ = service.endpoint
        assert asked.value.cause is Cause.SERVER_NOT_READY
        assert service.pids()
        with pytest.raises(AttemptFailed) as waited:
            service.wait_ready(1_000_000)
        assert waited.value.cause is Cause.SERVER_NOT_READY


def test_metadata_comes_from_the_running_service(service: Service) -> None:
    """Names, datatypes, and -1 for the free batch."""
    assert service.metadata() == ModelMetadata(
        name="tiny",
        inputs=(TensorInfo(name="x", datatype="FP32", shape=(-1, 4)),),
        outputs=(
            TensorInfo(name="y", datatype="FP32", shape=(-1, 4)),
            TensorInfo(name="z", datatype="FP32", shape=(-1,)),
        ),
    )


def test_answers_equal_those_of_the_model_run_in_process(service: Service, tmp_path: Path) -> None:
    """Bit for bit, and as known from the model's formula."""
    x = np.random.default_rng(0).integers(-100, 100, (5, 4)).astype(np.float32)
    reference = served_models.affine(tmp_path / "reference.onnx")
    session = onnxruntime.InferenceSession(str(reference), providers=["CPUExecutionProvider"])
    y, z = session.run(None, {"x": x})
    answer = ask(service.endpoint, x=x)
    np.testing.assert_array_equal(answer["y"], y)
    np.testing.assert_array_equal(answer["z"], z)
    np.testing.assert_array_equal(answer["y"], 2 * x + 1)


def test_concurrent_clients_each_get_their_own_answers(service: Service) -> None:
    """Nothing is mixed up or lost."""
    wrong: list[str] = []

    def client(number: int) -> None:
        for repeat in range(20):
            x = np.full((1, 4), 1000 * number + repeat, np.float32)
            answer = ask(service.endpoint, x=x)
            if not np.array_equal(answer["y"], 2 * x + 1):
                wrong.append(f"client {number}, request {repeat}: {answer}")

    with ThreadPoolExecutor(6) as clients:
        list(clients.map(client, range(6)))
    assert wrong == []


def test_a_healthy_service_passes_its_check(service: Service) -> None:
    """Also after it has been used."""
    ask(service.endpoint, x=np.zeros((1, 4), np.float32))
    service.check()


def test_a_killed_service_fails_its_check_with_the_cause(platform: Platform, serve: Serve) -> None:
    """And it keeps failing; asked for metadata, a refused connection is not the news either, the death is."""
    with ready(platform, serve("run")) as service:
        os.kill(service.pids()[0], signal.SIGKILL)
        assert eventually(lambda: service.pids() == ())
        for _ in range(2):
            with pytest.raises(AttemptFailed) as caught:
                service.check()
            assert caught.value.cause is Cause.SERVER_DIED
            assert "SIGKILL" in caught.value.detail
        with pytest.raises(AttemptFailed) as described:
            service.metadata()
        assert described.value.cause is Cause.SERVER_DIED


def test_stop_leaves_nothing_and_may_be_repeated(platform: Platform, serve: Serve, tmp_path: Path) -> None:
    """No process, no open port, no file outside of the work directory."""
    before = set(tmp_path.iterdir())
    with ready(platform, serve("run")) as service:
        pids, endpoint = service.pids(), service.endpoint
        assert is_open(endpoint)
        service.stop()
        assert alive(pids) == []
        assert service.pids() == ()
        assert not is_open(endpoint)
        service.stop()
    assert set(tmp_path.iterdir()) - before == {tmp_path / "run"}


def test_stop_before_ready_is_enough(platform: Platform, serve: Serve) -> None:
    """A cancelled start leaves nothing either."""
    service = platform.start(serve("run"))
    pids = service.pids()
    service.stop()
    assert alive(pids) == []


def test_a_service_tells_what_it_really_is(service: Service) -> None:
    """In JSON values, for the record; and its counters, where it has any, grow with what it executes."""
    assert json.loads(json.dumps(dict(service.facts()))) == dict(service.facts())
    before = service.statistics()
    ask(service.endpoint, x=np.ones((2, 4), np.float32))
    after = service.statistics()
    assert (before is None) == (after is None)
    if before and after:
        assert after.inferences - before.inferences == 2
        assert after.executions - before.executions == 1


def test_two_services_run_side_by_side(platform: Platform, service: Service, serve: Serve) -> None:
    """Each has its own port and answers."""
    with ready(platform, serve("another")) as another:
        assert another.endpoint != service.endpoint
        x = np.ones((1, 4), np.float32)
        assert ask(another.endpoint, x=x)["z"].tolist() == ask(service.endpoint, x=x)["z"].tolist() == [4]
