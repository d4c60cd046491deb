"""The batcher's threads around a model that is a plain function."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from follower.serve.modelserver.server.batcher import Batcher, Executed, Outcome, Work
from follower.serve.modelserver.server.batching import BatchPolicy
from follower.serve.modelserver.server.refusal import OutOfMemory, Refused
from follower.serve.modelserver.server.runtimes.protocol import Run

Array = npt.NDArray[Any]
HOUR_NS = 3_600_000_000_000
TIMEOUT_S = 10


class Model:
    """Doubles its input; remembers its batches; can be held; fails on negative numbers, dies on NaN."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.may_run = threading.Event()
        self.may_run.set()
        self.entered = threading.Semaphore(0)

    def __call__(self, inputs: Mapping[str, Array]) -> Sequence[Array]:
        x = inputs["x"]
        self.batches.append(x[:, 0].tolist())
        self.entered.release()
        assert self.may_run.wait(TIMEOUT_S)
        if np.isnan(x).any():
            raise OutOfMemory("arena is full")
        if (x < 0).any():
            raise Refused("negative")
        return [2 * x]


Start = Callable[..., Batcher]


@pytest.fixture
def model() -> Model:
    """The function that every instance runs."""
    return Model()


@pytest.fixture
def exhausted() -> list[str]:
    """Reasons for which the batcher gave up on memory."""
    return []


@pytest.fixture
def start(model: Model, exhausted: list[str]) -> Iterator[Start]:
    """Makes batchers that the test's end closes."""
    made: list[Batcher] = []

    def start(*, instances: int = 1, runs: Sequence[Run] | None = None, **policy: int) -> Batcher:
        batcher = Batcher(runs or [model] * instances, BatchPolicy(**policy), on_out_of_memory=exhausted.append)
        made.append(batcher)
        return batcher

    yield start
    model.may_run.set()
    for batcher in made:
        batcher.close()


def submit(batcher: Batcher, *numbers: float, width: int = 1) -> Future[Outcome]:
    """One request with a row for each number."""
    future: Future[Outcome] = Future()
    x = np.repeat(np.array(numbers, np.float32)[:, None], width, axis=1)
    batcher.submit(Work({"x": x}, future.set_result))
    return future


def executed(future: Future[Outcome]) -> Executed:
    """A request that went well."""
    outcome = future.result(TIMEOUT_S)
    assert isinstance(outcome, Executed)
    return outcome


def refused(future: Future[Outcome]) -> Refused:
    """A request that did not."""
    outcome = future.result(TIMEOUT_S)
    assert isinstance(outcome, Refused)
    return outcome


def test_without_batching_every_request_runs_alone(start: Start, model: Model) -> None:
    """Also those that could have been together."""
    batcher = start(max_batch_size=1)
    futures = [submit(batcher, n) for n in range(5)]
    assert [executed(future).outputs[0].tolist() for future in futures] == [[[2.0 * n]] for n in range(5)]
    assert model.batches == [[0], [1], [2], [3], [4]]


def test_a_full_batch_runs_at_once_and_everyone_gets_their_own_rows(start: Start, model: Model) -> None:
    """Nobody waits for the delay."""
    batcher = start(max_batch_size=4, max_delay_ns=HOUR_NS)
    first, second = submit(batcher, 1, 2), submit(batcher, 3, 4)
    assert executed(first).outputs[0].tolist() == [[2], [4]]
    assert executed(second).outputs[0].tolist() == [[6], [8]]
    assert executed(first).batch_size == 4
    assert model.batches == [[1, 2, 3, 4]]


def test_a_lonely_request_runs_after_its_delay(start: Start) -> None:
    """Its queue time shows the wait."""
    batcher = start(max_batch_size=4, max_delay_ns=30_000_000)
    outcome = executed(submit(batcher, 1))
    assert outcome.queue_ns >= 30_000_000
    assert outcome.batch_size == 1


def test_requests_that_pile_up_while_the_model_is_busy_go_together(start: Start, model: Model) -> None:
    """Without any delay, too."""
    model.may_run.clear()
    batcher = start(max_batch_size=8)
    futures = [submit(batcher, 0)]
    assert model.entered.acquire(timeout=TIMEOUT_S)
    futures += [submit(batcher, n) for n in (1, 2, 3)]
    model.may_run.set()
    assert [executed(future).batch_size for future in futures] == [1, 3, 3, 3]


