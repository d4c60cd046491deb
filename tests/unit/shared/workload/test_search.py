"""The search's steps, one by one: where it goes from given probes, and why it ends."""

import itertools
from typing import Any

import pytest

from shared.jobs.workload import ConstantWorkload, PoissonWorkload, SearchWorkload
from shared.workload.search import Finished, NextProbe, Probe, next_step, probe_workload


def search(**changes: Any) -> SearchWorkload:
    """A search from 10/s."""
    return SearchWorkload.model_validate({"pattern": "search", "slo": {"p99_ms": 50}} | changes)


def met(*rates: float) -> list[Probe]:
    """Probes that met the limits."""
    return [Probe(rate, "met") for rate in rates]


def missed(*rates: float) -> list[Probe]:
    """Probes that did not."""
    return [Probe(rate, "missed", "p99_ms 80 (limit 50)") for rate in rates]


def at(spec: SearchWorkload, *probes: Probe) -> float:
    """The next rate."""
    step = next_step(spec, probes)
    assert isinstance(step, NextProbe)
    return step.rate_rps


def end(spec: SearchWorkload, *probes: Probe) -> Finished:
    """The end of the search."""
    step = next_step(spec, probes)
    assert isinstance(step, Finished)
    return step


def test_it_starts_at_the_start_rate() -> None:
    """The first probe is what the job says."""
    assert at(search(start_rate=12.5)) == 12.5


def test_growing_steps_bracket_a_limit_far_above() -> None:
    """As long as rates meet the limits, the next one is 2, 4, 8, then 16 times the last."""
    seen: list[float] = []
    for _ in range(5):
        seen.append(at(search(), *met(*seen)))
    assert seen == [10, 20, 80, 640, 10_240]


def test_growing_steps_bracket_a_limit_far_below() -> None:
    """As long as rates miss the limits, the next one is smaller by 2, 4, 8."""
    seen: list[float] = []
    for _ in range(4):
        seen.append(at(search(start_rate=64, duration="60s"), *missed(*seen)))
    assert seen == [64, 32, 8, 1]


def test_a_bracket_is_halved_on_a_log_scale() -> None:
    """Between 10 and 40 the next rate is 20."""
    assert at(search(), *met(10), *missed(40)) == 20


def test_the_order_of_the_probes_does_not_matter() -> None:
    """So a search can go on from stored probes."""
    probes = [*met(10, 20), *missed(80, 40), Probe(28, "undecided")]
    steps = {next_step(search(), order) for order in itertools.permutations(probes)}
    assert len(steps) == 1


def test_it_stops_once_the_rate_is_known_well_enough() -> None:
    """The result is the highest rate that met the limits, with the bracket and the reason."""
    done = end(search(precision=0.05), *met(10, 20), *missed(21))
    assert (done.rate_rps, done.low_rps, done.high_rps) == (20, 20, 21)
    assert done.reason == (
        "known within 5.0%: met at 20 requests/s; the limits are missed at 21 requests/s: p99_ms 80 (limit 50)"
    )


def test_a_finer_precision_goes_on() -> None:
    """The same bracket is not enough where more was asked for."""
    assert 20 < at(search(precision=0.01), *met(10, 20), *missed(21)) < 21


def test_it_stops_when_the_probes_are_used_up() -> None:
    """And says how well the rate is known."""
    done = end(search(probes=3), *met(10, 20), *missed(80))
    assert (done.rate_rps, done.high_rps) == (20, 80)
    assert done.reason.startswith("all 3 probes are used; known within 300.0%")


@pytest.mark.parametrize("limit", [0.3, 7.7, 10.0, 33.0, 310.0, 4_000.0])
def test_at_most_so_many_probes_and_none_twice(limit: float) -> None:
    """Whatever the limit, a search ends in time, and never repeats a rate."""
    probes: list[Probe] = []
    while isinstance(step := next_step(search(), probes), NextProbe):
        probes.append(Probe(step.rate_rps, "met" if step.rate_rps <= limit else "missed"))
    assert len({probe.rate_rps for probe in probes}) == len(probes) <= 10
    assert step.rate_rps is None or step.rate_rps <= limit
    assert step.high_rps is None or step.high_rps > limit


def test_max_rate_is_never_passed() -> None:
    """The last step up is cut; a limit met there ends the search, open above."""
    assert at(search(max_rate=100), *met(10, 20, 80)) == 100
    done = end(search(max_rate=100), *met(10, 20, 80, 100))
    assert (done.rate_rps, done.high_rps) == (100, None)
    assert "above max_rate" in done.reason


def test_no_probe_is_too_large_to_be_planned() -> None:
    """At 24 h windows, 10 million requests are a rate of 115/s; the probe's workload is accepted there."""
    spec = search(duration="24h", start_rate=60)
    rate = at(spec, *met(60, 90))
    assert rate == 115
    assert probe_workload(spec, rate).rate == 115
    assert "what can be planned" in end(spec, *met(60, 90, 115)).reason


def test_no_probe_is_below_one_request_a_window() -> None:
    """A search that meets nothing ends with no rate, and says so."""
    done = end(search(duration="1s"), *missed(10, 5, 1.25, 1))
    assert (done.rate_rps, done.low_rps, done.high_rps) == (None, None, 1)
    assert done.reason.startswith("no rate is known that meets the limits; the limits are missed at 1 ")


