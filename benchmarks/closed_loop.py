"""One request after another: what our generator adds to a short latency, beside the fastest tools there are."""

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from support.sending import PATHS, target_of

from benchmarks import h2load, wrk
from benchmarks.cores import SERVER, on_client
from benchmarks.figure import Figure
from benchmarks.loading import TENSOR, load
from benchmarks.rounds import difference, interleaved, ratio, told
from follower.load.dialects import DIALECTS
from follower.load.infer_message import PREFIX_BYTES
from shared.testing.behaviour import NULL, Behaviour, fixed
from shared.testing.golden_server import golden_server

ROUNDS: Final = 5
SECONDS: Final = 2
CALLS: Final = 4_000  # of h2load in a round
CLOSED: Final = {"pattern": "closed", "concurrency": 1, "duration": f"{SECONDS}s"}


def closed_loop_300us() -> Iterable[Figure]:
    """p50 of the service latency at concurrency 1 against a fixed 300 us, over wrk's p50 of the same rounds.

    Server and client have a core each; the server polls, so that 300 us are 300 us. Bias: wrk counts whole
    microseconds, and corrects for what it thinks it missed.
    """
    name = "closed loop, 1 at a time, HTTP, 300 us server: p50 / wrk's"
    if not wrk.is_there():
        yield Figure(name=name, measured=None, unit="", high=1.05, detail=wrk.MISSING)
        return
    values = _beside_wrk(replace(fixed(0.3), never_sleeps=True))
    yield Figure(name=name, measured=ratio(values, "ours", "wrk"), unit="", high=1.05, detail=told(values, "us"))


def closed_loop_null() -> Iterable[Figure]:
    """p50 of the service latency at concurrency 1 against a server that answers at once, less wrk's p50.

    What is left is our own path through epoll, socket and framing. Bias as before.
    """
    name = "closed loop, 1 at a time, HTTP, null server: p50 - wrk's"
    if not wrk.is_there():
        yield Figure(name=name, measured=None, unit="us", high=20, detail=wrk.MISSING)
        return
    values = _beside_wrk(NULL)
    yield Figure(name=name, measured=difference(values, "ours", "wrk"), unit="us", high=20, detail=told(values, "us"))


def _beside_wrk(behaviour: Behaviour) -> dict[str, list[float]]:
    with golden_server(behaviour, cores=[SERVER]) as server, tempfile.TemporaryDirectory() as folder:
        target = target_of(server)
        request = DIALECTS["openinference-http"].encode(target, [TENSOR])
        url = f"http://{server.host}:{server.port}{target.path}"

        def theirs() -> float:
            return wrk.wrk(url, request, connections=1, duration_s=SECONDS, folder=Path(folder)).p50_us

        return interleaved({"ours": lambda: load(target, CLOSED).service_p50_us(), "wrk": theirs}, ROUNDS)


def closed_loop_grpc() -> Iterable[Figure]:
    """p50 at concurrency 1 against a grpcio server that answers at once, over grpc.aio's and less h2load's.

    Each client is a process on the same core. Bias: the server's own 200 us or so are in all three, which draws the
    ratio towards 1 and leaves the difference alone.
    """
    with golden_server(NULL, protocol="grpc", cores=[SERVER]) as server, tempfile.TemporaryDirectory() as name:
        target, folder = target_of(server), Path(name)
        message = DIALECTS["openinference-grpc"].encode(target, [TENSOR])
        file = folder / "message"
        file.write_bytes(message[PREFIX_BYTES:])
        url = f"http://{server.host}:{server.port}{PATHS['grpc']}"
        address = f"{server.host}:{server.port}"
        aio = [sys.executable, "-m", "benchmarks.grpc_aio_client", address, PATHS["grpc"], str(file), str(SECONDS)]
        contenders = {
            "ours": lambda: load(target, CLOSED).service_p50_us(),
            "grpc.aio": lambda: float(subprocess.run(on_client(aio), capture_output=True, check=True).stdout),
        }
        if h2load.is_there():
            contenders["h2load"] = lambda: h2load.h2load_p50_us(url, message, requests=CALLS, folder=folder)
        values = interleaved(contenders, ROUNDS)
    detail = told(values, "us")
    yield Figure(
        name="closed loop, 1 at a time, gRPC, null server: p50 / grpc.aio's",
        measured=ratio(values, "ours", "grpc.aio"),
        unit="",
        high=0.75,
        detail=detail,
    )
    yield Figure(
        name="closed loop, 1 at a time, gRPC, null server: p50 - h2load's",
        measured=difference(values, "ours", "h2load") if "h2load" in values else None,
        unit="us",
        high=60,
        detail=detail if "h2load" in values else wrk.MISSING,
    )
