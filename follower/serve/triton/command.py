"""The server's command line and environment. Pure."""

import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from follower.engines.folder import preload_of
from follower.serve.launch.environment import PATH
from follower.serve.launch.protocol import LaunchRequest
from follower.serve.ports import HOST
from follower.serve.protocol import ServeRequest
from follower.serve.triton.layout import SERVER, Layout

TRACED_REQUESTS: Final = 100_000
"""Requests that are traced, from the start: the server keeps them in memory until the end, about 1 kB each."""

_EXIT_TIMEOUT_S: Final = 1  # unloading takes longer, for nothing that is still wanted; the launcher kills after 2 s
_SHM_BYTES: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Chosen by us: the server cannot bind port 0."""

    http: int
    grpc: int


def launch_request(request: ServeRequest, layout: Layout, engine: Path, ports: Ports, server_id: str) -> LaunchRequest:
    """How the launcher is to start the server."""
    return LaunchRequest(
        argv=_argv(request, layout, engine, ports, server_id),
        cores=request.server_cores,
        threads=request.service.threads,
        workdir=layout.workdir,
        log_path=layout.log,
        environment={
            **_preloaded(request, engine),
            # the back end ignores PYTHONPATH and asks the first interpreter on PATH for its packages
            "PATH": f"{Path(sys.prefix) / 'bin'}:{PATH}",
            "LD_LIBRARY_PATH": f"{engine / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}",
        },
        memory_bytes=request.memory_bytes,
    )


def _preloaded(request: ServeRequest, engine: Path) -> dict[str, str]:
    """What makes this version's tracing safe, and is of no use without it."""
    preload = preload_of(engine.name, engine.parent)
    return {"LD_PRELOAD": str(preload)} if preload is not None and request.request_stages else {}


def _argv(request: ServeRequest, layout: Layout, engine: Path, ports: Ports, server_id: str) -> Sequence[str]:
    tracing = (
        f"--trace-config=triton,file={layout.trace}",
        "--trace-config=mode=triton",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=rate=1",
        f"--trace-config=count={TRACED_REQUESTS}",
    )
    return [
        str(engine / SERVER / "bin" / "tritonserver"),
        f"--id={server_id}",
        f"--model-repository={layout.repository}",
        f"--backend-directory={layout.backends}",
        f"--backend-config=python,shm-default-byte-size={_SHM_BYTES}",
        f"--backend-config=python,shm-region-prefix-name={layout.shm_prefix}",
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        f"--http-address={HOST}",
        f"--http-port={ports.http}",
        f"--grpc-address={HOST}",
        f"--grpc-port={ports.grpc}",
        "--allow-metrics=false",
        f"--exit-timeout-secs={_EXIT_TIMEOUT_S}",
        *(tracing if request.request_stages else ()),
    ]
