"""Where Triton lies, what executes the model there, and how it is started: as a process or from an image."""

from pathlib import Path

import pytest
from support.serving import MODEL, serve_request

from follower.serve.launch.protocol import LaunchRequest
from follower.serve.ports import HOST
from follower.serve.triton.command import launch_request
from follower.serve.triton.layout import Layout, lay_out
from follower.serve.triton.place import (
    NATIVE_BACK_END,
    PRELOAD,
    PYTHON_BACK_END,
    Place,
    Ports,
    in_image,
    on_this_machine,
)
from follower.serve.triton.platform import TritonPlatform
from shared.errors import NotAvailable
from shared.jobs.spec import ServiceSpec

LAYOUT = Layout(workdir=Path("/run/server"), model_name=MODEL, shm_prefix="ours-")
STAND_IN = in_image("image:1", {PYTHON_BACK_END, PRELOAD})
CONTAINED = ServiceSpec(platform="triton", launch="docker")


def requested(place: Place, *, request_stages: bool = True) -> LaunchRequest:
    """What the launcher gets for a model at /models/m.onnx."""
    request = serve_request(
        Path("/models/m.onnx"), LAYOUT.workdir, CONTAINED, request_stages=request_stages, labels={"run": "r-1"}
    )
    return launch_request(request, LAYOUT, place, Ports(http=8000, grpc=8001), "id-1")


def test_an_image_with_the_native_back_end_is_used_with_it() -> None:
    """Also where it has the other one, as the vendor's image does."""
    assert in_image("image:1", {NATIVE_BACK_END, PYTHON_BACK_END}).back_end == "onnxruntime"
    assert in_image("image:1", {NATIVE_BACK_END}).back_end == "onnxruntime"
    assert in_image("image:1", {PYTHON_BACK_END}).back_end == "python"


def test_an_image_that_can_execute_no_onnx_model_is_refused_by_name() -> None:
    """With what was looked for, and where another one is named."""
    with pytest.raises(NotAvailable, match=r"'image:1' is none of Triton's.*libtriton_onnxruntime.*INFERBENCH_IMAGES"):
        in_image("image:1", {PRELOAD})


def test_a_container_reads_its_repository_and_model_and_writes_its_scratch() -> None:
    """The log is out of its reach; the trace is where it can write, under the same path inside and outside."""
    request = requested(STAND_IN)
    assert request.workdir == Path("/run/server/scratch")
    assert request.reads == (Path("/run/server/repository"), Path("/models/m.onnx"))
    assert request.log_path == Path("/run/server/server.log")
    assert "--trace-config=triton,file=/run/server/scratch/trace.json" in request.argv
    assert (request.image, request.labels) == ("image:1", {"run": "r-1"})


def test_a_container_listens_at_fixed_ports_on_all_its_addresses() -> None:
    """Nobody else is in its network, and this host alone reaches it."""
    argv = requested(STAND_IN).argv
    assert argv[0] == "/opt/tritonserver/bin/tritonserver"
    assert STAND_IN.ports() == STAND_IN.ports() == Ports(http=8000, grpc=8001)
    listening = {"--http-address=0.0.0.0", "--http-port=8000", "--grpc-address=0.0.0.0", "--grpc-port=8001"}
    assert {*argv} >= {*listening, "--backend-directory=/opt/tritonserver/backends"}


def test_what_makes_tracing_safe_is_loaded_where_the_image_has_it_and_requests_are_traced() -> None:
    """It is of no use without the trace, and another image may not need it."""
    assert requested(STAND_IN).environment == {"LD_PRELOAD": "/opt/tritonserver/lib/late_free.so"}
    assert requested(STAND_IN, request_stages=False).environment == {}
    assert requested(in_image("image:1", {NATIVE_BACK_END})).environment == {}


def test_a_process_listens_on_loopback_at_ports_that_nobody_has() -> None:
    """Two starts do not get the same ones while the first holds them."""
    place = on_this_machine(LAYOUT, Path("/engines/triton"))
    assert place.listen_host == HOST
    assert place.image is None
    assert place.ports().http != place.ports().grpc
    request = requested(place)
    assert request.argv[0] == "/engines/triton/pytriton/tritonserver/bin/tritonserver"
    assert f"--backend-directory={LAYOUT.workdir}/backends" in request.argv
    assert request.environment["LD_LIBRARY_PATH"].startswith("/engines/triton/nvidia_pytriton.libs:")


@pytest.mark.parametrize(("back_end", "name"), [("python", "model.py"), ("onnxruntime", "model.onnx")])
def test_each_back_end_finds_its_own_kind_of_model(tmp_path: Path, back_end: str, name: str) -> None:
    """A program that opens the file, or the file itself; what an earlier start left is gone."""
    model = tmp_path / "m.onnx"
    model.write_bytes(b"weights")
    layout = Layout(workdir=tmp_path / "run", model_name=MODEL, shm_prefix="x")
    for _ in range(2):
        lay_out(layout, "config", "python" if back_end == "python" else "onnxruntime", model)
    version = layout.repository / MODEL / "1"
    assert [path.name for path in version.iterdir()] == [name]
    assert (version.parent / "config.pbtxt").read_text() == "config"
    assert list(layout.scratch.iterdir()) == []
    assert (version / name).resolve() == model or back_end == "python"


def test_without_the_wheel_a_container_is_still_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether there is an image is asked elsewhere; a process is refused with how to get it."""
    monkeypatch.setattr("follower.serve.triton.platform.installed_version", lambda _: None)
    monkeypatch.setattr("follower.serve.triton.platform.available", tuple)
    offer = TritonPlatform().offer()
    assert offer is not None
    assert (offer.version, offer.launch) == ("container", ("docker",))
    monkeypatch.setattr("follower.serve.triton.platform.available", lambda _: ())
    assert TritonPlatform().offer() is None
    with pytest.raises(NotAvailable, match="inferbench platforms install triton"):
        TritonPlatform().start(serve_request(Path("m.onnx"), Path("run"), ServiceSpec(platform="triton")))
