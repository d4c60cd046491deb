"""The whole analysis of one run, against figures worked out by hand."""

from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np
import pytest
from support.records import is_clean
from support.samples import MS, ORIGIN_NS, Sent, answered, closed_plan, columns_of, failed, open_plan

from shared.jobs.slo import RequestLimits, SloSpec
from shared.measure.analyze import Measurement, analyze
from shared.measure.columns import Columns
from shared.measure.manifest import (
    Calibration,
    Circumstances,
    DeviceReading,
    HostLimits,
    HostReading,
    ProcessReading,
)
from shared.measure.record import Record
from shared.workload.plan import Plan

SECOND = 1000 * MS


def circumstances(**changes: object) -> Circumstances:
    """Of a run on an idle host."""
    facts: dict[str, object] = {"origin_ns": ORIGIN_NS, "max_in_flight": 1}
    return Circumstances.model_validate(facts | changes)


def readings(cpu_share: float, seconds: int) -> tuple[ProcessReading, ...]:
    """A process tree that keeps so much of a core busy, read every half second from the plan's zero."""
    return tuple(
        ProcessReading(at_ns=ORIGIN_NS + i * SECOND // 2, cpu_ns=round(cpu_share * i * SECOND / 2), rss_bytes=1000 + i)
        for i in range(2 * seconds + 1)
    )


def every_ten_ms(count: int, latency_ms: float = 4.0) -> Columns:
    """One request after another, none waiting."""
    return columns_of(*(answered(10.0 * i, latency_ms) for i in range(count)))


def plan_of(count: int, *, warmup_ms: float = 0, pattern: str = "constant") -> Plan:
    """A request every 10 ms."""
    plan = open_plan(
        [10.0 * i for i in range(count)], warmup_ms=warmup_ms, duration_ms=10.0 * count - warmup_ms, rate_rps=100
    )
    return Plan(**{**vars(plan), "pattern": pattern})


def test_an_open_loop_run_from_warmup_to_verdict() -> None:
    """200 requests of 4 ms, of which 100 are warm-up; one of the window fails."""
    requests = [answered(10.0 * i, 4.0) for i in range(199)] + [failed(1990.0, "http-status")]
    slo = SloSpec(p50_ms=5.0, error_rate=0.0, request=RequestLimits(response_ms=4.0, inference_ms=5.0))
    facts = circumstances(mean_in_flight=0.397, batch_size=4, client=readings(0.1, 2), slo=slo)
    result = analyze(columns_of(*requests), plan_of(200, warmup_ms=1000), facts)
    assert result.warmup_s == 1.0
    assert result.response_latency.n == 99
    assert result.response_latency.ms("p50") == result.service_latency.max_ms == 4.0
    assert result.wire_latency is None
    assert result.throughput_rps == 99.0
    assert result.throughput_samples_per_s == 396.0
    assert result.errors == {"http-status": 1}
    assert result.error_rate == 0.01
    assert result.stages["inference"].share == 1.0
    assert [(check.limit, check.met) for check in result.slo] == [("p50_ms", True), ("error_rate", False)]
    assert result.goodput is not None
    assert (result.goodput.good, result.goodput.offered, result.goodput.rps) == (99, 100, 99.0)
    assert result.batch_size_mean == 1.0
    assert result.client.cpu_mean_pct == pytest.approx(10)
    assert (result.verdict.kind, result.verdict.reasons) == (
        "stable",
        ("few samples: 99; below 100 the p99 is only the largest of them",),
    )
    assert result.notes == ()


def test_a_closed_loop_run_is_stable_on_its_own_terms() -> None:
    """Two slots back to back: 1000/s completed, nothing offered, no backlog to speak of; every slot is warmed once."""
    requests = [answered(2.0 * i, 2.0) for i in range(1000) for _ in range(2)]
    plan = closed_plan(2, warmup_ms=1000, duration_ms=1000)
    result = analyze(columns_of(*requests), plan, circumstances(max_in_flight=2, mean_in_flight=2.0))
    assert is_clean(result.verdict)
    assert result.throughput_rps == 1000.0
    assert result.load.offered_rps is None
    without = analyze(columns_of(*requests), closed_plan(2, warmup_ms=0, duration_ms=2000), circumstances())
    assert without.warmup_s == pytest.approx(0.002, abs=1e-6)


def test_a_silent_server_is_noted_and_does_not_blame_the_sender() -> None:
    """Without the server's report everything away is unattributed, which is no lateness."""
    silent = [
        Sent(due=5.0 * i, start=5.0 * i, send=5.0 * i, last=5.0 * i + 3, done=5.0 * i + 3, queue=None, inference=None)
        for i in range(200)
    ]
    plan = open_plan([5.0 * i for i in range(200)], warmup_ms=0, duration_ms=1000, rate_rps=200)
    result = analyze(columns_of(*silent), plan, circumstances(unavailable={"devices": "no driver"}))
    assert result.verdict.kind == "stable"
    silence, devices = result.notes
    assert silence.startswith("queue, inference and transmission are not available for 200 of 200 requests")
    assert devices == "devices is not available: no driver"


def test_a_late_sender_is_client_limited_also_where_the_server_is_silent() -> None:
    """Each request taken up 2 ms late on an answer of 4 ms: a third of the response latency is the sender's."""
    late = [answered(10.0 * i, 4.0, late=2.0) for i in range(200)]
    result = analyze(columns_of(*late), plan_of(200), circumstances())
    assert result.response_latency.ms("p50") == 6.0
    assert result.service_latency.ms("p50") == 4.0
    assert result.verdict.kind == "client-limited"
    assert result.verdict.reasons[0].startswith("client-limited: 33.3% of the mean response latency is in no stage")
    silent = dict(columns_of(*late))
    silent["server_inference_ns"] = np.full(200, -1)
    assert analyze(silent, plan_of(200), circumstances()).verdict.kind == "client-limited"


def test_a_run_without_success_is_invalid_but_still_counted() -> None:
    """Nothing finite is claimed, and the errors are all there."""
    requests = [failed(10.0 * i, "connect") for i in range(100)]
    facts = circumstances(slo=SloSpec(p50_ms=1000.0, request=RequestLimits(response_ms=1)))
    result = analyze(columns_of(*requests), plan_of(100), facts)
    assert result.verdict.kind == "invalid"
    assert result.verdict.reasons[0] == "no request of the window succeeded"
    assert result.response_latency.ms("p50") is None
    assert result.errors == {"connect": 100}
    assert result.slo[0].met is False
    assert result.goodput is not None
    assert result.goodput.share == 0.0
    assert result.batch_size_mean is None


def test_overload_is_named_with_its_capacity() -> None:
    """100/s offered, 50/s answered: the verdict says so with both numbers, and a limit on a percentile is missed."""
    requests = [answered(10.0 * i, 20.0 * (i + 1) - 10.0 * i) for i in range(600)]
    result = analyze(columns_of(*requests), plan_of(600), circumstances(slo=SloSpec(p99_ms=1e6)))
    assert result.verdict.kind == "overloaded"
    assert result.verdict.capacity_rps == pytest.approx(50, rel=0.02)
    assert result.verdict.reasons[0].startswith("overloaded: 100 requests/s were due, 49.83 were completed")
    (check,) = result.slo
    assert (check.met, check.reason) == (False, "overloaded: no steady latency exists")


def test_a_lost_row_is_invalid() -> None:
    """Little's law, or the count of the planned requests: either gives our own bookkeeping away."""
    lost = {name: column[:-5] for name, column in every_ten_ms(200).items()}
    assert analyze(lost, plan_of(200), circumstances()).verdict.kind == "invalid"
    counted = analyze(every_ten_ms(200), plan_of(200), circumstances(mean_in_flight=0.5))
    assert counted.verdict.kind == "invalid"
    assert counted.verdict.reasons[0].startswith("Little's law is off by 20.0%")


def test_a_client_near_its_ceiling_is_client_limited() -> None:
    """100/s of 120/s that the client alone can send; or nearly all of its core."""
    calibration = Calibration(
        protocol="http", request_bytes=1, response_bytes=1, connections=1, workers=1, ceiling_rps=120.0,
        added_p50_us=1, added_p99_us=1, lateness_p50_us=1, lateness_p99_us=1,
        measured_at=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip
    near = analyze(every_ten_ms(300), plan_of(300), circumstances(calibration=calibration))
    assert near.verdict.kind == "client-limited"
    assert "more than 80% of the 120" in near.verdict.reasons[0]
    busy = analyze(every_ten_ms(300), plan_of(300), circumstances(client=readings(0.9, 3)))
    assert busy.verdict.reasons[0].startswith("client-limited: the client used 90 % CPU of 1 core")
    shared_out = analyze(every_ten_ms(300), plan_of(300), circumstances(client=readings(0.9, 3), client_cores=2))
    assert is_clean(shared_out.verdict)


def test_use_of_host_and_devices_is_summed_over_the_measured_window() -> None:
    """Two cores of which others took a quarter; a device that drew 50 W."""
    host = tuple(HostReading(at_ns=ORIGIN_NS + i * SECOND, foreign_ns=i * SECOND // 2, steal_ns=0) for i in range(4))
    devices = tuple(
        DeviceReading(at_ns=ORIGIN_NS + i * SECOND, index=0, busy_pct=80, memory_bytes=7, power_w=50, energy_mj=None)
        for i in range(4)
    )
    limits = HostLimits(mark_above=0.1, invalid_above=0.2)
    facts = circumstances(host=host, host_cores=2, devices=devices, limits=limits, server=readings(0.5, 3))
    result = analyze(every_ten_ms(300), plan_of(300), facts)
    assert result.host.foreign_share == pytest.approx(0.25)
    assert result.devices[0].power_mean_w == 50
    assert result.server.cpu_mean_pct == pytest.approx(50)
    assert result.verdict.kind == "invalid"
    assert result.verdict.reasons[0].startswith("interference: others used 25.0% of the slot's cores")


def test_wire_latency_is_told_where_the_kernel_stamped() -> None:
    """Over the requests that have it, within service latency."""
    rows = [
        Sent(due=10.0 * i, start=10.0 * i, send=10.0 * i, last=10.0 * i + 4, done=10.0 * i + 4, inference=4.0, wire=3.5)
        for i in range(200)
    ]
    result = analyze(columns_of(*rows), plan_of(200), circumstances())
    assert result.wire_latency is not None
    assert (result.wire_latency.n, result.wire_latency.ms("p50")) == (200, 3.5)


def test_an_offline_run_is_judged_by_what_it_completes() -> None:
    """500 requests at once through a cap of 8, done after 2 of 10 seconds: 250/s, no backlog, no late sender."""
    rows = [answered(0.0, 4.0 * (i + 1), late=0.0) for i in range(500)]
    late = [
        Sent(due=0.0, start=max(0.0, 4.0 * i - 30), send=max(0.0, 4.0 * i - 30), last=4.0 * (i + 1), done=4.0 * (i + 1),
             inference=4.0)
        for i in range(500)
    ]  # fmt: skip
    plan = open_plan([0.0] * 500, warmup_ms=0, duration_ms=10_000)
    plan = Plan(**{**vars(plan), "pattern": "offline", "rate_rps": None, "max_in_flight": 8})
    for requests in (rows, late):
        result = analyze(columns_of(*requests), plan, circumstances(max_in_flight=8))
        assert result.verdict.kind == "stable", result.verdict.reasons
        assert result.throughput_rps == pytest.approx(250)
        assert result.load.offered_rps is None


def shards(columns: Columns, count: int, seed: int) -> Columns:
    """The rows of so many workers, one worker after another, in any order."""
    parts = [{name: column[k::count] for name, column in columns.items()} for k in range(count)]
    order = np.random.default_rng(seed).permutation(count)
    return {name: np.concatenate([parts[k][name] for k in order]) for name in columns}


@pytest.mark.parametrize("count", [2, 3, 8])
def test_shards_merged_give_exactly_the_single_run(count: int) -> None:
    """Every figure, to the last bit: percentiles, intervals, effective sizes, trends and the verdict."""
    draw = np.random.default_rng(count)
    latencies = draw.lognormal(1, 0.4, 1500)
    rows = [answered(10.0 * i, float(value)) for i, value in enumerate(latencies)]
    rows[77], rows[500] = failed(770.0, "reset"), failed(5000.0, "timeout", after=900.0)
    columns = columns_of(*rows)
    slo = SloSpec(p99_ms=20, good_share=0.5, request=RequestLimits(response_ms=4, service_ms=3))
    facts = circumstances(max_in_flight=9, slo=slo)
    plan = plan_of(1500, warmup_ms=2000, pattern="poisson")
    whole = analyze(columns, plan, facts)
    assert whole.response_latency.n == 1299
    for seed in range(3):
        assert analyze(shards(columns, count, seed), plan, facts) == whole


def test_a_measurement_fills_the_record_under_the_records_own_names() -> None:
    """Whatever is measured has its field; the rest is what the attempt knows."""
    measured = set(asdict_names(analyze(every_ten_ms(200), plan_of(200), circumstances())))
    assert measured <= set(Record.model_fields)


def asdict_names(measurement: Measurement) -> list[str]:
    """Names of its fields."""
    return list(asdict(measurement))
