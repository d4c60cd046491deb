"""Platform ``triton``: NVIDIA Triton Inference Server, with ONNX Runtime inside its Python back end."""

import secrets
import time
from functools import partial
from pathlib import Path
from typing import Final

from follower.engines.folder import engine_dir, installed_version
from follower.serve.announced import require_announced
from follower.serve.launchers import find_launcher
from follower.serve.ports import free_ports
from follower.serve.protocol import ServeRequest
from follower.serve.triton.command import Ports, launch_request
from follower.serve.triton.config import model_config
from follower.serve.triton.layout import Layout, lay_out, new_shm_prefix, remove_stale_shared_memory, stub_of
from follower.serve.triton.server import Server
from follower.serve.triton.service import TritonService
from model_repo.onnx_check import check_onnx
from shared.errors import AttemptFailed, InvalidModel, NotAvailable
from shared.jobs.lifecycle import Cause
from shared.wire.identity import PlatformOffer

ENGINE: Final = "triton"

_LAUNCH: Final = ("process",)
_PROTOCOL: Final = ("http", "grpc")
_DEVICE: Final = ("cpu",)


class TritonPlatform:
    """Implements ``follower.serve.protocol.Platform``."""

    name = "triton"

    def offer(self) -> PlatformOffer | None:
        """None where the engine is not installed, or has no back end for this version of Python."""
        version = installed_version(ENGINE)
        if version is None or not stub_of(engine_dir(ENGINE)).exists():
            return None
        return PlatformOffer(platform=self.name, version=version, launch=_LAUNCH, protocol=_PROTOCOL, device=_DEVICE)

    def start(self, request: ServeRequest) -> TritonService:
        """Starts the server without its model; ``wait_ready`` has it loaded, so that both phases show.

        Raises:
            NotAvailable: the request asks for what ``offer`` does not announce.
            AttemptFailed: MODEL_LOAD_FAILED where the file is not ONNX, or cannot be configured as asked.
        """
        self._check_available(request)
        started_ns = time.monotonic_ns()
        engine = engine_dir(ENGINE)
        request.workdir.mkdir(parents=True, exist_ok=True)
        layout = Layout(
            workdir=request.workdir.resolve(),
            model_name=request.model_name,
            shm_prefix=new_shm_prefix(),
        )
        remove_stale_shared_memory()
        lay_out(layout, engine, _config(request))
        return TritonService(request, layout, partial(_launch, request, layout, engine), started_ns)

    def _check_available(self, request: ServeRequest) -> None:
        if self.offer() is None:
            raise NotAvailable(f"Triton is not installed here: inferbench platforms install {ENGINE}")
        announced = {"launch": _LAUNCH, "protocol": _PROTOCOL, "device": _DEVICE}
        require_announced(self.name, request, announced)


def _launch(request: ServeRequest, layout: Layout, engine: Path) -> Server:
    http, grpc = free_ports(2)
    ports = Ports(http=http, grpc=grpc)
    server_id = f"inferbench-{secrets.token_hex(8)}"
    wanted = launch_request(request, layout, engine, ports, server_id)
    return Server(find_launcher(request.service.launch).start(wanted), ports, server_id)


def _config(request: ServeRequest) -> str:
    model = request.model_path.resolve()
    try:
        with model.open("rb") as file:
            facts = check_onnx(file)
    except InvalidModel as error:
        raise AttemptFailed(Cause.MODEL_LOAD_FAILED, error.detail) from error
    return model_config(request.model_name, model, facts, request.service, cores=len(request.server_cores))
