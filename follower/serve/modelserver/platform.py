"""Platforms ``onnxruntime``, ``openvino``, ``torchscript``: our own server around an engine."""

import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from follower.engines.folder import environment_of, installed_version
from follower.serve.announced import require_announced
from follower.serve.containers.images import VERSION_OF_IMAGE, image_of
from follower.serve.launch.protocol import Launcher, LaunchRequest
from follower.serve.launchers import available, find_launcher
from follower.serve.modelserver.pipelined import PIPELINE_FILE, PipelineOrder
from follower.serve.modelserver.server.options import RuntimeName, ServerOptions
from follower.serve.modelserver.service import ModelServerService
from follower.serve.protocol import ServeRequest
from follower.serve.readiness import Progress
from follower.serve.status import STATUS_FILE
from shared.errors import NotAvailable
from shared.wire.identity import PlatformOffer

LOG_FILE: Final = "server.log"
SERVER_MODULE: Final = "follower.serve.modelserver.server"

_PROCESS: Final = "process"
_CONTAINER: Final = "docker"
_LAUNCH: Final = (_PROCESS, _CONTAINER)
_SCRATCH: Final = "scratch"
_PROTOCOL: Final = ("http",)
_DEVICE: Final = ("cpu",)
_SIDES: Final = ("client", "server")


@dataclass(frozen=True)
class ModelServerPlatform:
    """Implements ``follower.serve.protocol.Platform`` for one runtime of the server.

    ``engine``: the folder of ``follower.engines`` that the runtime needs; None where it comes with the follower.
    """

    name: RuntimeName
    engine: str | None = None

    def offer(self) -> PlatformOffer | None:
        """Reads the version without importing the engine; None where that is missing, and containers are, too."""
        installed = self._installed_version()
        ways = available((_CONTAINER,) if installed is None else _LAUNCH)
        if not ways:
            return None
        return PlatformOffer(
            platform=self.name,
            version=installed or VERSION_OF_IMAGE,
            launch=ways,
            protocol=_PROTOCOL,
            device=_DEVICE,
            pipeline_sides=_SIDES,
        )

    def _installed_version(self) -> str | None:
        if self.engine is not None:
            return installed_version(self.engine)
        try:
            return version(self.name)
        except PackageNotFoundError:
            return None

    def start(self, request: ServeRequest) -> ModelServerService:
        self._check_available(request)
        launcher = find_launcher(request.service.launch)
        wanted = self._launch_request(request, launcher)
        launcher.require(wanted.image)
        started_ns = time.monotonic_ns()
        wanted.workdir.mkdir(parents=True, exist_ok=True)
        status_path = wanted.workdir / STATUS_FILE
        status_path.unlink(missing_ok=True)
        if request.pipeline is not None:
            asked = request.pipeline
            order = PipelineOrder(pipeline=asked.spec, labels=asked.labels, tokenizer=asked.tokenizer)
            order.leave(wanted.workdir / PIPELINE_FILE)
        launched = launcher.start(wanted)
        progress = Progress(started_ns=started_ns, spawned_ns=time.monotonic_ns())
        return ModelServerService(request, launched, status_path, progress)

    def _check_available(self, request: ServeRequest) -> None:
        require_announced(self.name, request, {"launch": _LAUNCH, "protocol": _PROTOCOL, "device": _DEVICE})
        if request.service.launch != _CONTAINER and self._installed_version() is None:
            needs = f"engine {self.engine}; `inferbench platforms install {self.engine}` installs it"
            raise NotAvailable(f"the {self.name} platform needs {needs}")

    def _launch_request(self, request: ServeRequest, launcher: Launcher) -> LaunchRequest:
        workdir, contained = request.workdir.resolve(), launcher.name == _CONTAINER
        place = workdir / _SCRATCH if contained else workdir  # a container must not reach its own log
        options = self._options(request, place / STATUS_FILE, launcher.listen_host)
        return LaunchRequest(
            # -P: the work directory holds a run's files, and nothing in it may be imported
            argv=["python3" if contained else sys.executable, "-P", "-m", SERVER_MODULE, *options.to_argv()],
            cores=request.server_cores,
            threads=request.service.threads,
            workdir=place,
            log_path=workdir / LOG_FILE,
            memory_bytes=request.memory_bytes,
            environment={} if self.engine is None or contained else environment_of(self.engine),  # an image has its own
            image=(request.image or image_of(self.name, {})) if contained else None,
            reads=(options.model,),
            labels=request.labels,
        )

    def _options(self, request: ServeRequest, status: Path, host: str) -> ServerOptions:
        service = request.service
        return ServerOptions(
            model=request.model_path.resolve(),
            name=request.model_name,
            status=status,
            runtime=self.name,
            host=host,
            threads=service.threads,
            instances=service.instances,
            max_batch_size=service.batching.max_batch_size,
            max_delay_ms=service.batching.max_delay_ms,
            pipeline=status.parent / PIPELINE_FILE if request.pipeline is not None else None,
        )
