"""Platform ``triton``: NVIDIA Triton Inference Server, as a process of this machine or from an image."""

import secrets
import time
from functools import partial
from typing import Final

from follower.engines.folder import engine_dir, installed_version
from follower.serve.announced import require_announced
from follower.serve.containers.engine import connected
from follower.serve.containers.images import DEFAULT_IMAGES, VERSION_OF_IMAGE
from follower.serve.launch.protocol import Launcher
from follower.serve.launchers import available, find_launcher
from follower.serve.protocol import ServeRequest
from follower.serve.triton.command import launch_request
from follower.serve.triton.config import BackEnd, model_config, native_back_end, python_back_end
from follower.serve.triton.layout import (
    Layout,
    lay_out,
    lay_out_back_end,
    new_shm_prefix,
    remove_stale_shared_memory,
    stub_of,
)
from follower.serve.triton.place import LOOKED_FOR, Place, in_image, on_this_machine
from follower.serve.triton.server import Server
from follower.serve.triton.service import TritonService
from model_repo.onnx_check import check_onnx
from shared.errors import AttemptFailed, InvalidModel, NotAvailable
from shared.jobs.lifecycle import Cause
from shared.wire.identity import PlatformOffer

ENGINE: Final = "triton"

_PROCESS: Final = "process"
_CONTAINER: Final = "docker"
_PROTOCOL: Final = ("http", "grpc")
_DEVICE: Final = ("cpu",)
_ANNOUNCED: Final = {"launch": (_PROCESS, _CONTAINER), "protocol": _PROTOCOL, "device": _DEVICE}


class TritonPlatform:
    """Implements ``follower.serve.protocol.Platform``."""

    name = "triton"

    def offer(self) -> PlatformOffer | None:
        """None where the engine is not installed for this version of Python, and no container can be started."""
        installed = self._installed_version()
        ways = available((_CONTAINER,) if installed is None else (_PROCESS, _CONTAINER))
        if not ways:
            return None
        version = installed or VERSION_OF_IMAGE
        return PlatformOffer(platform=self.name, version=version, launch=ways, protocol=_PROTOCOL, device=_DEVICE)

    def start(self, request: ServeRequest) -> TritonService:
        """Starts the server without its model; ``wait_ready`` has it loaded, so that both phases show.

        Raises:
            NotAvailable: the request asks for what ``offer`` does not announce, or its image is none of Triton's.
            AttemptFailed: MODEL_LOAD_FAILED where the file is not ONNX, or cannot be configured as asked.
        """
        require_announced(self.name, request, _ANNOUNCED)
        launcher = find_launcher(request.service.launch)
        layout = Layout(workdir=request.workdir.resolve(), model_name=request.model_name, shm_prefix=new_shm_prefix())
        place = self._place(request, layout, launcher)
        started_ns = time.monotonic_ns()
        layout.workdir.mkdir(parents=True, exist_ok=True)
        remove_stale_shared_memory()
        lay_out(layout, _config(request, layout, place), place.back_end, request.model_path.resolve())
        if place.image is None:
            lay_out_back_end(layout, engine_dir(ENGINE))
        return TritonService(
            request, layout, place.back_end, partial(_launch, launcher, request, layout, place), started_ns
        )

    def _installed_version(self) -> str | None:
        return installed_version(ENGINE) if stub_of(engine_dir(ENGINE)).exists() else None

    def _place(self, request: ServeRequest, layout: Layout, launcher: Launcher) -> Place:
        """Where the server lies; looked at before the start is timed."""
        if launcher.name == _CONTAINER:
            image = request.image or DEFAULT_IMAGES[self.name]
            launcher.require(image)
            with connected() as engine:
                return in_image(image, engine.holds(engine.image(image), LOOKED_FOR, request.labels))
        if self._installed_version() is None:
            raise NotAvailable(f"Triton is not installed here: inferbench platforms install {ENGINE}")
        return on_this_machine(layout, engine_dir(ENGINE))


def _launch(launcher: Launcher, request: ServeRequest, layout: Layout, place: Place) -> Server:
    ports = place.ports()
    server_id = f"inferbench-{secrets.token_hex(8)}"
    return Server(launcher.start(launch_request(request, layout, place, ports, server_id)), ports, server_id)


def _config(request: ServeRequest, layout: Layout, place: Place) -> str:
    model = request.model_path.resolve()
    try:
        with model.open("rb") as file:
            facts = check_onnx(file)
    except InvalidModel as error:
        raise AttemptFailed(Cause.MODEL_LOAD_FAILED, error.detail) from error
    return model_config(request.model_name, facts, request.service, _back_end(request, layout, place))


def _back_end(request: ServeRequest, layout: Layout, place: Place) -> BackEnd:
    if place.back_end == "onnxruntime":
        return native_back_end(request.service)
    model = request.model_path.resolve()
    return python_back_end(model, layout.scratch, request.service, cores=len(request.server_cores))
