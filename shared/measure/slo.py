"""The job's limits against what was measured. A failure counts as a request that took for ever."""

from shared.jobs.slo import SloSpec
from shared.measure.latency import Durations, percentile_ms
from shared.measure.record import SloCheck

_PERCENTILES = {"p50_ms": 500, "p90_ms": 900, "p95_ms": 950, "p99_ms": 990}


def check_slo(
    slo: SloSpec | None, response_ascending_ns: Durations, failures: int, error_rate: float, throughput_rps: float
) -> tuple[SloCheck, ...]:
    """One check for each limit that the job names, in the order of the specification.

    A percentile is taken over successes and failures together; where it falls on a failure, nothing finite was
    measured: ``measured`` is None and the limit is not met. So a run of fast errors never looks fast.
    """
    checks: list[SloCheck] = []
    for limit, allowed in (slo or SloSpec()).model_dump(exclude_none=True).items():
        if limit in _PERCENTILES:
            measured = percentile_ms(response_ascending_ns, _PERCENTILES[limit], failures=failures)
            met = measured is not None and measured <= allowed
        elif limit == "error_rate":
            measured, met = error_rate, error_rate <= allowed
        else:
            measured, met = throughput_rps, throughput_rps >= allowed
        checks.append(SloCheck(limit=limit, allowed=allowed, measured=measured, met=met))
    return tuple(checks)
