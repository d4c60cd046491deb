"""Goodput under several limits at once, on requests counted by hand."""

import pytest
from support.samples import Sent, answered, columns_of, failed, not_sent

from shared.jobs.slo import RequestLimits
from shared.measure.goodput import goodput_of

ROWS = columns_of(
    answered(0, 10),
    answered(10, 20),
    answered(20, 10, late=30),  # response 40, service 10
    Sent(due=30, start=30, send=30, last=60, done=60, queue=25, inference=5),
    Sent(due=40, start=40, send=40, last=45, done=45, queue=None, inference=None),
    failed(50, "reset"),
    not_sent(60),
    failed(70, "http-status", after=0.0),
)


@pytest.mark.parametrize(
    ("limits", "good"),
    [
        (RequestLimits(response_ms=1000), 5),
        (RequestLimits(response_ms=20), 3),
        (RequestLimits(service_ms=20), 4),
        (RequestLimits(response_ms=40, service_ms=10), 3),
        (RequestLimits(queue_ms=25), 4),
        (RequestLimits(queue_ms=24), 3),
        (RequestLimits(inference_ms=10), 3),
        (RequestLimits(response_ms=30, queue_ms=25, inference_ms=5), 1),
        (RequestLimits(response_ms=0.001), 0),
    ],
)
def test_a_good_request_keeps_every_limit(limits: RequestLimits, good: int) -> None:
    """Limits are inclusive; failures are never good; a duration that the server did not report keeps no limit."""
    found = goodput_of(ROWS, limits, span_s=2.0)
    assert found is not None
    assert (found.good, found.offered) == (good, 8)
    assert (found.rps, found.share) == (good / 2.0, good / 8)


@pytest.mark.parametrize("limits", [None, RequestLimits()])
def test_without_a_limit_there_is_no_goodput(limits: RequestLimits | None) -> None:
    """Not available, which is neither all nor nothing."""
    assert goodput_of(ROWS, limits, span_s=2.0) is None


def test_nothing_offered_is_nothing_good() -> None:
    """An empty window divides by nothing."""
    found = goodput_of(columns_of(), RequestLimits(response_ms=1), span_s=1.0)
    assert found is not None
    assert (found.good, found.offered, found.share) == (0, 0, 0.0)
