"""The search for the highest rate that keeps a limit, against the rate that queueing theory gives."""

from collections.abc import Iterable
from statistics import median
from typing import Final

from support.records import record
from support.virtual_server import md1_limit_rate

from benchmarks.figure import Figure
from shared.jobs.slo import SloSpec
from shared.jobs.workload import SearchWorkload
from shared.measure.analyze import analyze
from shared.measure.manifest import Circumstances
from shared.testing.behaviour import limited
from shared.testing.virtual_run import ORIGIN_NS, in_flight_of, virtual_columns
from shared.workload.arrivals import make_plan
from shared.workload.search import NextProbe, Probe, next_step, probe_of, probe_workload

SEARCHES: Final = 20
CAPACITY: Final = 1_000.0  # per second: a service time of 1 ms
LIMIT_MS: Final = 4.0
SHARE: Final = 0.95


def slo_search() -> Iterable[Figure]:
    """Rate found for p95 <= 4 service times at M/D/1, over the analytic rate; 20 searches with seeds of their own.

    Every probe is a Poisson plan of 60 s in virtual time, analysed and judged as a real one; the truth is Erlang's
    formula. Bias: the search reports the highest rate that was seen to keep the limit, so it errs downwards.
    """
    slo = SloSpec(p95_ms=LIMIT_MS)
    truth_rps = md1_limit_rate(SHARE, LIMIT_MS) * CAPACITY
    found = [_search(slo, seed) for seed in range(1, SEARCHES + 1)]
    errors = [abs(rate / truth_rps - 1) if rate else 1.0 for rate, _ in found]
    probes = [count for _, count in found]
    yield Figure(
        name="SLO search at M/D/1: worst error of the rate",
        measured=max(errors) * 100,
        unit="%",
        high=5,
        detail=f"truth {truth_rps:.1f}/s; median error {median(errors):.1%} of {SEARCHES} searches",
    )
    yield Figure(
        name="SLO search at M/D/1: most probes",
        measured=max(probes),
        unit="",
        high=10,
        detail=f"median {median(probes):g}",
    )


def _search(slo: SloSpec, seed: int) -> tuple[float | None, int]:
    spec = SearchWorkload.model_validate(
        {
            "pattern": "search",
            "slo": slo.model_dump(exclude_none=True),
            "start_rate": 50,
            "warmup": "1s",
            "duration": "60s",
            "seed": seed,
        }
    )
    probes: list[Probe] = []
    while isinstance(step := next_step(spec, probes), NextProbe):
        probes.append(_probe(spec, slo, step.rate_rps, seed * 100 + len(probes)))
    return step.rate_rps, len(probes)


def _probe(spec: SearchWorkload, slo: SloSpec, rate_rps: float, seed: int) -> Probe:
    """One run in virtual time, from its plan to what its record says."""
    workload = probe_workload(spec, rate_rps).model_copy(update={"seed": seed})
    plan = make_plan(workload, 1)
    columns = virtual_columns(plan, limited(CAPACITY), timeout_ns=workload.request_timeout)
    peak, mean = in_flight_of(columns, ORIGIN_NS + plan.warmup_ns, ORIGIN_NS + plan.end_ns)
    circumstances = Circumstances(origin_ns=ORIGIN_NS, max_in_flight=peak, mean_in_flight=mean, slo=slo)
    found = analyze(columns, plan, circumstances)
    return probe_of(
        record(
            spec={"workload": {"rate": rate_rps}},
            load=found.load,
            error_rate=found.error_rate,
            verdict=found.verdict,
            slo=found.slo,
        )
    )
