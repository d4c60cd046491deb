"""Platform ``tfserving``: TensorFlow Serving itself. Where it is not to be had, ``compat`` stands in.

Both get the same command line and files and speak the same protocol. Their results are told apart by the platform's
name, which stands in every record.
"""

import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import Final

from follower.serve.announced import require_announced
from follower.serve.containers.engine import connected
from follower.serve.containers.images import VERSION_OF_IMAGE, image_of
from follower.serve.launch.protocol import Launcher, LaunchRequest
from follower.serve.launchers import available, find_launcher
from follower.serve.ports import free_ports
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
VERSION_LABEL: Final = "tensorflow_serving_github_branchtag"
"""Source: the Dockerfile in tensorflow_serving/tools/docker of the project's own repository."""
PORTS_INSIDE: Final = (8500, 8501)
"""gRPC, REST: a container has a network of its own, in which nobody else can have them."""

_PROCESS: Final = "process"
_CONTAINER: Final = "docker"
_SETUP: Final = "setup"
_SCRATCH: Final = "scratch"
_PROTOCOL: Final = ("http", "grpc")
_DEVICE: Final = ("cpu",)
_ANNOUNCED: Final = {"launch": (_PROCESS, _CONTAINER), "protocol": _PROTOCOL, "device": _DEVICE}
_VERSION_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the program lies, and which one it is."""

    program: str
    version: str
    ports: tuple[int, ...]  # gRPC, REST
    image: str | None = None  # None: on this machine


@dataclass
class TfServingPlatform:
    """TensorFlow Serving's ``tensorflow_model_server``: on PATH, or in the image that the operator names.

    ``path``: where to look instead of PATH.
    """

    path: str | None = None
    _version: tuple[str, str] | None = None  # program, version: asked for once

    name = "tfserving"

    def offer(self) -> PlatformOffer | None:
        """None where no program on PATH tells its version, and no container can be started."""
        installed = self._installed()
        ways = available((_CONTAINER,) if installed is None else (_PROCESS, _CONTAINER))
        if not ways:
            return None
        version = VERSION_OF_IMAGE if installed is None else installed[1]
        return PlatformOffer(platform=self.name, version=version, launch=ways, protocol=_PROTOCOL, device=_DEVICE)

    def start(self, request: ServeRequest) -> TensorFlowService:
        """Starts the server, which finds its model, and what it is told in files, in folders that it only reads.

        Raises:
            InvalidInput: a container is asked for, and no image is named.
            NotAvailable: there is no program, or not the image.
        """
        require_announced(self.name, request, _ANNOUNCED)
        launcher = find_launcher(request.service.launch)
        place = self._place(request, launcher)
        started_ns = time.monotonic_ns()
        grpc_port, rest_port = place.ports
        workdir = request.workdir.resolve()
        setup = workdir / _SETUP
        options = lay_out(request, setup, ports=(grpc_port, rest_port))
        launched = launcher.start(
            LaunchRequest(
                argv=[place.program, *options.to_argv()],
                cores=request.server_cores,
                threads=request.service.threads,
                workdir=workdir / _SCRATCH,
                log_path=workdir / LOG_FILE,
                memory_bytes=request.memory_bytes,
                environment=QUIET,
                image=place.image,
                reads=(setup, request.model_path.resolve()),
                labels=request.labels,
            )
        )
        progress = Progress(started_ns=started_ns, spawned_ns=time.monotonic_ns())
        client = RestClient(host=launched.address, port=rest_port, model=request.model_name)
        arrival = Watched(client, grpc_port)
        return TensorFlowService(request, launched, arrival, progress, Software(self.name, place.version))

    def _place(self, request: ServeRequest, launcher: Launcher) -> Place:
        """Looked for before the start is timed."""
        if launcher.name == _CONTAINER:
            image = request.image or image_of(self.name, {}) or ""
            launcher.require(image or None)
            with connected() as engine:
                version = engine.image(image).labels.get(VERSION_LABEL, "unknown")
            return Place(program=PROGRAM, version=version, ports=PORTS_INSIDE, image=image)
        installed = self._installed()
        if installed is None:
            raise NotAvailable(f"{self.name} needs {PROGRAM} on PATH; where it is not to be had, tfs-compat stands in")
        program, version = installed
        return Place(program=program, version=version, ports=free_ports(2))

    def _installed(self) -> tuple[str, str] | None:
        """The program and its version; None where it is not on PATH, or does not tell its version."""
        program = shutil.which(PROGRAM, path=self.path)
        version = None if program is None else self._version_of(program)
        return None if program is None or version is None else (program, version)

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
