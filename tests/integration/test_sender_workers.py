"""Several senders as one: slices, barrier and common origin; and what watches them while they run."""

import time
from pathlib import Path

import numpy as np
import pytest
from support.samples import MS
from support.sending import Rig, of_worker, target_of, with_cap

from follower.load.process_sender import START_DELAY_NS, workers_of
from shared.measure.columns import COLUMNS, NOT_AVAILABLE
from shared.testing.behaviour import Behaviour
from shared.testing.golden_server import golden_server
from shared.workload.slices import slice_of


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A folder of its own for every run."""
    return Rig(tmp_path)


@pytest.mark.parametrize("workers", [2, 3])
def test_slices_of_an_open_plan_are_the_whole_plan_from_one_origin(rig: Rig, workers: int) -> None:
    """Every due time exactly once, each from the worker whose slice it is, and all answered."""
    with golden_server(Behaviour(service_ms=2)) as server:
        request = rig.request(
            target_of(server), {"pattern": "poisson", "rate": 300, "duration": "500ms"}, workers=workers
        )
        began_ns = time.monotonic_ns()
        ran = rig.run(request)
        journal = server.journal()
    assert ran.outcome.workers == len(set(ran.outcome.pids)) == workers
    assert ran.errors() == {"ok": len(journal)} == {"ok": len(ran.plan.due_ns)}
    for worker in range(workers):
        due_ns = of_worker(ran.columns, worker)["due_ns"] - ran.outcome.origin_ns
        assert due_ns.tolist() == slice_of(ran.plan, worker, workers).due_ns.tolist()
    assert ran.outcome.origin_ns - began_ns > START_DELAY_NS
    assert ran.columns["start_ns"].min() >= ran.outcome.origin_ns


def test_slots_of_a_closed_plan_are_shared_out(rig: Rig) -> None:
    """Five slots over two workers: five in flight, counted over all columns, and the workers' own means add up."""
    with golden_server(Behaviour(service_ms=20)) as server:
        workload = {"pattern": "closed", "concurrency": 5, "duration": "600ms"}
        ran = rig.run(rig.request(target_of(server), workload, workers=2))
        journal = server.journal()
    assert ran.errors() == {"ok": len(journal)}
    assert ran.outcome.max_in_flight == 5
    assert 4.5 < (ran.outcome.mean_in_flight or 0) <= 5
    spans = {(done.received_ns, done.answered_ns) for done in journal}
    assert max(sum(start <= at < end for start, end in spans) for at, _ in spans) == 5
    assert not [reason for reason in ran.measure().verdict.reasons if "Little" in reason]
    counts = np.bincount(ran.columns["worker"]).tolist()
    assert len(counts) == 2
    assert counts[0] / counts[1] == pytest.approx(3 / 2, rel=0.3)


def test_a_worker_without_work_is_not_started(rig: Rig) -> None:
    """One slot, one cap, one request: one sender, however many cores there are."""
    target = rig.request
    with golden_server() as server:
        closed = target(target_of(server), {"pattern": "closed", "duration": "200ms"}, workers=2)
        ran = rig.run(closed)
        steady = target(target_of(server), {"pattern": "constant", "rate": 50, "duration": "200ms"}, workers=2)
    assert len(ran.outcome.pids) == ran.outcome.workers == 1
    assert workers_of(with_cap(steady, 1)) == 1
    assert workers_of(steady) == 2


def test_live_rows_are_the_rows_of_the_end_seen_earlier(rig: Rig) -> None:
    """What the live view hands out in the course of a run is each ended row once, exactly as it is in the end."""
    with golden_server(Behaviour(service_ms=5, sigma=1.0)) as server:
        request = rig.request(target_of(server), {"pattern": "poisson", "rate": 200, "duration": "1200ms"}, workers=2)
        ran = rig.run(request)
    assert len(ran.plan.due_ns) * 0.5 < len(ran.live["due_ns"]) <= len(ran.plan.due_ns)
    seen = list(zip(*(ran.live[name].tolist() for name in COLUMNS), strict=True))
    final = set(zip(*(ran.columns[name].tolist() for name in COLUMNS), strict=True))
    assert len(set(seen)) == len(seen)
    assert set(seen) <= final


