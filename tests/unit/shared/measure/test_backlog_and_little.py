"""Growing backlogs and Little's law, on queues computed by hand in virtual time."""

import numpy as np
import pytest
from support.samples import MS, ORIGIN_NS, Sent, answered, columns_of, failed, not_sent

from shared.measure.backlog import backlog_of, is_at_time_limit, overload_of
from shared.measure.columns import Columns
from shared.measure.little import little_error, mean_in_flight
from shared.measure.windows import Window

SECOND = 1000.0
WINDOW = Window(ORIGIN_NS, ORIGIN_NS + 10_000 * MS)


def single_server(due_ms: list[float], service_ms: list[float]) -> Columns:
    """A first-come-first-served queue, by Lindley's recursion."""
    free = 0.0
    requests = []
    for due, service in zip(due_ms, service_ms, strict=True):
        free = max(free, due) + service
        requests.append(answered(due, free - due))
    return columns_of(*requests)


def test_overload_is_seen_with_its_slope() -> None:
    """100/s offered to a server of 50/s: the backlog grows by 50 a second and that is half of what is due."""
    backlog = backlog_of(single_server([10.0 * i for i in range(1000)], [20.0] * 1000), WINDOW)
    assert backlog.is_growing
    assert backlog.growth_per_s == pytest.approx(50, rel=0.03)
    assert backlog.share == pytest.approx(0.5, rel=0.03)


def test_slight_overload_is_seen() -> None:
    """5 % too much over ten seconds is 5 % of the requests left over."""
    assert backlog_of(single_server([10.0 * i for i in range(1000)], [10.5] * 1000), WINDOW).is_growing


@pytest.mark.parametrize("seed", range(30))
def test_a_stable_queue_is_not_called_overloaded(seed: int) -> None:
    """M/M/1 at 70 % load, started empty: thirty seeds, no alarm."""
    rng = np.random.default_rng(seed)
    due = np.cumsum(rng.exponential(10.0, 1000))
    queue = single_server(due.tolist(), rng.exponential(7.0, 1000).tolist())
    assert not backlog_of(queue, WINDOW).is_growing


def test_a_stalling_server_is_not_overloaded() -> None:
    """Frozen for the last second of every six, and frozen as the window ends: slow, but not growing."""
    requests = [
        answered(due, max(1.0, 6000 - due % 6000 if due % 6000 >= 5000 else 1.0)) for due in np.arange(0, 12e3, 10)
    ]
    stalled_end = Window(ORIGIN_NS, ORIGIN_NS + 12_000 * MS)
    assert not backlog_of(columns_of(*requests), stalled_end).is_growing


def test_requests_never_taken_up_stay_in_the_backlog() -> None:
    """A sender that stops sending half-way leaves a backlog that grows, though nothing is in flight."""
    requests = [answered(10.0 * i, 1.0) if i % 2 else not_sent(10.0 * i) for i in range(1000)]
    assert backlog_of(columns_of(*requests), WINDOW).is_growing


def test_an_idle_window_has_no_backlog() -> None:
    """No request, no slope, no division by nothing."""
    assert not backlog_of(columns_of(), WINDOW).is_growing


def test_mean_in_flight_counts_only_the_time_inside_the_window() -> None:
    """Requests that straddle the edges count with their part inside."""
    columns = columns_of(
        answered(-500, 1000),  # half a second inside
        answered(2000, 1500),
        answered(9000, 4000),  # one second inside
        not_sent(9500),
    )
    assert mean_in_flight(columns, WINDOW) == pytest.approx((0.5 + 1.5 + 1.0) / 10)


def test_little_holds_when_nothing_is_lost_and_fails_when_rows_are() -> None:
    """Half of the rows missing is an error of one half."""
    rows = [answered(100.0 * i, 60.0) for i in range(100)]
    assert little_error(columns_of(*rows), WINDOW, counted=0.6) == pytest.approx(0)
    assert little_error(columns_of(*rows[::2]), WINDOW, counted=0.6) == pytest.approx(0.5)
    assert little_error(columns_of(), WINDOW, counted=0.0) == 0.0


def test_lateness_is_backlog_but_not_in_flight() -> None:
    """A request waits for a late sender outside of the server: it is due, but not yet taken up."""
    late = Sent(due=0, start=3000, send=3000, last=4000, done=4000)
    assert mean_in_flight(columns_of(late), WINDOW) == pytest.approx(0.1)


def test_an_overloaded_server_gives_its_capacity() -> None:
    """20 ms a request is 50 a second, whatever is offered; the reason names both."""
    overload = overload_of(single_server([10.0 * i for i in range(1000)], [20.0] * 1000), WINDOW)
    assert overload is not None
    assert overload.capacity_rps == pytest.approx(50, rel=0.02)
    assert overload.reason.startswith(
        "overloaded: 100 requests/s were due, 49.9 were completed, and the backlog grew by"
    )


def test_a_full_backlog_is_overload_too() -> None:
    """Two seconds of time limit at twice the capacity: the backlog stops growing, half give up, others wait long."""
    rows = [answered(10.0 * i, 1800.0) if i % 2 else failed(10.0 * i, "timeout", after=2000.0) for i in range(1000)]
    columns = columns_of(*rows)
    assert not backlog_of(columns, WINDOW).correlation > 0.8
    assert is_at_time_limit(columns, WINDOW)
    overload = overload_of(columns, WINDOW)
    assert overload is not None
    assert "time limit" in overload.reason


def test_a_server_that_loses_requests_is_not_overloaded() -> None:
    """Every tenth is never answered, the others at once."""
    rows = [answered(10.0 * i, 5.0) if i % 10 else failed(10.0 * i, "timeout", after=500.0) for i in range(1000)]
    assert not is_at_time_limit(columns_of(*rows), WINDOW)
    assert overload_of(columns_of(*rows), WINDOW) is None


def test_nothing_but_timeouts_is_no_sign_of_overload() -> None:
    """A server that never answers has no capacity to speak of."""
    silent = columns_of(*(failed(10.0 * i, "timeout", after=500.0) for i in range(1000)))
    assert not is_at_time_limit(silent, WINDOW)
