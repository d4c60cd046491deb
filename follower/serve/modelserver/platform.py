"""Platforms ``onnxruntime``, ``openvino``, ``torchscript``: our own server around an engine, as a process."""

import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from follower.engines.folder import environment_of, installed_version
from follower.serve.launch.protocol import LaunchRequest
from follower.serve.launchers import find_launcher
from follower.serve.modelserver.readiness import Progress
from follower.serve.modelserver.server.options import RuntimeName, ServerOptions
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


@dataclass(frozen=True)
class ModelServerPlatform:
    """Implements ``follower.serve.protocol.Platform`` for one runtime of the server.

    ``engine``: the folder of ``follower.engines`` that the runtime needs; None where it comes with the follower.
    """

    name: RuntimeName
    engine: str | None = None

    def offer(self) -> PlatformOffer | None:
        """Reads the installed version without importing the engine into the follower."""
        installed = self._installed_version()
        if installed is None:
            return None
        return PlatformOffer(platform=self.name, version=installed, launch=_LAUNCH, protocol=_PROTOCOL, device=_DEVICE)

    def _installed_version(self) -> str | None:
        if self.engine is not None:
            return installed_version(self.engine)
        try:
            return version(self.name)
        except PackageNotFoundError:
            return None

    def start(self, request: ServeRequest) -> ModelServerService:
        self._check_available(request)
        started_ns = time.monotonic_ns()
        request.workdir.mkdir(parents=True, exist_ok=True)
        status_path = request.workdir.resolve() / STATUS_FILE
        status_path.unlink(missing_ok=True)
        launched = find_launcher(request.service.launch).start(self._launch_request(request))
        progress = Progress(started_ns=started_ns, spawned_ns=time.monotonic_ns())
        return ModelServerService(request, launched, status_path, progress)

    def _check_available(self, request: ServeRequest) -> None:
        if self._installed_version() is None:
            needs = f"engine {self.engine}; `inferbench platforms install {self.engine}` installs it"
            raise NotAvailable(f"the {self.name} platform needs {needs}")
        problems = _not_announced(request)
        if problems:
            raise NotAvailable(f"the {self.name} platform of this follower cannot serve this", problems=problems)

    def _launch_request(self, request: ServeRequest) -> LaunchRequest:
        workdir = request.workdir.resolve()
        return LaunchRequest(
            # -P: the work directory holds a run's files, and nothing in it may be imported
            argv=[sys.executable, "-P", "-m", SERVER_MODULE, *self._options(request).to_argv()],
            cores=request.server_cores,
            threads=request.service.threads,
            workdir=workdir,
            log_path=workdir / LOG_FILE,
            memory_bytes=request.memory_bytes,
            environment={} if self.engine is None else environment_of(self.engine),
        )

    def _options(self, request: ServeRequest) -> ServerOptions:
        service = request.service
        return ServerOptions(
            model=request.model_path.resolve(),
            name=request.model_name,
            status=request.workdir.resolve() / STATUS_FILE,
            runtime=self.name,
            host=HOST,
            threads=service.threads,
            instances=service.instances,
            max_batch_size=service.batching.max_batch_size,
            max_delay_ms=service.batching.max_delay_ms,
        )


def _not_announced(request: ServeRequest) -> list[Problem]:
    announced = {"launch": _LAUNCH, "protocol": _PROTOCOL, "device": _DEVICE}
    return [
        Problem(
            message="not available",
            path=f"service.{key}",
            found=getattr(request.service, key),
            allowed=", ".join(values),
        )
        for key, values in announced.items()
        if getattr(request.service, key) not in values
    ]
