"""Carries out what ``batching`` decides: one thread per instance of the model, around one queue."""

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import numpy.typing as npt

from follower.serve.modelserver.server.batching import BatchPolicy, Take, next_batch
from follower.serve.modelserver.server.execution import Tensors, kind_of, samples_of, split, stack
from follower.serve.modelserver.server.refusal import OutOfMemory, Refused
from follower.serve.modelserver.server.runtimes.protocol import Run

_NS_PER_S: Final = 1_000_000_000
_JOIN_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Executed:
    """A request's outputs and where its time went."""

    outputs: Sequence[npt.NDArray[Any]]
    queue_ns: int  # from joining the queue until its execution began
    inference_ns: int  # of the batch that it was part of
    batch_size: int  # samples of that batch


Outcome = Executed | Refused


@dataclass(slots=True, eq=False)
class Work:
    """A request on its way. ``finish`` is called once, from a worker's thread."""

    inputs: Tensors
    finish: Callable[[Outcome], None]
    since_ns: int = field(default_factory=time.perf_counter_ns)
    samples: int = field(init=False)
    kind: Hashable = field(init=False)

    def __post_init__(self) -> None:
        self.samples = samples_of(self.inputs)
        self.kind = kind_of(self.inputs)


class Batcher:
    """Takes requests in any number and executes them in batches."""

    def __init__(self, runs: Sequence[Run], policy: BatchPolicy, *, on_out_of_memory: Callable[[str], None]) -> None:
        self._policy = policy
        self._on_out_of_memory = on_out_of_memory
        self._queue: list[Work] = []
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, args=(run,), name=f"instance-{number}", daemon=True)
            for number, run in enumerate(runs)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Work) -> None:
        """Queues a request; its ``finish`` will be called."""
        with self._changed:
            if not self._closed:
                self._queue.append(work)
                self._changed.notify()
                return
        work.finish(_stopping())

    def close(self) -> None:
        """Ends the workers after what they are executing; what still waits is refused."""
        with self._changed:
            self._closed = True
            waiting, self._queue = self._queue, []
            self._changed.notify_all()
        for work in waiting:
            work.finish(_stopping())
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _work(self, run: Run) -> None:
        while batch := self._take():
            self._execute(run, batch)

    def _take(self) -> list[Work]:
        """Blocks until a batch is due; empty once closed."""
        with self._changed:
            while not self._closed:
                now_ns = time.perf_counter_ns()
                decision = next_batch(self._queue, self._policy, now_ns)
                if isinstance(decision, Take):
                    return self._remove(decision.places)
                timeout_s = None if decision.at_ns is None else (decision.at_ns - now_ns) / _NS_PER_S
                self._changed.wait(timeout_s)
        return []

    def _remove(self, places: Sequence[int]) -> list[Work]:
        batch = [self._queue[place] for place in places]
        for place in reversed(places):
            del self._queue[place]
        if self._queue:
            self._changed.notify()  # another worker may have something to do as well
        return batch

    def _execute(self, run: Run, batch: Sequence[Work]) -> None:
        """Runs a batch; if it fails, each request alone, so that none fails for another's sake."""
        try:
            outcomes: Sequence[Outcome] = _run(run, batch)
        except Refused as refused:
            if len(batch) > 1:
                for work in batch:
                    self._execute(run, [work])
                return
            outcomes = [refused]
        except OutOfMemory as error:
            outcomes = [Refused(f"out of memory: {error}", HTTPStatus.SERVICE_UNAVAILABLE)] * len(batch)
            self._on_out_of_memory(str(error))
        for work, outcome in zip(batch, outcomes, strict=True):
            work.finish(outcome)


def _run(run: Run, batch: Sequence[Work]) -> list[Executed]:
    sizes = [work.samples for work in batch]
    try:
        inputs = stack([work.inputs for work in batch])
    except MemoryError as error:
        raise OutOfMemory("a batch does not fit into memory") from error
    start_ns = time.perf_counter_ns()
    outputs = run(inputs)
    inference_ns = time.perf_counter_ns() - start_ns
    shares = split(outputs, sizes)
    total = sum(sizes)
    return [
        Executed(share, start_ns - work.since_ns, inference_ns, total)
        for work, share in zip(batch, shares, strict=True)
    ]


def _stopping() -> Refused:
    return Refused("the server is stopping", HTTPStatus.SERVICE_UNAVAILABLE)
