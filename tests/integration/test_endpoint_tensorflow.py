"""Platform ``endpoint`` against TensorFlow Serving's two interfaces, as its stand-in speaks them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.asking import ask
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process
from support.engines import require_engine
from support.saved_models import saved_model
from support.serving import MODEL, READY_NS, is_open, ready, serve_request

from follower.serve.endpoint.platform import EndpointPlatform
from follower.serve.platforms import PLATFORMS
from follower.serve.protocol import Endpoint, Service
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.jobs.spec import ServiceSpec

LOCAL = ("127.0.0.0/8",)
PROTOCOLS = ("http", "grpc")


@pytest.fixture(scope="module", params=PROTOCOLS)
def theirs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """Somebody else serves y = 2x + 1 and z = row sums of x, over one interface after the other."""
    require_engine("tensorflow")
    folder = tmp_path_factory.mktemp("theirs")
    service = ServiceSpec(platform="tfs-compat", protocol=request.param)
    with ready(PLATFORMS["tfs-compat"], serve_request(saved_model("affine", folder), folder / "run", service)) as found:
        yield found.endpoint


def section(theirs: Endpoint) -> dict[str, Any]:
    """``service`` of a job file."""
    return {
        "platform": "endpoint",
        "url": f"http://{theirs.host}:{theirs.port}",
        "protocol": "grpc" if theirs.dialect == "tensorflow-grpc" else "http",
        "endpoint": {"api": "tensorflow"},
    }


def found(theirs: Endpoint, workdir: Path, **more: Any) -> Service:
    """The platform under test."""
    service = ServiceSpec.model_validate(section(theirs))
    return EndpointPlatform().start(serve_request(workdir, workdir, service, allowed_endpoints=LOCAL, **more))


def test_the_signature_is_read_over_the_interface_that_is_loaded(theirs: Endpoint, tmp_path: Path) -> None:
    """The url names one port, and no other one is asked."""
    service = found(theirs, tmp_path)
    cold = service.wait_ready(READY_NS)
    model = service.metadata()
    assert [(tensor.name, tensor.datatype, tensor.shape) for tensor in model.inputs] == [("x", "FP32", (-1, 4))]
    assert {tensor.name for tensor in model.outputs} == {"y", "z"}
    assert service.endpoint.dialect == theirs.dialect
    x = np.array([[1, 2, 3, 4]], np.float32)
    assert ask(service.endpoint, x=x)["y"].tolist() == (2 * x + 1).tolist()
    assert (cold.first_inference_ms or 0) > 0
    service.stop()
    assert is_open(theirs)


def test_a_model_that_the_server_does_not_have_is_told_in_its_words(theirs: Endpoint, tmp_path: Path) -> None:
    """REST says so for good; a gRPC status may be a server that is still loading, and is asked again."""
    with pytest.raises(AttemptFailed, match="elsewhere") as caught:
        found(theirs, tmp_path, model_name="elsewhere").wait_ready(400_000_000)
    is_rest = theirs.dialect == "tensorflow-rest"
    assert caught.value.cause is (Cause.MODEL_LOAD_FAILED if is_rest else Cause.SERVER_NOT_READY)


def test_a_run_against_it_is_a_record(theirs: Endpoint, tmp_path: Path) -> None:
    """Of synthetic tensors in the signature's shape."""
    spec = run_spec(model={"name": MODEL}, service=section(theirs))
    with attempt_process(tmp_path, assignment(spec=spec), endpoint_hosts=LOCAL) as attempt:
        record = attempt.succeed().record
    assert record.errors == {}
    assert record.stages["inference"].n > 0
    assert is_open(theirs)
