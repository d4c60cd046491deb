"""What happens beside the load: read and told in time, stopped with the service, at a known cost."""

import os
import time
from typing import Any

import numpy as np
import pytest
from support.workloads import workload

from follower.attempt.measure import MOST_READINGS, Measuring, reading_gap_ns
from follower.attempt.story import Story
from follower.serve.protocol import Endpoint, ModelMetadata, ServerStatistics
from shared.clock import SystemClock
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.measure.columns import COLUMNS, Columns
from shared.measure.record import ColdStart
from shared.wire.assignment import ProgressEvent
from shared.workload.arrivals import make_plan

S = 1_000_000_000


class Rows:
    """Nothing ends."""

    def take(self) -> Columns:
        return {name: np.zeros(0, dtype=kind) for name, kind in COLUMNS.items()}


class OwnProcess:
    """A service that is this very process; it can be told to be gone."""

    gone = False
    log_path: Any = None

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(host="127.0.0.1", port=1, model_name="m")

    def pids(self) -> tuple[int, ...]:
        return (os.getpid(),)

    def check(self) -> None:
        if self.gone:
            raise AttemptFailed(Cause.SERVER_DIED, "gone")

    def wait_ready(self, timeout_ns: int) -> ColdStart:
        raise AssertionError(timeout_ns)

    def metadata(self) -> ModelMetadata:
        raise AssertionError

    def facts(self) -> dict[str, Any]:
        raise AssertionError

    def statistics(self) -> None:
        """It counts nothing."""

    def request_stages(self) -> None:
        """It writes nothing down."""

    def stop(self) -> None:
        """Nothing runs."""


def measuring(lines: list[str], service: OwnProcess | None = None, **load: Any) -> Measuring:
    """Of a closed loop, whose story goes to ``lines``."""
    plan = make_plan(workload(**{"pattern": "closed", "warmup": "0s", "duration": "400ms", **load}), 1)
    story = Story(lines.append, SystemClock())
    return Measuring(plan=plan, service=service or OwnProcess(), story=story, cores=sorted(os.sched_getaffinity(0)))


def run_for(beside: Measuring, seconds: float) -> None:
    """As a sender does: the start, then a look a few times a second."""
    beside.on_start(time.monotonic_ns(), [os.getpid()], Rows())
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        beside.keep_going()
        time.sleep(0.05)


def kinds(lines: list[str]) -> list[str]:
    """The story's kinds."""
    return [ProgressEvent.model_validate_json(line).kind for line in lines]


def test_every_collector_reads_inside_the_window() -> None:
    """At least at its start and later; with what they cost, and a reason for what is missing."""
    lines: list[str] = []
    beside = measuring(lines)
    run_for(beside, 0.5)
    found = beside.finish()
    assert len(found.server) >= 3
    assert len(found.client) == len(found.server)
    assert len(found.host) == len(found.server)
    assert found.devices == ()
    assert "devices" in found.unavailable
    assert found.cpu_ns is not None
    assert 0 < found.cpu_ns < 0.5 * S
    assert kinds(lines) == ["measuring"]


def test_nothing_is_read_during_the_warm_up() -> None:
    """But the first reading, from which counters count."""
    lines: list[str] = []
    beside = measuring(lines, warmup="10s")
    run_for(beside, 0.2)
    found = beside.finish()
    assert len(found.server) == 2  # the first and the last
    assert found.cpu_ns is None
    assert kinds(lines) == ["warming-up"]


class Counting(OwnProcess):
    """A service that counts, ten samples in four executions from one look to the next."""

    looks = 0

    def statistics(self) -> ServerStatistics:  # type: ignore[override]
        self.looks += 1
        return ServerStatistics(inferences=10 * self.looks, executions=4 * self.looks, batches={5: self.looks})


def test_a_server_s_counters_are_read_once_at_each_edge_of_the_window() -> None:
    """Not in the warm-up, and not in between."""
    service = Counting()
    beside = measuring([], service, warmup="200ms")
    run_for(beside, 0.8)
    first, last = beside.finish().counters
    assert service.looks == 2
    assert (first.inferences, last.inferences, last.executions, last.batches) == (10, 20, 8, {"5": 2})
    assert last.at_ns - first.at_ns == pytest.approx(0.4 * S, abs=0.2 * S)


def test_a_load_that_ends_with_its_window_is_counted_to_its_end() -> None:
    """Nobody looks again after the last answer."""
    service = Counting()
    beside = measuring([], service)
    run_for(beside, 0.2)
    assert len(beside.finish().counters) == 2


def test_a_service_that_is_gone_ends_the_load() -> None:
    """At the next look, and also before there is any load."""
    service = OwnProcess()
    beside = measuring([], service)
    beside.keep_going()
    service.gone = True
    with pytest.raises(AttemptFailed, match="gone"):
        beside.keep_going()


def test_a_run_that_never_began_has_no_readings() -> None:
    """And no cost, which is not zero cost."""
    found = measuring([]).finish()
    assert (found.server, found.client, found.host, found.cpu_ns) == ((), (), (), None)


@pytest.mark.parametrize(
    ("duration_s", "gap_ms"), [(1, 200), (10, 200), (20, 400), (60, 500), (500, 500), (3_600, 3_600)]
)
def test_long_runs_are_read_less_often(duration_s: int, gap_ms: int) -> None:
    """A few times a second, and never so often that the manifest grows without bound."""
    gap_ns = reading_gap_ns(duration_s * S)
    assert gap_ns == gap_ms * 1_000_000
    assert duration_s * S / gap_ns <= MOST_READINGS
