"""The server's command line and environment, wherever it lies. Pure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from follower.serve.launch.protocol import LaunchRequest
from follower.serve.protocol import ServeRequest
from follower.serve.triton.layout import Layout
from follower.serve.triton.place import Place, Ports

TRACED_REQUESTS: Final = 100_000
"""Requests that are traced, from the start: the server keeps them in memory until the end, about 1 kB each."""

_EXIT_TIMEOUT_S: Final = 1  # unloading takes longer, for nothing that is still wanted; the launcher kills after 2 s
_SHM_BYTES: Final = 1 << 20


def launch_request(request: ServeRequest, layout: Layout, place: Place, ports: Ports, server_id: str) -> LaunchRequest:
    """How the launcher is to start the server: it reads its repository and the model, and writes its scratch only."""
    return LaunchRequest(
        argv=_argv(request, layout, place, ports, server_id),
        cores=request.server_cores,
        threads=request.service.threads,
        workdir=layout.scratch,
        log_path=layout.log,
        environment={**place.environment, **_preloaded(request, place.preload)},
        memory_bytes=request.memory_bytes,
        image=place.image,
        reads=(layout.repository, request.model_path.resolve()),
        labels=request.labels,
    )


def _preloaded(request: ServeRequest, preload: Path | None) -> dict[str, str]:
    """What makes this version's tracing safe, and is of no use without it."""
    return {"LD_PRELOAD": str(preload)} if preload is not None and request.request_stages else {}


def _argv(request: ServeRequest, layout: Layout, place: Place, ports: Ports, server_id: str) -> Sequence[str]:
    tracing = (
        f"--trace-config=triton,file={layout.trace}",
        "--trace-config=mode=triton",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=rate=1",
        f"--trace-config=count={TRACED_REQUESTS}",
    )
    return [
        str(place.program),
        f"--id={server_id}",
        f"--model-repository={layout.repository}",
        f"--backend-directory={place.backends}",
        f"--backend-config=python,shm-default-byte-size={_SHM_BYTES}",
        f"--backend-config=python,shm-region-prefix-name={layout.shm_prefix}",
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        f"--http-address={place.listen_host}",
        f"--http-port={ports.http}",
        f"--grpc-address={place.listen_host}",
        f"--grpc-port={ports.grpc}",
        "--allow-metrics=false",
        f"--exit-timeout-secs={_EXIT_TIMEOUT_S}",
        *(tracing if request.request_stages else ()),
    ]
