"""Platform ``tfserving`` from an image, with one that imitates the real one: how the engine is asked to run it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.asking import ask
from support.container_engine import contained, require_image
from support.containers import containers_in
from support.engines import require_engine
from support.model_server_program import VERSION, model_server_image
from support.saved_models import affine, saved_model
from support.serving import READY_NS, alive, is_open, serve_request, started

from follower.serve.containers.confinement import WORKDIR_LABEL
from follower.serve.containers.engine import SOCKET
from follower.serve.tensorflow.platform import TfServingPlatform
from shared.errors import AttemptFailed, InvalidInput, NotAvailable
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import ServiceSpec

pytestmark = contained

PLATFORM = TfServingPlatform(path="/nonexistent")  # nothing of it on this machine
BATCHING = {"max_batch_size": 4, "max_delay_ms": 1}


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> Iterator[str]:
    """The imitation, once for all tests here."""
    request.getfixturevalue("container_engine")
    require_engine("tensorflow")
    require_image("tfs-compat")
    with model_server_image() as image:
        yield image


def contained_service(protocol: str = "http", **more: object) -> ServiceSpec:
    """What the job asks for."""
    return ServiceSpec.model_validate({"platform": "tfserving", "launch": "docker", "protocol": protocol, **more})


def inspected(workdir: Path) -> dict[str, Any]:
    """What the engine says of the one container that works below here."""
    from docker import APIClient  # noqa: PLC0415 - the SDK is slow to import

    api = APIClient(base_url=f"unix://{SOCKET}", version="auto")
    try:
        (found,) = api.containers(filters={"label": f"{WORKDIR_LABEL}={workdir}"})
        document: dict[str, Any] = api.inspect_container(found["Id"])
        return document
    finally:
        api.close()


def environment_of(pid: int) -> set[str]:
    """The names of a process's environment."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return {entry.partition(b"=")[0].decode() for entry in entries if entry}


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_container_is_watched_until_it_answers(image: str, tmp_path: Path, protocol: str) -> None:
    """Over both protocols, with batching; its version is the one that the image's label names."""
    request = serve_request(
        affine(tmp_path), tmp_path / "run", contained_service(protocol, batching=BATCHING), image=image
    )
    with started(PLATFORM, request) as service:
        cold = service.wait_ready(READY_NS)
        x = np.ones((2, 4), np.float32)
        np.testing.assert_array_equal(ask(service.endpoint, x=x)["y"], 2 * x + 1)
        statistics, facts, endpoint, pids = service.statistics(), service.facts(), service.endpoint, service.pids()
    phases = [cold.spawned_ms, cold.port_open_ms, cold.model_loaded_ms, cold.ready_ms, cold.first_inference_ms]
    known = [phase for phase in phases if phase is not None]
    assert len(known) == 5
    assert known == sorted(known)
    assert statistics is not None
    assert statistics.inferences == 3
    assert (facts["engine"], facts["version"], facts["launch"]["image"]) == ("tfserving", VERSION, image)
    assert endpoint.port == (8501 if protocol == "http" else 8500)
    assert endpoint.host != "127.0.0.1"
    assert not is_open(endpoint)
    assert alive(pids) == []
    assert containers_in(tmp_path) == []


def test_the_engine_is_asked_for_the_real_programs_command_line_and_no_more_rights(image: str, tmp_path: Path) -> None:
    """Fixed ports inside, none published; setup and model can be read, the scratch alone be written."""
    run = tmp_path / "run"
    spec = contained_service(batching=BATCHING)
    with started(PLATFORM, serve_request(affine(tmp_path), run, spec, image=image, memory_bytes=2 << 30)) as service:
        found, names = inspected(run / "scratch"), environment_of(service.pids()[0])
    config, host = found["Config"], found["HostConfig"]
    assert config["Cmd"][-10:] == [
        "tensorflow_model_server",
        "--port=8500",
        "--rest_api_port=8501",
        "--model_name=tiny",
        f"--model_base_path={run}/setup/models",
        "--tensorflow_intra_op_parallelism=1",
        "--tensorflow_inter_op_parallelism=1",
        f"--batching_parameters_file={run}/setup/batching.config",
        f"--monitoring_config_file={run}/setup/monitoring.config",
        "--enable_batching=true",
    ]
    assert not config["Entrypoint"]
    model = (run / "setup/models/1").resolve()
    assert sorted(host["Binds"]) == sorted(
        [f"{run}/scratch:{run}/scratch:rw", f"{run}/setup:{run}/setup:ro", f"{model}:{model}:ro"]
    )
    assert host["PortBindings"] in (None, {})
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["Memory"]) == (True, ["ALL"], 2 << 30)
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert {"TF_CPP_MIN_LOG_LEVEL", "HOME", "OMP_NUM_THREADS"} <= names
    assert not [name for name in names if name.startswith("INFERBENCH")]


def test_a_model_that_does_not_load_ends_the_start(image: str, tmp_path: Path) -> None:
    """With the server's reason, as of the process."""
    request = serve_request(saved_model("elsewhere", tmp_path), tmp_path / "run", contained_service(), image=image)
    with started(PLATFORM, request) as service:
        with pytest.raises(AttemptFailed) as caught:
            service.wait_ready(READY_NS)
        assert caught.value.cause is Cause.MODEL_LOAD_FAILED


@pytest.mark.usefixtures("container_engine")
def test_without_an_image_the_setting_is_named(tmp_path: Path) -> None:
    """There is none of our own for this platform; and one that is named must be there."""
    with pytest.raises(InvalidInput, match="INFERBENCH_IMAGES"):
        PLATFORM.start(serve_request(tmp_path, tmp_path / "run", contained_service()))
    with pytest.raises(NotAvailable, match="'tensorflow/nothing:1' is not on this machine"):
        PLATFORM.start(serve_request(tmp_path, tmp_path / "run", contained_service(), image="tensorflow/nothing:1"))
