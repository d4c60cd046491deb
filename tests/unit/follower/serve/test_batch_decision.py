"""Which requests run next: the decision, without a clock, a thread or a model."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from follower.serve.modelserver.server.batching import BatchPolicy, Take, WaitUntil, next_batch


@dataclass(frozen=True)
class Request:
    """A request in the queue."""

    since_ns: int
    samples: int = 1
    kind: str = "a"


EIGHT = BatchPolicy(max_batch_size=8, max_delay_ns=100)


def test_an_empty_queue_waits_for_a_request() -> None:
    """There is no time to wake up at."""
    assert next_batch([], EIGHT, now_ns=0) == WaitUntil(None)


def test_without_batching_nothing_waits() -> None:
    """Batch size 1 takes the oldest at once, whatever the delay."""
    policy = BatchPolicy(max_batch_size=1, max_delay_ns=1_000_000)
    assert next_batch([Request(0), Request(0)], policy, now_ns=0) == Take((0,))


def test_a_single_request_waits_until_its_delay_is_over() -> None:
    """The delay counts from when the oldest request joined."""
    queue = [Request(50)]
    assert next_batch(queue, EIGHT, now_ns=60) == WaitUntil(150)
    assert next_batch(queue, EIGHT, now_ns=149) == WaitUntil(150)
    assert next_batch(queue, EIGHT, now_ns=150) == Take((0,))


def test_without_a_delay_whatever_is_there_goes_together() -> None:
    """Delay 0 batches what piled up while the model was busy."""
    policy = BatchPolicy(max_batch_size=8)
    assert next_batch([Request(5), Request(6), Request(7)], policy, now_ns=7) == Take((0, 1, 2))


def test_a_full_batch_goes_before_the_delay_is_over() -> None:
    """Waiting longer could not make it better."""
    assert next_batch([Request(0)] * 9, EIGHT, now_ns=1) == Take(tuple(range(8)))


def test_samples_are_counted_not_requests() -> None:
    """Two requests of four samples fill a batch of eight."""
    assert next_batch([Request(0, 4), Request(0, 4), Request(0, 1)], EIGHT, now_ns=1) == Take((0, 1))


def test_a_request_that_does_not_fit_completes_the_batch_before_it() -> None:
    """It is not overtaken by a smaller one behind it."""
    assert next_batch([Request(0, 5), Request(0, 4), Request(0, 3)], EIGHT, now_ns=1) == Take((0,))


def test_a_request_above_the_limit_goes_alone_and_at_once() -> None:
    """It cannot become any better."""
    assert next_batch([Request(0, 20), Request(0, 1)], EIGHT, now_ns=0) == Take((0,))


def test_a_request_above_the_limit_completes_the_batch_before_it() -> None:
    """The one that waits in front goes first, and alone."""
    assert next_batch([Request(0, 1), Request(0, 20)], EIGHT, now_ns=0) == Take((0,))


def test_only_requests_of_one_kind_are_batched() -> None:
    """Different shapes cannot be concatenated."""
    queue = [Request(0, kind="a"), Request(1, kind="b"), Request(2, kind="a")]
    assert next_batch(queue, EIGHT, now_ns=100) == Take((0, 2))


def test_a_full_batch_of_another_kind_may_go_while_the_oldest_still_waits() -> None:
    """The device is not left idle for the sake of the order."""
    queue = [Request(0, kind="a"), *[Request(1, kind="b")] * 8]
    assert next_batch(queue, EIGHT, now_ns=50) == Take(tuple(range(1, 9)))


def test_the_oldest_goes_first_once_its_delay_is_over_even_if_another_kind_is_full() -> None:
    """A rare shape does not starve behind a frequent one."""
    queue = [Request(0, kind="a"), *[Request(1, kind="b")] * 8]
    assert next_batch(queue, EIGHT, now_ns=100) == Take((0,))


@pytest.mark.parametrize("now_ns", [0, 10_000])
def test_a_large_request_of_another_kind_goes_alone(now_ns: int) -> None:
    """One above the limit is complete by itself, wherever it stands."""
    queue = [Request(5_000, kind="a"), Request(5_000, 9, kind="b")]
    expected = Take((0,)) if now_ns else Take((1,))
    assert next_batch(queue, EIGHT, now_ns=now_ns) == expected


requests = st.builds(Request, st.integers(0, 300), st.integers(1, 10), st.sampled_from("ab"))
queues = st.lists(requests, min_size=1, max_size=30).map(lambda some: sorted(some, key=lambda one: one.since_ns))
policies = st.builds(BatchPolicy, max_batch_size=st.integers(1, 8), max_delay_ns=st.integers(0, 200))


@given(queue=queues, policy=policies, now_ns=st.integers(0, 600))
def test_a_batch_is_of_one_kind_in_order_and_within_the_limit(
    queue: list[Request], policy: BatchPolicy, now_ns: int
) -> None:
    """Whatever is taken keeps the rules; whoever waits has a reason to."""
    decision = next_batch(queue, policy, now_ns)
    if isinstance(decision, WaitUntil):
        assert decision.at_ns == queue[0].since_ns + policy.max_delay_ns
        assert decision.at_ns > now_ns
        return
    taken = [queue[place] for place in decision.places]
    assert len({request.kind for request in taken}) == 1
    assert list(decision.places) == sorted(set(decision.places))
    assert len(taken) == 1 or sum(request.samples for request in taken) <= policy.max_batch_size
    skipped = [queue[place] for place in range(decision.places[-1]) if place not in decision.places]
    assert all(request.kind != taken[0].kind for request in skipped)


@given(queue=queues, policy=policies)
def test_every_queue_drains(queue: list[Request], policy: BatchPolicy) -> None:
    """Once all delays are over, repeated decisions execute every request exactly once, oldest first."""
    waiting = list(queue)
    while waiting:
        decision = next_batch(waiting, policy, now_ns=10_000)
        assert isinstance(decision, Take)
        assert decision.places[0] == 0
        waiting = [request for place, request in enumerate(waiting) if place not in decision.places]
