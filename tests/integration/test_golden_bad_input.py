"""The bad inputs that are named: each ends in the right verdict, the right count or a clear refusal, never silence."""

import ast
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from support.samples import MS
from support.sending import Ran, Rig

from shared.errors import InvalidInput
from shared.jobs.workload import WorkloadSpec
from shared.measure.analyze import analyze
from shared.measure.manifest import Calibration, Circumstances
from shared.testing.behaviour import NULL, Behaviour, fixed
from shared.testing.golden_server import golden_server
from shared.testing.journal import served_ns
from shared.workload.trace import read_trace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A folder of its own for every run."""
    folder = tmp_path / "run"
    folder.mkdir()
    return Rig(folder)


def calibrated(ran: Ran, ceiling_rps: float) -> Circumstances:
    """The run's circumstances, where the client alone was seen to send so many."""
    return Circumstances(
        origin_ns=ran.outcome.origin_ns,
        max_in_flight=ran.outcome.max_in_flight,
        mean_in_flight=ran.outcome.mean_in_flight,
        calibration=Calibration(
            protocol="http",
            request_bytes=600,
            response_bytes=300,
            connections=16,
            workers=1,
            ceiling_rps=ceiling_rps,
            added_p50_us=80,
            added_p99_us=200,
            lateness_p50_us=10,
            lateness_p99_us=80,
            measured_at=datetime(2026, 1, 1, tzinfo=UTC),
        ),
    )


def test_a_rate_above_what_the_client_can_send_is_client_limited_and_never_silently_less(rig: Rig) -> None:
    """200,000/s from one process: every planned request has its row, sent or not sent, and the verdict says why."""
    with golden_server(NULL) as server:
        workload = {
            "pattern": "constant",
            "rate": 200_000,
            "warmup": "0s",
            "duration": "500ms",
            "request_timeout": "1s",
        }
        ran = rig.load(server, **workload)
    result = ran.measure()
    assert len(ran.columns["due_ns"]) == result.load.planned == 100_000
    assert result.load.sent + result.errors.get("not-sent", 0) == 100_000
    assert result.verdict.kind == "client-limited"
    assert result.load.offered_rps == pytest.approx(200_000)


def test_a_rate_close_to_the_calibrated_ceiling_is_client_limited_even_where_all_was_sent(rig: Rig) -> None:
    """100/s where the client was calibrated at 110/s; the same run is not where it was calibrated at 20,000/s."""
    with golden_server(fixed(1)) as server:
        ran = rig.load(server, pattern="constant", rate=100, warmup="200ms", duration="1500ms")
    near = analyze(ran.columns, ran.plan, calibrated(ran, 110)).verdict
    assert near.kind == "client-limited"
    assert any("110" in reason for reason in near.reasons)
    far = analyze(ran.columns, ran.plan, calibrated(ran, 20_000)).verdict
    assert not [reason for reason in far.reasons if "the client alone can send" in reason]


@pytest.mark.parametrize("duration", ["0s", "0ms", 0, "-1s"])
def test_a_window_of_no_length_is_refused(duration: object) -> None:
    """Before anything is planned, under the key's own name."""
    workload = {"pattern": "constant", "rate": 10, "duration": duration}
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(WorkloadSpec).validate_python(workload)
    assert {error["loc"][-1] for error in caught.value.errors()} == {"duration"}


@pytest.mark.parametrize(
    ("trace", "line"),
    [
        (b"timestamp\n0\n2\n1\n", 4),
        (b"timestamp\n0\nnan\n", 3),
        (b"timestamp\n0\ninf\n", 3),
        (b'{"timestamp": 0}\n{"timestamp": 5}\n{"timestamp": 4}\n', 3),
        (b'{"timestamp": 0}\n{"timestamp": NaN}\n', 2),
    ],
    ids=["decreasing", "NaN", "infinite", "decreasing, JSON", "NaN, JSON"],
)
def test_a_trace_with_impossible_times_is_refused_with_its_line(trace: bytes, line: int) -> None:
    """Nothing is sorted, skipped or guessed."""
    with pytest.raises(InvalidInput) as caught:
        read_trace(trace, "t")
    assert [problem.line for problem in caught.value.problems] == [line]


