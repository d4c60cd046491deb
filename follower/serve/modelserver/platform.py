"""Platform ``onnxruntime``: our own server around ONNX Runtime, as a process of its own."""

import sys
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from follower.serve.launch.protocol import LaunchRequest
from follower.serve.launchers import find_launcher
from follower.serve.modelserver.readiness import Progress
from follower.serve.modelserver.server.options import ServerOptions
from follower.serve.modelserver.service import HOST, ModelServerService
from follower.serve.modelserver.status import STATUS_FILE
from follower.serve.protocol import ServeRequest
from shared.errors import NotAvailable, Problem
from shared.wire.identity import PlatformOffer

LOG_FILE: Final = "server.log"
SERVER_MODULE: Final = "follower.serve.modelserver.server"

_LAUNCH: Final = ("process",)
_PROTOCOL: Final = ("http",)
_DEVICE: Final = ("cpu",)


class OnnxRuntimePlatform:
    """Implements ``follower.serve.protocol.Platform``."""

    name = "onnxruntime"

    def offer(self) -> PlatformOffer | None:
        """Reads the installed version without importing ONNX Runtime into the follower."""
        try:
            installed = version("onnxruntime")
        except PackageNotFoundError:
            return None
        return PlatformOffer(platform=self.name, version=installed, launch=_LAUNCH, protocol=_PROTOCOL, device=_DEVICE)

    def start(self, request: ServeRequest) -> ModelServerService:
        _check_available(request)
        started_ns = time.monotonic_ns()
        request.workdir.mkdir(parents=True, exist_ok=True)
        status_path = request.workdir.resolve() / STATUS_FILE
        status_path.unlink(missing_ok=True)
        launched = find_launcher(request.service.launch).start(_launch_request(request, _options(request)))
        progress = Progress(started_ns=started_ns, spawned_ns=time.monotonic_ns())
        return ModelServerService(request, launched, status_path, progress)


def _check_available(request: ServeRequest) -> None:
    wanted = request.service
    announced = {"launch": _LAUNCH, "protocol": _PROTOCOL, "device": _DEVICE}
    problems = [
        Problem(message="not available", path=f"service.{key}", found=getattr(wanted, key), allowed=", ".join(values))
        for key, values in announced.items()
        if getattr(wanted, key) not in values
    ]
    if problems:
        raise NotAvailable("the onnxruntime platform of this follower cannot serve this", problems=problems)


def _options(request: ServeRequest) -> ServerOptions:
    service = request.service
    return ServerOptions(
        model=request.model_path.resolve(),
        name=request.model_name,
        status=request.workdir.resolve() / STATUS_FILE,
        host=HOST,
        threads=service.threads,
        instances=service.instances,
        max_batch_size=service.batching.max_batch_size,
        max_delay_ms=service.batching.max_delay_ms,
    )


def _launch_request(request: ServeRequest, options: ServerOptions) -> LaunchRequest:
    workdir = request.workdir.resolve()
    return LaunchRequest(
        # -P: the work directory holds a run's files, and nothing in it may be imported
        argv=[sys.executable, "-P", "-m", SERVER_MODULE, *options.to_argv()],
        cores=request.server_cores,
        threads=request.service.threads,
        workdir=workdir,
        log_path=workdir / LOG_FILE,
        memory_bytes=request.memory_bytes,
    )
