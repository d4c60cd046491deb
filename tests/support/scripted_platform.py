"""A serving platform whose server is a script (``support.scripted_engine``): what is true of it is known by reading."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support import scripted_engine
from support.serving import send

from follower.serve.announced import require_announced
from follower.serve.launch.protocol import LaunchRequest
from follower.serve.launchers import find_launcher
from follower.serve.modelserver.service import ModelServerService
from follower.serve.protocol import ServeRequest, ServerStatistics, Service
from follower.serve.readiness import Progress
from follower.serve.status import STATUS_FILE
from shared.wire.identity import PlatformOffer

NAME = "scripted"


def script(folder: Path, breach: str = "") -> Path:
    """What the platform serves: the obligation that its server is to break; "" for none."""
    path = folder / "script.txt"
    path.write_text(breach, encoding="ascii")
    return path


class ScriptedPlatform:
    """Implements ``follower.serve.protocol.Platform``."""

    name = NAME

    def offer(self) -> PlatformOffer:
        return PlatformOffer(platform=NAME, version="1", launch=("process",), protocol=("http",), device=("cpu",))

    def start(self, request: ServeRequest) -> Service:
        require_announced(NAME, request, {"launch": ("process",), "protocol": ("http",), "device": ("cpu",)})
        request.workdir.mkdir(parents=True, exist_ok=True)
        status, started_ns = request.workdir / STATUS_FILE, time.monotonic_ns()
        command = [sys.executable, "-I", "-S", scripted_engine.__file__, str(status), str(request.model_path)]
        launched = find_launcher(request.service.launch).start(
            LaunchRequest(
                argv=command,
                cores=request.server_cores,
                threads=request.service.threads,
                workdir=request.workdir,
                log_path=request.workdir / "server.log",
            )
        )
        progress = Progress(started_ns=started_ns, spawned_ns=time.monotonic_ns())
        return ScriptedService(request, launched, status, progress)


class ScriptedService(ModelServerService):
    """Reports itself as our own server does, and counts besides."""

    def facts(self) -> Mapping[str, Any]:
        return {**super().facts(), "engine": NAME}

    def statistics(self) -> ServerStatistics:  # type: ignore[override]  # our own server has none
        return ServerStatistics(**json.loads(send(self.endpoint, "GET", "/counted").body))