@pytest.mark.parametrize("announced", [True, False])
def test_a_server_that_closes_each_connection(rig: Rig, announced: bool) -> None:
    """As many connections as requests; said or not, nothing but what the server did is counted as done.

    Unannounced, a request may be on its way to a connection that is being closed: then it is lost, and told so.
    """
    with golden_server(Behaviour(service_ms=5, close_each=True, announces_close=announced)) as server:
        ran = rig.load(server, pattern="constant", rate=100, warmup="0s", duration="1s")
        journal = server.journal()
    errors = ran.errors()
    assert errors["ok"] == len(journal)
    assert sum(errors.values()) == 100
    assert len({done.connection for done in journal}) == len(journal)
    assert set(errors) <= ({"ok"} if announced else {"ok", "reset"})
    assert errors["ok"] >= 50


def test_a_response_larger_than_the_buffer_is_read_whole(rig: Rig) -> None:
    """5 MB through a buffer of 1 MB: one answer each, of the same size, and the first byte long before the last."""
    with golden_server(Behaviour(filler_bytes=5_000_000)) as server:
        ran = rig.load(server, pattern="closed", concurrency=2, warmup="0s", duration="800ms", request_timeout="5s")
        journal = server.journal()
    assert ran.errors() == {"ok": len(journal)}
    assert ran.columns["bytes_received"].min() > 5_000_000
    assert (ran.columns["last_byte_ns"] > ran.columns["first_byte_ns"]).all()


def test_a_half_open_connection_costs_one_timeout_and_no_more(rig: Rig) -> None:
    """Every third answer is the last sign of life of its connection: the next request there is given up in its time.

    In a closed loop of one, requests and connections take turns: ok, ok, ok, timeout, on a new connection each time.
    """
    with golden_server(Behaviour(service_ms=2, faults=("", "", "half-open"))) as server:
        ran = rig.load(server, pattern="closed", concurrency=1, warmup="0s", duration="1500ms", request_timeout="200ms")
        journal = server.journal()
    kinds = ran.columns["error"].tolist()
    silent = [row for row, kind in enumerate(kinds) if kind]
    assert silent == list(range(3, len(kinds), 4))
    assert ran.errors() == {"ok": len(journal), "timeout": len(silent)}
    waited_ns = (ran.columns["done_ns"] - ran.columns["start_ns"])[silent]
    assert 200 * MS <= waited_ns.min() <= waited_ns.max() < 1200 * MS


STEPPED_CLOCK = """
import time, pathlib
_began, _seconds, _ns = time.monotonic(), time.time, time.time_ns
pathlib.Path({marker!r}).touch()
time.time = lambda: _seconds() + (3600 if time.monotonic() - _began > {after_s} else 0)
time.time_ns = lambda: _ns() + (3600 * 10**9 if time.monotonic() - _began > {after_s} else 0)
"""


def test_a_wall_clock_that_jumps_by_an_hour_in_mid_run_changes_nothing(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sender and server see it jump 1 s after their start: due times, latencies and counts are as ever.

    Python's own clock functions are replaced in those processes; the machine's clock is left alone.
    """
    marker = tmp_path / "was-loaded"
    (tmp_path / "sitecustomize.py").write_text(STEPPED_CLOCK.format(marker=str(marker), after_s=1.0))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with golden_server(fixed(5)) as server:
        ran = rig.load(server, pattern="poisson", rate=100, warmup="0s", duration="2s")
        journal = server.journal()
    assert marker.exists()
    assert ran.errors() == {"ok": len(journal)}
    assert (ran.columns["due_ns"] - ran.outcome.origin_ns).tolist() == ran.plan.due_ns.tolist()
    response_ns = ran.columns["done_ns"] - ran.columns["due_ns"]
    assert (np.sort(response_ns) >= np.sort(served_ns(journal))).all()
    assert response_ns.max() < 1500 * MS
    assert ran.outcome.end_ns - ran.outcome.origin_ns < 4000 * MS


def test_no_wall_clock_is_read_where_time_is_measured() -> None:
    """Neither the senders nor the analysis name one; so no step of it can reach a figure."""
    walls = {"time_ns", "now", "utcnow", "today", "CLOCK_REALTIME", "gettimeofday"}
    rooms = [ROOT / "follower" / "load", ROOT / "shared" / "measure", ROOT / "shared" / "workload"]
    named = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.attr}"
        for room in rooms
        for path in room.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and (
            node.attr in walls or (node.attr == "time" and isinstance(node.value, ast.Name) and node.value.id == "time")
        )
    }
    assert named == set()
