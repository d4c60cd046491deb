"""The metric registry: every number that can be ranked or compared, once, with unit and polarity."""

from collections.abc import Callable
from dataclasses import dataclass

from shared.measure.record import Record


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number of a record that people rank by."""

    name: str  # public and stable: API, CLI, documents in PerfDB
    label: str
    unit: str
    higher_is_better: bool
    meaning: str
    read: Callable[[Record], float | None]


def _steady_mean_ms(record: Record) -> float | None:
    """The mean of latencies that grow says only how long the run was."""
    return None if record.verdict.capacity_rps is not None else record.response_latency.mean_ms


_ALL = (
    Metric(name="p50_ms", label="p50", unit="ms", higher_is_better=False,
           meaning="Median response latency, from the due time.", read=lambda r: r.response_latency.ms("p50")),
    Metric(name="p90_ms", label="p90", unit="ms", higher_is_better=False,
           meaning="90th percentile of the response latency.", read=lambda r: r.response_latency.ms("p90")),
    Metric(name="p95_ms", label="p95", unit="ms", higher_is_better=False,
           meaning="95th percentile of the response latency.", read=lambda r: r.response_latency.ms("p95")),
    Metric(name="p99_ms", label="p99", unit="ms", higher_is_better=False,
           meaning="99th percentile of the response latency.", read=lambda r: r.response_latency.ms("p99")),
    Metric(name="p999_ms", label="p99.9", unit="ms", higher_is_better=False,
           meaning="99.9th percentile of the response latency.", read=lambda r: r.response_latency.ms("p99.9")),
    Metric(name="mean_ms", label="mean", unit="ms", higher_is_better=False,
           meaning="Mean response latency; none of an overloaded run.", read=_steady_mean_ms),
    Metric(name="service_p99_ms", label="service p99", unit="ms", higher_is_better=False,
           meaning="99th percentile from send to last byte.", read=lambda r: r.service_latency.ms("p99")),
    Metric(name="inference_mean_ms", label="inference", unit="ms", higher_is_better=False,
           meaning="Mean time in the inference stage.", read=lambda r: r.stages["inference"].mean_ms),
    Metric(name="throughput_rps", label="throughput", unit="req/s", higher_is_better=True,
           meaning="Requests completed per second of the window.", read=lambda r: r.throughput_rps),
    Metric(name="goodput_rps", label="goodput", unit="req/s", higher_is_better=True,
           meaning="Requests per second that kept every limit of slo.request.",
           read=lambda r: r.goodput.rps if r.goodput else None),
    Metric(name="capacity_rps", label="capacity", unit="req/s", higher_is_better=True,
           meaning="What an overloaded server completed per second; none of any other.",
           read=lambda r: r.verdict.capacity_rps),
    Metric(name="samples_per_s", label="samples", unit="samples/s", higher_is_better=True,
           meaning="Samples inferred per second of the window.", read=lambda r: r.throughput_samples_per_s),
    Metric(name="error_rate", label="errors", unit="share", higher_is_better=False,
           meaning="Failed requests over all requests of the window.", read=lambda r: r.error_rate),
    Metric(name="cold_start_ms", label="cold start", unit="ms", higher_is_better=False,
           meaning="From spawn to the first answer.", read=lambda r: r.cold_start.first_inference_ms),
    Metric(name="server_cpu_pct", label="server CPU", unit="%", higher_is_better=False,
           meaning="Mean CPU use of the server; 100 is one core.", read=lambda r: r.server.cpu_mean_pct),
    Metric(name="server_rss_bytes", label="server memory", unit="bytes", higher_is_better=False,
           meaning="Peak resident memory of the server.", read=lambda r: r.server.rss_max_bytes),
    Metric(name="quality", label="quality", unit="share", higher_is_better=True,
           meaning="Share of right answers over the labelled samples.",
           read=lambda r: r.quality.value if r.quality else None),
)  # fmt: skip

METRICS: dict[str, Metric] = {metric.name: metric for metric in _ALL}
"""Name -> metric."""


def metrics_of(record: Record) -> dict[str, float | None]:
    """Every registered number of a record."""
    return {metric.name: metric.read(record) for metric in _ALL}
