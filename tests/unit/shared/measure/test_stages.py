"""The split of a request into stages."""

from dataclasses import replace

import numpy as np
import pytest
from support.samples import MS, Sent, answered, columns_of

from shared.measure.latency import response_ns
from shared.measure.record import STAGES
from shared.measure.stages import stage_times, summarize_stages

FULL = Sent(due=0, start=1, send=3, last=13, done=17, queue=2, inference=5)


def test_each_stage_is_what_its_stamps_say() -> None:
    """1 ms late, 2 ms before, 10 ms away of which the server explains 7, 4 ms after."""
    times = stage_times(columns_of(FULL)).durations_ns
    assert {stage: int(times[stage][0]) / MS for stage in STAGES} == {
        "preprocess": 2,
        "transmission": 3,
        "queue": 2,
        "inference": 5,
        "postprocess": 4,
        "unattributed": 1,
    }


def test_where_the_server_runs_the_pipeline_its_own_times_are_the_stages() -> None:
    """Of 10 ms away it explains 2 + 5 + 1.5 + 0.5; the client's 2 ms before and 4 ms after are in no stage."""
    sent = replace(FULL, server_pre=1.5, server_post=0.5)
    times = stage_times(columns_of(sent)).durations_ns
    assert {stage: float(times[stage][0]) / MS for stage in STAGES} == {
        "preprocess": 1.5,
        "transmission": 1,
        "queue": 2,
        "inference": 5,
        "postprocess": 0.5,
        "unattributed": 7,
    }
    assert sum(int(times[stage][0]) for stage in STAGES) == 17 * MS


def test_half_a_report_of_the_servers_pipeline_is_none() -> None:
    """Then the client's own times stand, as in every other run."""
    half = replace(FULL, server_pre=1.5)
    assert stage_times(columns_of(half)).durations_ns["preprocess"][0] == 2 * MS


def test_stages_sum_to_the_response_latency_of_every_request() -> None:
    """Exactly, in nanoseconds, also where the server reported nothing or only half."""
    rng = np.random.default_rng(3)
    requests = []
    for _ in range(300):
        due, late, pre, away, post = rng.uniform(0, 50, 5)
        reported = rng.integers(0, 3)
        queue, inference = (None if reported == 0 else away / 4), (None if reported < 2 else away / 3)
        send = due + late + pre
        requests.append(
            Sent(
                due=due, start=due + late, send=send, last=send + away, done=send + away + post,
                queue=queue, inference=inference,
            )
        )  # fmt: skip
    columns = columns_of(*requests)
    total = np.sum(list(stage_times(columns).durations_ns.values()), axis=0)
    assert (total == response_ns(columns)).all()


def test_what_the_server_did_not_report_is_not_available_rather_than_zero() -> None:
    """Without a report the three stages of the server have no sample, and the rest is unattributed."""
    silent = Sent(due=0, start=0, send=2, last=12, done=13, queue=None, inference=None)
    stages = summarize_stages(columns_of(silent))
    for stage in ("transmission", "queue", "inference"):
        assert stages[stage].n == 0
        assert stages[stage].mean_ms is None
        assert stages[stage].share is None
    assert stages["unattributed"].mean_ms == 10.0
    assert stages["preprocess"].share == pytest.approx(2 / 13)


def test_shares_are_of_the_requests_that_have_the_stage() -> None:
    """Two requests of 10 ms, one reported: inference is 80 % of that one, not 40 % of both."""
    silent = Sent(due=0, start=0, send=0, last=10, done=10, queue=None, inference=None)
    stages = summarize_stages(columns_of(answered(0, 10), silent, Sent(due=0, last=10, done=10, inference=8, queue=0)))
    assert stages["inference"].n == 2
    assert stages["inference"].share == pytest.approx(18 / 20)


def test_shares_sum_to_one() -> None:
    """Over complete requests nothing is lost."""
    stages = summarize_stages(columns_of(FULL, answered(5, 30, late=2), answered(9, 1)))
    assert sum(stages[stage].share or 0.0 for stage in STAGES) == pytest.approx(1.0)