def test_different_shapes_are_never_batched(start: Start, model: Model) -> None:
    """They wait side by side."""
    batcher = start(max_batch_size=2, max_delay_ns=HOUR_NS)
    futures = [submit(batcher, 1), submit(batcher, 2, width=3), submit(batcher, 3), submit(batcher, 4, width=3)]
    assert {executed(future).outputs[0].shape for future in futures} == {(1, 1), (1, 3)}
    assert sorted(model.batches) == [[1, 3], [2, 4]]


def test_a_request_above_the_limit_is_executed_alone(start: Start, model: Model) -> None:
    """In one piece."""
    batcher = start(max_batch_size=2, max_delay_ns=HOUR_NS)
    assert executed(submit(batcher, 1, 2, 3)).batch_size == 3
    assert model.batches == [[1, 2, 3]]


def test_a_failing_request_does_not_fail_its_neighbours(start: Start, model: Model) -> None:
    """A batch that fails is executed one by one."""
    batcher = start(max_batch_size=3, max_delay_ns=HOUR_NS)
    futures = [submit(batcher, 1), submit(batcher, -2), submit(batcher, 3)]
    assert executed(futures[0]).outputs[0].tolist() == [[2]]
    assert refused(futures[1]).message == "negative"
    assert executed(futures[2]).outputs[0].tolist() == [[6]]
    assert executed(futures[2]).batch_size == 1
    assert model.batches == [[1, -2, 3], [1], [-2], [3]]


def test_running_out_of_memory_is_answered_and_reported(start: Start, exhausted: list[str]) -> None:
    """Everyone in the batch hears of it, and so does the server."""
    batcher = start(max_batch_size=2, max_delay_ns=HOUR_NS)
    futures = [submit(batcher, 1), submit(batcher, float("nan"))]
    assert [refused(future).status for future in futures] == [503, 503]
    assert exhausted == ["arena is full"]


def test_instances_run_side_by_side(start: Start, model: Model) -> None:
    """Two requests are inside the model at one time."""
    model.may_run.clear()
    batcher = start(instances=2)
    futures = [submit(batcher, 1), submit(batcher, 2)]
    assert all(model.entered.acquire(timeout=TIMEOUT_S) for _ in futures)
    model.may_run.set()
    assert all(executed(future).batch_size == 1 for future in futures)


def test_queue_and_inference_times_are_the_requests_own(start: Start, model: Model) -> None:
    """The second request's wait for the first is queue time, not inference time."""
    model.may_run.clear()
    batcher = start()
    first, second = submit(batcher, 1), submit(batcher, 2)
    assert model.entered.acquire(timeout=TIMEOUT_S)
    threading.Timer(0.2, model.may_run.set).start()
    assert executed(first).inference_ns >= 150_000_000
    assert executed(second).queue_ns >= 150_000_000
    assert executed(second).inference_ns < 150_000_000


def test_closing_refuses_what_waits_and_what_comes(start: Start) -> None:
    """Nobody is left without an answer."""
    batcher = start(max_batch_size=4, max_delay_ns=HOUR_NS)
    waiting = submit(batcher, 1)
    batcher.close()
    assert [refused(future).status for future in (waiting, submit(batcher, 2))] == [503, 503]


def test_many_requests_from_many_threads_are_each_answered_once(start: Start, model: Model) -> None:
    """With two instances and batching, every request gets its own answer."""
    batcher = start(instances=2, max_batch_size=4, max_delay_ns=1_000_000)
    futures: dict[int, Future[Outcome]] = {}

    def client(base: int) -> None:
        for n in range(50):
            futures[base + n] = submit(batcher, base + n)

    clients = [threading.Thread(target=client, args=(100 * number,)) for number in range(4)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert len(futures) == 200
    for number, future in futures.items():
        assert executed(future).outputs[0].tolist() == [[2.0 * number]]
    assert max(len(batch) for batch in model.batches) <= 4
    assert sum(len(batch) for batch in model.batches) == 200