def test_a_declared_cap_holds_over_all_workers_and_shows_as_lateness(rig: Rig) -> None:
    """200/s for 50 ms each would be ten at once; under a cap of 4 they go late, and none is lost."""
    with golden_server(Behaviour(service_ms=50)) as server:
        workload = {"pattern": "constant", "rate": 200, "warmup": "0s", "duration": "500ms", "request_timeout": "10s"}
        ran = rig.run(with_cap(rig.request(target_of(server), workload, workers=2), 4))
        spans = {(done.received_ns, done.answered_ns) for done in server.journal()}
    assert ran.errors() == {"ok": 100}
    assert ran.outcome.max_in_flight == 4
    assert max(sum(start <= at < end for start, end in spans) for at, _ in spans) <= 4
    assert (ran.columns["start_ns"] - ran.columns["due_ns"]).max() > 500 * MS


def test_a_closed_loop_thinks_between_answer_and_next_request(rig: Rig) -> None:
    """10 ms of service and 40 ms of thought: 20 requests a second from each slot, as the server sees it too."""
    with golden_server(Behaviour(service_ms=10)) as server:
        ran = rig.load(server, pattern="closed", concurrency=2, think_time="40ms", warmup="0s", duration="2s")
        journal = server.journal()
    assert len(journal) == len(ran.columns["due_ns"])
    assert 60 <= len(journal) <= 82
    received = sorted(done.received_ns for done in journal)
    answered = sorted(done.answered_ns for done in journal)
    assert all(next_ns - done_ns >= 40 * MS for done_ns, next_ns in zip(answered, received[2:], strict=False))


def test_offline_sends_everything_as_fast_as_its_cap_lets_it(rig: Rig) -> None:
    """All due at once; eight in flight until the last is answered."""
    with golden_server(Behaviour(service_ms=5)) as server:
        ran = rig.load(server, pattern="offline", requests=200, max_in_flight=8, warmup="0s", duration="1s")
    assert ran.errors() == {"ok": 200}
    assert ran.outcome.max_in_flight == 8
    assert set((ran.columns["due_ns"] - ran.outcome.origin_ns).tolist()) == {int(ran.plan.due_ns[0])}


def test_kernel_stamps_lie_between_the_senders_own(rig: Rig) -> None:
    """Wire latency is at most the service latency and at least the server's time; or a note says why there is none."""
    with golden_server(Behaviour(service_ms=3)) as server:
        workload = {"pattern": "constant", "rate": 100, "duration": "500ms"}
        ran = rig.run(rig.request(target_of(server), workload, kernel_timestamps=True))
    if [note for note in ran.outcome.notes if "wire latency is not available" in note]:
        assert set(ran.columns["wire_ns"].tolist()) == {NOT_AVAILABLE}
        return
    wire_ns = ran.columns["wire_ns"]
    assert np.count_nonzero(wire_ns != NOT_AVAILABLE) > 0.9 * len(wire_ns)
    service_ns = ran.columns["last_byte_ns"] - ran.columns["send_start_ns"]
    taken = wire_ns != NOT_AVAILABLE
    assert (wire_ns <= service_ns)[taken].all()
    assert (wire_ns >= ran.columns["server_total_ns"])[taken].all()


def test_without_kernel_stamps_there_is_no_wire_latency(rig: Rig) -> None:
    """Nobody asked for it."""
    with golden_server() as server:
        ran = rig.load(server, pattern="constant", rate=50, duration="200ms")
    assert set(ran.columns["wire_ns"].tolist()) == {NOT_AVAILABLE}
    assert ran.measure().wire_latency is None


def test_grpc_goes_through_the_same_senders(rig: Rig) -> None:
    """Two workers against a grpcio server that sends each connection away at 200 ms: nothing is lost."""
    with golden_server(Behaviour(service_ms=2, connection_age_s=0.2), protocol="grpc") as server:
        workload = {"pattern": "constant", "rate": 100, "duration": "1s"}
        ran = rig.run(rig.request(target_of(server), workload, workers=2))
        journal = server.journal()
    assert ran.errors() == {"ok": 120}
    assert len(journal) == 120


def test_a_short_closed_loop_is_not_late(rig: Rig) -> None:
    """Against a server that answers at once, a slot's next request is due when the slot is free: no lateness."""
    with golden_server(Behaviour(service_ms=0)) as server:
        ran = rig.load(server, pattern="closed", concurrency=1, duration="500ms")
    late_ns = ran.columns["start_ns"] - ran.columns["due_ns"]
    assert np.median(late_ns) < 2_000
    assert not [reason for reason in ran.measure().verdict.reasons if "the sender was late" in reason]
