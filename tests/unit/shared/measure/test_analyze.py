"""The whole analysis of one run, against figures worked out by hand."""

from support.samples import ORIGIN_NS, Sent, answered, closed_plan, columns_of, failed, open_plan

from shared.jobs.slo import SloSpec
from shared.measure.analyze import Circumstances, analyze
from shared.measure.record import Resources

CLIENT = Resources(cpu_mean_pct=10.0, cpu_max_pct=20.0, rss_max_bytes=1, samples=5)


def test_an_open_loop_run_from_warmup_to_verdict() -> None:
    """200 requests of 4 ms, of which 100 are warm-up; one of the window fails."""
    requests = [answered(10.0 * i, 4.0) for i in range(199)] + [failed(1990.0, "http-status")]
    plan = open_plan([10.0 * i for i in range(200)], warmup_ms=1000, duration_ms=1000, rate_rps=100)
    result = analyze(
        columns_of(*requests),
        plan,
        ORIGIN_NS,
        Circumstances(
            max_in_flight=1, mean_in_flight=0.397, batch_size=4, client=CLIENT, slo=SloSpec(p99_ms=5.0, error_rate=0.0)
        ),
    )
    assert result.response_latency.n == 99
    assert result.response_latency.p99_ms == result.service_latency.max_ms == 4.0
    assert result.throughput_rps == 99.0
    assert result.throughput_samples_per_s == 396.0
    assert result.errors == {"http-status": 1}
    assert result.error_rate == 0.01
    assert result.stages["inference"].share == 1.0
    assert [(check.limit, check.met) for check in result.slo] == [("p99_ms", True), ("error_rate", False)]
    assert result.batch_size_mean == 1.0
    assert result.validity.reasons == ("few samples: 99; below 100 the p99 is only the largest of them",)
    assert result.notes == ()


def test_a_closed_loop_run_is_valid_on_its_own_terms() -> None:
    """Two slots back to back: 1000/s completed, nothing offered, no backlog to speak of."""
    requests = [answered(2.0 * i, 2.0) for i in range(500) for _ in range(2)]
    plan = closed_plan(2, warmup_ms=0, duration_ms=1000)
    result = analyze(columns_of(*requests), plan, ORIGIN_NS, Circumstances(max_in_flight=2, mean_in_flight=2.0))
    assert result.validity.verdict == "valid"
    assert result.throughput_rps == 998.0  # the last two end at the window's end, which is outside
    assert result.load.offered_rps is None


def test_a_silent_server_is_noted_and_does_not_blame_the_sender() -> None:
    """Without the server's report everything away is unattributed, which is no lateness."""
    silent = [
        Sent(due=5.0 * i, start=5.0 * i, send=5.0 * i, last=5.0 * i + 3, done=5.0 * i + 3, queue=None, inference=None)
        for i in range(200)
    ]
    plan = open_plan([5.0 * i for i in range(200)], warmup_ms=0, duration_ms=1000, rate_rps=200)
    result = analyze(columns_of(*silent), plan, ORIGIN_NS, Circumstances(max_in_flight=1))
    assert result.validity.verdict == "valid"
    (note,) = result.notes
    assert note.startswith("queue, inference and transmission are not available for 200 of 200 requests")


def test_a_late_sender_is_told_by_the_unattributed_rest() -> None:
    """Each request taken up 2 ms late on an answer of 4 ms: a third of the response latency is the sender's."""
    late = [answered(10.0 * i, 4.0, late=2.0) for i in range(200)]
    plan = open_plan([10.0 * i for i in range(200)], warmup_ms=0, duration_ms=2000, rate_rps=100)
    result = analyze(columns_of(*late), plan, ORIGIN_NS, Circumstances(max_in_flight=1))
    assert result.response_latency.p50_ms == 6.0
    assert result.service_latency.p50_ms == 4.0
    assert result.validity.reasons[0].startswith("33.3% of the mean response latency is in no stage")


def test_a_run_without_success_is_invalid_but_still_counted() -> None:
    """Nothing finite is claimed, and the errors are all there."""
    requests = [failed(10.0 * i, "connect") for i in range(100)]
    plan = open_plan([10.0 * i for i in range(100)], warmup_ms=0, duration_ms=1000, rate_rps=100)
    result = analyze(columns_of(*requests), plan, ORIGIN_NS, Circumstances(max_in_flight=1, slo=SloSpec(p50_ms=1000.0)))
    assert result.validity.verdict == "invalid"
    assert result.response_latency.p50_ms is None
    assert result.errors == {"connect": 100}
    assert not result.slo[0].met
    assert result.batch_size_mean is None


def test_overload_is_named_first() -> None:
    """100/s offered, 50/s answered: the verdict says so with both numbers."""
    requests = [answered(10.0 * i, 20.0 * (i + 1) - 10.0 * i) for i in range(600)]
    plan = open_plan([10.0 * i for i in range(600)], warmup_ms=0, duration_ms=6000, rate_rps=100)
    result = analyze(columns_of(*requests), plan, ORIGIN_NS, Circumstances(max_in_flight=300))
    assert result.validity.reasons[0].startswith("overloaded: 100 requests/s were due, 49.83 were completed")