def test_the_capacity_of_an_overloaded_server_is_the_upper_end() -> None:
    """Overloaded at 640 with 100/s completed: the limit lies in [20, 100], and not in its lower half first."""
    overloaded = Probe(640, "missed", "overloaded", capacity_rps=100)
    assert at(search(), *met(10, 20), overloaded) == 50
    assert at(search(), *met(10, 80), overloaded) == pytest.approx((80 * 100) ** 0.5, rel=1e-4)
    done = end(search(), *met(10, 97), overloaded)
    assert done.high_rps == 100
    assert done.reason.endswith("missed at 640 requests/s: overloaded; the server completed 100 a second")


def test_a_capacity_below_a_rate_that_met_is_not_believed() -> None:
    """What was seen to work counts for more than an estimate."""
    done = end(search(), *met(98), Probe(100, "missed", capacity_rps=90))
    assert (done.rate_rps, done.high_rps) == (98, 100)


def test_a_rate_that_met_above_one_that_missed_is_left_out() -> None:
    """Noise may turn two outcomes round; the result stays below every miss."""
    assert end(search(), *met(49, 60), *missed(50)).rate_rps == 49


def test_a_limit_of_the_generator_is_named_as_such() -> None:
    """It bounds the search from above, and the result does not blame the server."""
    limited = Probe(21, "client-limited", "the client used 96 % CPU of 1 core")
    assert at(search(), *met(10), limited) == pytest.approx(210**0.5, rel=1e-4)
    done = end(search(), *met(10, 20.5), limited)
    assert done.rate_rps == 20.5
    assert "the load generator was the limit, not the server, at 21 requests/s: the client used 96 %" in done.reason


def test_a_failed_probe_is_tried_once_more() -> None:
    """The same rate again; if that works, the failure is forgotten."""
    failed = Probe(20, "failed", "server died")
    assert at(search(), *met(10), failed) == 20
    assert at(search(), *met(10), failed, *met(20)) == 80


def test_two_failures_end_the_search_with_what_is_known() -> None:
    """The reason names the rate and the failure."""
    failed = Probe(20, "failed", "server died")
    done = end(search(), *met(10), failed, failed)
    assert (done.rate_rps, done.high_rps) == (10, None)
    assert done.reason == "the probe at 20 requests/s failed twice: server died"


def test_a_failure_of_the_last_probe_is_not_tried_again() -> None:
    """The number of probes is a limit on retries, too."""
    assert end(search(probes=2), *met(10), Probe(20, "failed", "server died")).rate_rps == 10


def test_undecided_at_the_start_goes_up() -> None:
    """More requests in the window decide more."""
    assert at(search(), Probe(10, "undecided")) == 20


def test_an_undecided_rate_splits_the_bracket() -> None:
    """Its upper part is looked at first, then the lower; parts that are narrow enough are not."""
    undecided = Probe(20, "undecided", "p99_ms: too few requests")
    assert at(search(), *met(10), undecided, *missed(40)) == pytest.approx(800**0.5, rel=1e-4)
    assert at(search(), *met(10), undecided, *missed(20.5)) == pytest.approx(200**0.5, rel=1e-4)
    done = end(search(), *met(19.5), undecided, *missed(20.5))
    assert (done.rate_rps, done.high_rps) == (19.5, 20.5)


def test_an_undecided_rate_that_leans_is_taken_for_what_it_leans_to() -> None:
    """The answer is the best estimate; the interval around it holds to outcomes that are sure."""
    up, down = Probe(20, "undecided", leans="met"), Probe(28, "undecided", leans="missed")
    assert at(search(), *met(10), up, down, *missed(40)) == pytest.approx(560**0.5, rel=1e-4)
    done = end(search(), *met(10), up, Probe(20.9, "undecided", "so-so", leans="missed"), *missed(40))
    assert (done.rate_rps, done.low_rps, done.high_rps) == (20, 10, 40)


def test_a_leaning_gives_way_to_what_is_sure() -> None:
    """Below a rate that surely met, or above one that surely missed, it says nothing."""
    wrong = [Probe(10, "undecided", leans="missed"), Probe(40, "undecided", leans="met")]
    done = end(search(), *wrong, *met(20), *missed(20.9))
    assert (done.rate_rps, done.low_rps, done.high_rps) == (20, 20, 20.9)


def test_nothing_but_undecided_asks_for_a_longer_window() -> None:
    """A search that could tell nothing says what would help."""
    done = end(search(probes=2), Probe(10, "undecided"), Probe(20, "undecided"))
    assert (done.rate_rps, done.low_rps, done.high_rps) == (None, None, None)
    assert "a longer duration is needed" in done.reason


def test_undecided_below_a_miss_asks_for_a_longer_window() -> None:
    """Lower rates have fewer requests still, so the search does not go down."""
    done = end(search(), Probe(10, "undecided"), *missed(10.4))
    assert (done.rate_rps, done.high_rps) == (None, 10.4)
    assert "a longer duration is needed" in done.reason


def test_a_probe_has_the_searchs_window_and_seed() -> None:
    """Everything but the rate is the search's own."""
    spec = search(warmup="1s", duration="7s", seed=5, request_timeout="3s")
    poisson = probe_workload(spec, 33.5)
    assert isinstance(poisson, PoissonWorkload)
    assert (poisson.rate, poisson.seed) == (33.5, 5)
    assert (poisson.warmup, poisson.duration, poisson.request_timeout) == (10**9, 7 * 10**9, 3 * 10**9)
    assert isinstance(probe_workload(search(arrivals="constant"), 10), ConstantWorkload)
