"""Prometheus metrics on registries of our own. Counters live here; state is read when it is asked for."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from shared.jobs.lifecycle import Cause

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2.5, 10)


@dataclass(frozen=True, kw_only=True)
class StateSnapshot:
    """What the leader knew at the moment of a scrape."""

    runs: Mapping[str, int]  # state -> how many
    queue_predicted_s: float
    followers_alive: int
    followers_silent: int
    bell_failures: int
    background_deaths: Mapping[str, int]
    depth: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (team, class) -> runs that wait
    oldest_queued_s: float = 0.0
    requeues: Mapping[str, int] = field(default_factory=dict)  # cause -> attempts of this leader's taking back
    team_use_s: Mapping[str, float] = field(default_factory=dict)  # decayed device-seconds
    prediction_ratios: Mapping[str, float] = field(default_factory=dict)  # quantile -> predicted over taken


class RequestMetrics:
    """Counts requests by route; the route's name, never the path, so that labels stay few."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "inferbench_http_requests", "Requests answered.", ["route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "inferbench_http_request_duration_seconds",
            "From the first byte of a request to the last of its answer.",
            ["route"],
            buckets=_BUCKETS_S,
            registry=self._registry,
        )

    def observe(self, *, route: str, status: int, duration_s: float) -> None:
        """One request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(duration_s)

    def render(self, state: StateSnapshot) -> bytes:
        """Everything in the text format."""
        scrape = CollectorRegistry(auto_describe=False)
        scrape.register(_StateCollector(state))
        return generate_latest(self._registry) + generate_latest(scrape)


class _StateCollector(Collector):
    def __init__(self, state: StateSnapshot) -> None:
        self._state = state

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        state = self._state
        runs = GaugeMetricFamily("inferbench_runs", "Runs by state.", labels=["state"])
        for name, count in state.runs.items():
            runs.add_metric([name], count)
        yield runs
        followers = GaugeMetricFamily("inferbench_followers", "Registered followers.", labels=["alive"])
        followers.add_metric(["true"], state.followers_alive)
        followers.add_metric(["false"], state.followers_silent)
        yield followers
        yield GaugeMetricFamily(
            "inferbench_queue_predicted_seconds",
            "Sum of the predicted durations of queued runs.",
            value=state.queue_predicted_s,
        )
        yield CounterMetricFamily(
            "inferbench_bell_failures", "Rings that could not be sent.", value=state.bell_failures
        )
        yield from self._scheduling()
        deaths = CounterMetricFamily("inferbench_background_deaths", "Times a loop died.", labels=["loop"])
        for name, count in state.background_deaths.items():
            deaths.add_metric([name], count)
        yield deaths

    def _scheduling(self) -> Iterator[Metric]:
        state = self._state
        depth = GaugeMetricFamily("inferbench_queue_depth", "Queued runs.", labels=["team", "priority"])
        for (team, priority), count in state.depth.items():
            depth.add_metric([team, priority], count)
        yield depth
        yield GaugeMetricFamily(
            "inferbench_queue_oldest_seconds",
            "Since the submit of the run that has waited longest.",
            value=state.oldest_queued_s,
        )
        requeues = CounterMetricFamily("inferbench_requeues", "Attempts taken back, by cause.", labels=["cause"])
        for cause, count in state.requeues.items():
            requeues.add_metric([cause], count)
        yield requeues
        yield CounterMetricFamily(
            "inferbench_lease_expiries", "Leases that ran out.", value=state.requeues.get(Cause.LEASE_EXPIRED.value, 0)
        )
        use = GaugeMetricFamily(
            "inferbench_team_use_seconds", "Device-seconds used, halved once per half-life.", labels=["team"]
        )
        for team, seconds in state.team_use_s.items():
            use.add_metric([team], seconds)
        yield use
        ratios = GaugeMetricFamily(
            "inferbench_prediction_ratio", "Predicted over taken, of the last runs that succeeded.", labels=["quantile"]
        )
        for quantile, ratio in state.prediction_ratios.items():
            ratios.add_metric([quantile], ratio)
        yield ratios
