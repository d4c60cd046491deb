"""Prometheus metrics, read back with Prometheus' own parser."""

from prometheus_client.parser import text_string_to_metric_families

from leader.metrics import RequestMetrics, StateSnapshot

STATE = StateSnapshot(
    runs={"queued": 3, "running": 1},
    queue_predicted_s=42.5,
    followers_alive=2,
    followers_silent=1,
    bell_failures=7,
    background_deaths={"queue": 0},
)


def values(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(sample name, labels) -> value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_state_is_what_it_is_at_the_scrape() -> None:
    """Each part of the snapshot has its metric."""
    found = values(RequestMetrics().render(STATE))
    assert found["inferbench_runs", (("state", "queued"),)] == 3
    assert found["inferbench_runs", (("state", "running"),)] == 1
    assert found["inferbench_queue_predicted_seconds", ()] == 42.5
    assert found["inferbench_followers", (("alive", "true"),)] == 2
    assert found["inferbench_followers", (("alive", "false"),)] == 1
    assert found["inferbench_bell_failures_total", ()] == 7
    assert found["inferbench_background_deaths_total", (("loop", "queue"),)] == 0


def test_requests_are_counted_by_route_and_status() -> None:
    """Counts and latencies have the route's name, so that ids in paths make no new series."""
    metrics = RequestMetrics()
    metrics.observe(route="getJob", status=200, duration_s=0.03)
    metrics.observe(route="getJob", status=404, duration_s=0.3)
    found = values(metrics.render(STATE))
    assert found["inferbench_http_requests_total", (("route", "getJob"), ("status", "404"))] == 1
    assert found["inferbench_http_request_duration_seconds_bucket", (("le", "0.05"), ("route", "getJob"))] == 1
    assert found["inferbench_http_request_duration_seconds_count", (("route", "getJob"),)] == 2


def test_two_leaders_in_one_process_do_not_share_counts() -> None:
    """The registry is the leader's own, not the library's global one."""
    RequestMetrics().observe(route="getJob", status=200, duration_s=0.1)
    assert not [name for name, _ in values(RequestMetrics().render(STATE)) if name == "inferbench_http_requests_total"]


def test_the_process_itself_is_measured() -> None:
    """Resident memory has a target, so it is visible."""
    assert values(RequestMetrics().render(STATE))["process_resident_memory_bytes", ()] > 1e6
