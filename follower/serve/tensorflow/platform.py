"""Platform ``tfserving``: TensorFlow Serving itself. Where it is not to be had, ``compat`` stands in.

Both get the same command line and files and speak the same protocol. Their results are told apart by the platform's
name, which stands in every record.
"""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from follower.serve.announced import require_announced
from follower.serve.launch.protocol import Launched, LaunchRequest
from follower.serve.launchers import find_launcher
from follower.serve.ports import HOST, free_ports
from follower.serve.protocol import ServeRequest
from follower.serve.readiness import Progress
from follower.serve.tensorflow.arrival import Watched
from follower.serve.tensorflow.compat import LOG_FILE, QUIET
from follower.serve.tensorflow.layout import lay_out
from follower.serve.tensorflow.rest_client import RestClient
from follower.serve.tensorflow.service import Software, TensorFlowService
from shared.errors import NotAvailable
from shared.wire.identity import PlatformOffer

PROGRAM: Final = "tensorflow_model_server"

_LAUNCH: Final = ("process",)
_PROTOCOL: Final = ("http", "grpc")
_DEVICE: Final = ("cpu",)
_ANNOUNCED: Final = {"launch": _LAUNCH, "protocol": _PROTOCOL, "device": _DEVICE}
_VERSION_TIMEOUT_S: Final = 20.0


@dataclass
class TfServingPlatform:
    """TensorFlow Serving's ``tensorflow_model_server``, where it is on PATH. ``path``: where to look instead."""

    path: str | None = None
    _version: tuple[str, str] | None = None  # program, version: asked for once

    name = "tfserving"

    def offer(self) -> PlatformOffer | None:
        """None where the program is not on PATH, or does not tell its version."""
        program = shutil.which(PROGRAM, path=self.path)
        return _offer(self.name, None if program is None else self._version_of(program))

    def start(self, request: ServeRequest) -> TensorFlowService:
        program = shutil.which(PROGRAM, path=self.path)
        version = None if program is None else self._version_of(program)
        if program is None or version is None:
            raise NotAvailable(f"{self.name} needs {PROGRAM} on PATH; where it is not to be had, tfs-compat stands in")
        require_announced(self.name, request, _ANNOUNCED)
        started_ns = time.monotonic_ns()
        grpc_port, rest_port = free_ports(2)
        options = lay_out(request, request.workdir.resolve(), ports=(grpc_port, rest_port))
        launched = _launch(request, [program, *options.to_argv()], QUIET)
        progress = Progress(started_ns=started_ns, spawned_ns=time.monotonic_ns())
        client = RestClient(host=HOST, port=rest_port, model=request.model_name)
        arrival = Watched(client, grpc_port)
        return TensorFlowService(request, launched, arrival, progress, Software(self.name, version))

    def _version_of(self, program: str) -> str | None:
        """The last word of ``--version``'s first line: "TensorFlow ModelServer: 2.16.1-rc0+..."."""
        if self._version is None or self._version[0] != program:
            try:
                told = subprocess.run(
                    [program, "--version"], capture_output=True, text=True, check=True, timeout=_VERSION_TIMEOUT_S
                ).stdout.split("\n")[0]
            except (OSError, subprocess.SubprocessError):
                return None
            self._version = (program, told.split()[-1] if told.split() else "unknown")
        return self._version[1]


def _offer(name: str, version: str | None) -> PlatformOffer | None:
    if version is None:
        return None
    return PlatformOffer(platform=name, version=version, launch=_LAUNCH, protocol=_PROTOCOL, device=_DEVICE)


def _launch(request: ServeRequest, argv: list[str], environment: dict[str, str]) -> Launched:
    workdir: Path = request.workdir.resolve()
    return find_launcher(request.service.launch).start(
        LaunchRequest(
            argv=argv,
            cores=request.server_cores,
            threads=request.service.threads,
            workdir=workdir,
            log_path=workdir / LOG_FILE,
            memory_bytes=request.memory_bytes,
            environment=environment,
        )
    )
