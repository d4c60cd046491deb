"""The limits of a job file: on percentiles, on errors, on throughput, and on every single request."""

from pydantic import Field

from shared.jobs.section import Section


class RequestLimits(Section):
    """What one request must keep to be a good one; it must keep all limits that are given."""

    response_ms: float | None = Field(None, gt=0, description="Longest response latency, from the due time.")
    service_ms: float | None = Field(None, gt=0, description="Longest service latency, from the send.")
    queue_ms: float | None = Field(None, gt=0, description="Longest time in the server's queue.")
    inference_ms: float | None = Field(None, gt=0, description="Longest inference.")


class SloSpec(Section):
    """Limits that the run must meet; the latencies are response latencies, from the due time."""

    p50_ms: float | None = Field(None, gt=0, description="Largest median.")
    p90_ms: float | None = Field(None, gt=0, description="Largest 90th percentile.")
    p95_ms: float | None = Field(None, gt=0, description="Largest 95th percentile.")
    p99_ms: float | None = Field(None, gt=0, description="Largest 99th percentile.")
    p999_ms: float | None = Field(None, gt=0, description="Largest 99.9th percentile.")
    error_rate: float | None = Field(None, ge=0, le=1, description="Largest share of failed requests.")
    throughput_rps: float | None = Field(None, gt=0, description="Least completed requests per second.")
    good_share: float | None = Field(
        None, gt=0, le=1, description="Least share of the offered requests that must keep all limits of `request`."
    )
    request: RequestLimits | None = Field(
        None, description="Limits on each request; goodput counts the requests that keep them all."
    )
