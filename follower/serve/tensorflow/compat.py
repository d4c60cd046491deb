"""Platform ``tfs-compat``: a server of ours with TensorFlow's own batch scheduler, where TensorFlow Serving is not."""

import sys
import time
from typing import Final

from follower.engines.folder import environment_of, installed_version
from follower.serve.announced import require_announced
from follower.serve.containers.images import VERSION_OF_IMAGE, image_of
from follower.serve.launch.protocol import LaunchRequest
from follower.serve.launchers import available, find_launcher
from follower.serve.protocol import ServeRequest
from follower.serve.readiness import Progress
from follower.serve.status import STATUS_FILE
from follower.serve.tensorflow.arrival import Reported
from follower.serve.tensorflow.layout import lay_out
from follower.serve.tensorflow.service import Software, TensorFlowService
from shared.errors import NotAvailable
from shared.wire.identity import PlatformOffer

SERVER_MODULE: Final = "follower.serve.tensorflow.server"
ENGINE: Final = "tensorflow"
LOG_FILE: Final = "server.log"
QUIET: Final = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}

_PROCESS: Final = "process"
_CONTAINER: Final = "docker"
_SCRATCH: Final = "scratch"
_LAUNCH: Final = (_PROCESS, _CONTAINER)
_PROTOCOL: Final = ("http", "grpc")
_DEVICE: Final = ("cpu",)
_ANNOUNCED: Final = {"launch": _LAUNCH, "protocol": _PROTOCOL, "device": _DEVICE}


class TfsCompatPlatform:
    """The stand-in: TensorFlow, the serving API's stubs, and TensorFlow's own batch scheduler, in a server of ours."""

    name = "tfs-compat"

    def offer(self) -> PlatformOffer | None:
        """Reads the version without importing TensorFlow; None where that is missing, and containers are, too."""
        installed = installed_version(ENGINE)
        ways = available((_CONTAINER,) if installed is None else _LAUNCH)
        if not ways:
            return None
        version = installed or VERSION_OF_IMAGE
        return PlatformOffer(platform=self.name, version=version, launch=ways, protocol=_PROTOCOL, device=_DEVICE)

    def start(self, request: ServeRequest) -> TensorFlowService:
        require_announced(self.name, request, _ANNOUNCED)
        launcher = find_launcher(request.service.launch)
        contained = launcher.name == _CONTAINER
        version = VERSION_OF_IMAGE if contained else installed_version(ENGINE)
        if version is None:
            raise NotAvailable(
                f"{self.name} needs engine {ENGINE}; `inferbench platforms install {ENGINE}` installs it"
            )
        image = (request.image or image_of(self.name, {})) if contained else None
        launcher.require(image)
        started_ns = time.monotonic_ns()
        workdir = request.workdir.resolve()
        place = workdir / _SCRATCH if contained else workdir  # a container must not reach its own log
        status = place / STATUS_FILE
        options = lay_out(request, place, ports=(0, 0), status_file=status, listen_host=launcher.listen_host)
        launched = launcher.start(
            LaunchRequest(
                # -P: the work directory holds a run's files, and nothing in it may be imported
                argv=["python3" if contained else sys.executable, "-P", "-m", SERVER_MODULE, *options.to_argv()],
                cores=request.server_cores,
                threads=request.service.threads,
                workdir=place,
                log_path=workdir / LOG_FILE,
                memory_bytes=request.memory_bytes,
                environment=QUIET if contained else {**environment_of(ENGINE), **QUIET},
                image=image,
                reads=(request.model_path.resolve(),),
                labels=request.labels,
            )
        )
        progress = Progress(started_ns=started_ns, spawned_ns=time.monotonic_ns())
        return TensorFlowService(request, launched, Reported(status), progress, Software(self.name, version))
