"""The load generator's own gRPC against grpcio's server: GOAWAY in mid-run, faults in exact numbers, large answers."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.sending import Rig

from shared.measure.columns import ERROR_KINDS, NOT_AVAILABLE
from shared.testing.behaviour import Behaviour, injector
from shared.testing.golden_server import golden_server

OK = ERROR_KINDS.index("ok")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A folder of its own for every run."""
    return Rig(tmp_path)


@pytest.mark.parametrize(
    "workload",
    [{"pattern": "closed", "concurrency": 4}, {"pattern": "poisson", "rate": 100}],
    ids=["closed loop", "open loop"],
)
def test_goaway_in_mid_run_costs_no_request(rig: Rig, workload: dict[str, object]) -> None:
    """The server says it on each connection at an age of 0.3 s: others are opened, and every request is answered."""
    with golden_server(Behaviour(service_ms=5, connection_age_s=0.3), protocol="grpc") as server:
        ran = rig.load(server, warmup="200ms", duration="1500ms", **workload)
        journal = server.journal()
    assert ran.errors() == {"ok": len(journal)}
    assert len({done.connection for done in journal}) > 4


def test_grpc_faults_are_counted_exactly(rig: Rig) -> None:
    """Two of each in 40: INTERNAL, CANCELLED, silence past the time limit; the rest is answered and reported."""
    behaviour = injector({"http-500": 2, "reset": 2, "hang": 2}, of=40, service_ms=2)
    with golden_server(behaviour, protocol="grpc") as server:
        ran = rig.load(server, pattern="constant", rate=100, warmup="0s", duration="1600ms", request_timeout="500ms")
        journal = server.journal()
    assert Counter(done.fault for done in journal) == {"": 136, "http-500": 8, "reset": 8, "hang": 8}
    assert ran.errors() == {"ok": 136, "http-status": 16, "timeout": 8}
    ok = ran.columns["error"] == OK
    assert set(ran.columns["status"][ok].tolist()) == {200}
    assert (ran.columns["server_total_ns"][ok] != NOT_AVAILABLE).all()


def test_grpc_answers_larger_than_every_window_and_buffer(rig: Rig) -> None:
    """3 MB an answer, beyond HTTP/2's first window and the sender's buffer: all of them whole."""
    with golden_server(Behaviour(filler_bytes=3_000_000), protocol="grpc") as server:
        ran = rig.load(server, pattern="closed", concurrency=2, warmup="0s", duration="800ms", request_timeout="5s")
        journal = server.journal()
    assert ran.errors() == {"ok": len(journal)}
    assert len(journal) >= 2
    sizes = ran.columns["bytes_received"]
    assert sizes.min() > 3_000_000
    assert np.ptp(sizes) < 20_000
