"""Platforms ``tfserving`` and ``tfs-compat``: TensorFlow Serving itself, and what stands in where it is not to be had.

Both get the same command line and files and speak the same protocol. Their results are told apart by the platform's
name, which stands in every record.
"""

import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from follower.engines.folder import environment_of, installed_version
from follower.serve.announced import require_announced
from follower.serve.launch.protocol import Launched, LaunchRequest
from follower.serve.launchers import find_launcher
from follower.serve.ports import HOST, free_ports
from follower.serve.protocol import ServeRequest
from follower.serve.readiness import Progress
from follower.serve.status import STATUS_FILE
from follower.serve.tensorflow.arrival import Reported, Watched
from follower.serve.tensorflow.layout import lay_out
from follower.serve.tensorflow.rest_client import RestClient
from follower.serve.tensorflow.service import Software, TensorFlowService
from shared.errors import NotAvailable
from shared.wire.identity import PlatformOffer

PROGRAM: Final = "tensorflow_model_server"
SERVER_MODULE: Final = "follower.serve.tensorflow.server"
ENGINE: Final = "tensorflow"
LOG_FILE: Final = "server.log"

_LAUNCH: Final = ("process",)
_PROTOCOL: Final = ("http", "grpc")
_DEVICE: Final = ("cpu",)
_ANNOUNCED: Final = {"launch": _LAUNCH, "protocol": _PROTOCOL, "device": _DEVICE}
_VERSION_TIMEOUT_S: Final = 20.0

_QUIET: Final = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}


class TfsCompatPlatform:
    """The stand-in: TensorFlow, the serving API's stubs, and TensorFlow's own batch scheduler, in a server of ours."""

    name = "tfs-compat"

    def offer(self) -> PlatformOffer | None:
        """Reads the engine's version without importing TensorFlow."""
        return _offer(self.name, installed_version(ENGINE))

    def start(self, request: ServeRequest) -> TensorFlowService:
        version = installed_version(ENGINE)
        if version is None:
            raise NotAvailable(
                f"{self.name} needs engine {ENGINE}; `inferbench platforms install {ENGINE}` installs it"
            )
        require_announced(self.name, request, _ANNOUNCED)
        started_ns = time.monotonic_ns()
        options = lay_out(request, ports=(0, 0), status_file=request.workdir.resolve() / STATUS_FILE)
        # -P: the work directory holds a run's files, and nothing in it may be imported
        argv = [sys.executable, "-P", "-m", SERVER_MODULE, *options.to_argv()]
        launched = _launch(request, argv, {**environment_of(ENGINE), **_QUIET})
        progress = Progress(started_ns=started_ns, spawned_ns=time.monotonic_ns())
        arrival = Reported(request.workdir.resolve() / STATUS_FILE)
        return TensorFlowService(request, launched, arrival, progress, Software(self.name, version))


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
        options = lay_out(request, ports=(grpc_port, rest_port))
        launched = _launch(request, [program, *options.to_argv()], _QUIET)
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
