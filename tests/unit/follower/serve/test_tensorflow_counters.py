"""Counters from a Prometheus page: the stand-in's own, and TensorFlow Serving's."""

import pytest

from follower.serve.protocol import ServerStatistics
from follower.serve.tensorflow.prometheus import samples, statistics_of
from follower.serve.tensorflow.server.counters import Counters

PAGE = """# TYPE :tensorflow:serving:request_count counter
:tensorflow:serving:request_count{model_name="m",status="OK"} 40
:tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"} 2
:tensorflow:serving:batching_session:wrapped_run_count{} 12
# TYPE :tensorflow:serving:batching_session:queuing_latency histogram
:tensorflow:serving:batching_session:queuing_latency_bucket{thread_pool_name="a",le="100"} 1
:tensorflow:serving:batching_session:queuing_latency_sum{thread_pool_name="a"} 1500.5
:tensorflow:serving:batching_session:queuing_latency_sum{thread_pool_name="b"} 2
"""


def test_the_stand_ins_counters_are_read_as_they_were_counted() -> None:
    """Samples, batches by size, and both times."""
    counters = Counters("m")
    for size, inference_ns in ((4, 100), (4, 150), (1, 30)):
        counters.executed(size, inference_ns)
    counters.answered("OK", 70)
    counters.answered("OK", 5)
    counters.answered("NOT_FOUND")
    assert statistics_of(counters.page()) == ServerStatistics(
        inferences=9, executions=3, queue_ns=75, inference_ns=280, batches={1: 1, 4: 2}
    )
    assert ':tensorflow:serving:request_count{model_name="m",status="NOT_FOUND"} 1' in counters.page()


def test_before_the_first_request_everything_is_zero() -> None:
    """Known to be none, not unknown."""
    assert statistics_of(Counters("m").page()) == ServerStatistics(
        inferences=0, executions=0, queue_ns=0, inference_ns=0, batches={}
    )


def test_tensorflow_servings_counters_are_taken_for_what_they_are() -> None:
    """Successful requests and runs; the queue in microseconds; no time of inference, for none is apart."""
    assert statistics_of(PAGE) == ServerStatistics(inferences=40, executions=12, queue_ns=1_502_500)


def test_without_batching_every_request_is_one_execution() -> None:
    """No batching session counts then."""
    page = PAGE.partition(":tensorflow:serving:batching_session")[0]
    assert statistics_of(page) == ServerStatistics(inferences=40, executions=40)


@pytest.mark.parametrize("page", ["", "not a page", 'other{a="b"} 1', "x one"])
def test_a_page_without_these_counters_has_no_statistics(page: str) -> None:
    """None, not zeros."""
    assert statistics_of(page) is None


def test_labels_are_read_with_their_values() -> None:
    """And what is no number is left out."""
    assert list(samples('a{b="c",d="e"} 1.5e3\n# a 7\na NaNs\n')) == [("a", {"b": "c", "d": "e"}, 1500.0)]
