"""Prometheus metrics on registries of our own. Counters live here; state is read when it is asked for."""

from collections.abc import Iterable, Iterator, Mapping
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
_Labelled = Iterable[tuple[tuple[str, ...], float]]
"""Values of labels, in the order of their names -> value."""

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
    slot_seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)  # (device class, use) -> so far
    ended: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (state, cause) -> runs, through this leader
    depth: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (team, class) -> runs that wait
    oldest_queued_s: float = 0.0
    requeues: Mapping[str, int] = field(default_factory=dict)  # cause -> attempts of this leader's taking back
    team_use_s: Mapping[str, float] = field(default_factory=dict)  # decayed device-seconds
    team_use_share: Mapping[str, float] = field(default_factory=dict)  # of all teams' decayed use; 0 to 1
    team_fair_share: Mapping[str, float] = field(default_factory=dict)  # by weight; 0 to 1
    prediction_ratios: Mapping[str, float] = field(default_factory=dict)  # quantile -> predicted over taken
    within_p90: float | None = None  # share of runs that took no longer than their predicted p90


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
        yield _gauges("inferbench_runs", "Runs by state.", ["state"], _singly(state.runs))
        followers = {"true": state.followers_alive, "false": state.followers_silent}
        yield _gauges("inferbench_followers", "Registered followers.", ["alive"], _singly(followers))
        yield CounterMetricFamily(
            "inferbench_bell_failures", "Rings that could not be sent.", value=state.bell_failures
        )
        deaths = _singly(state.background_deaths)
        yield _counters("inferbench_background_deaths", "Times a loop died.", ["loop"], deaths)
        yield from self._queue()
        yield from self._ends()
        yield from self._teams()
        yield from self._predictions()

    def _queue(self) -> Iterator[Metric]:
        state = self._state
        yield _gauges("inferbench_queue_depth", "Queued runs.", ["team", "priority"], state.depth.items())
        yield GaugeMetricFamily(
            "inferbench_queue_predicted_seconds",
            "Sum of the predicted durations of queued runs.",
            value=state.queue_predicted_s,
        )
        yield GaugeMetricFamily(
            "inferbench_queue_oldest_seconds",
            "Since the submit of the run that has waited longest.",
            value=state.oldest_queued_s,
        )
        yield _counters(
            "inferbench_slot_seconds",
            "Slots' time by what they were at.",
            ["device", "state"],
            state.slot_seconds.items(),
        )

    def _ends(self) -> Iterator[Metric]:
        state = self._state
        yield _counters(
            "inferbench_runs_ended",
            "Runs that ended, by their state and its cause.",
            ["state", "cause"],
            state.ended.items(),
        )
        taken_back = _singly(state.requeues)
        yield _counters("inferbench_requeues", "Attempts taken back, by cause.", ["cause"], taken_back)
        expired = state.requeues.get(Cause.LEASE_EXPIRED.value, 0)
        yield CounterMetricFamily("inferbench_lease_expiries", "Leases that ran out.", value=expired)

    def _teams(self) -> Iterator[Metric]:
        state = self._state
        for name, meaning, by_team in (
            ("inferbench_team_use_seconds", "Device-seconds used, halved once per half-life.", state.team_use_s),
            ("inferbench_team_use_share", "Of all teams' decayed use.", state.team_use_share),
            ("inferbench_team_fair_share", "By weight, among teams that use, wait or run.", state.team_fair_share),
        ):
            yield _gauges(name, meaning, ["team"], _singly(by_team))

    def _predictions(self) -> Iterator[Metric]:
        state = self._state
        meaning = "Predicted over taken, of the last runs that succeeded."
        ratios = _singly(state.prediction_ratios)
        yield _gauges("inferbench_prediction_ratio", meaning, ["quantile"], ratios)
        if state.within_p90 is not None:
            yield GaugeMetricFamily(
                "inferbench_prediction_within_p90",
                "Share of the last runs that took no longer than their predicted p90.",
                value=state.within_p90,
            )


def _singly(values: Mapping[str, float]) -> _Labelled:
    return (((label,), value) for label, value in values.items())


def _gauges(name: str, meaning: str, labels: list[str], values: _Labelled) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for key, value in values:
        family.add_metric(list(key), value)
    return family


def _counters(name: str, meaning: str, labels: list[str], values: _Labelled) -> CounterMetricFamily:
    family = CounterMetricFamily(name, meaning, labels=labels)
    for key, value in values:
        family.add_metric(list(key), value)
    return family
