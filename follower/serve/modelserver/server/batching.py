"""Which waiting requests run next, or until when to wait: decided from a queue and a time, nothing else."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


class Waiting(Protocol):
    """A request in the queue, as far as batching is concerned."""

    @property
    def kind(self) -> Hashable:
        """Equal for requests that may be executed together: same inputs, datatypes, shapes beyond the batch."""
        ...

    @property
    def samples(self) -> int: ...

    @property
    def since_ns(self) -> int:
        """When it joined the queue."""
        ...


@dataclass(frozen=True, kw_only=True)
class BatchPolicy:
    """The job file's ``service.batching``."""

    max_batch_size: int = 1
    max_delay_ns: int = 0


@dataclass(frozen=True, slots=True)
class Take:
    """Execute the requests at these places of the queue together, now."""

    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing to do before this time, unless a request arrives. None: before a request arrives."""

    at_ns: int | None


@dataclass(slots=True)
class _Batch:
    places: list[int]
    samples: int

    def offer(self, place: int, samples: int, limit: int) -> bool:
        """Takes one more if it fits; says whether the batch is complete."""
        if self.samples + samples > limit:
            return True
        self.places.append(place)
        self.samples += samples
        return self.samples == limit


def next_batch(queue: Sequence[Waiting], policy: BatchPolicy, now_ns: int) -> Take | WaitUntil:
    """Applies the rule to a queue in order of arrival.

    * requests of one kind are taken in order, never past one that does not fit, so none is overtaken by its like;
    * a batch is complete when it is full or the next of its kind does not fit; one larger than the limit is alone;
    * the oldest request goes first once its delay is over or its batch is complete;
    * until then a complete batch of another kind may go, because that does not keep the oldest from its time.
    """
    if not queue:
        return WaitUntil(None)
    oldest = queue[0]
    due_ns = oldest.since_ns + policy.max_delay_ns
    if policy.max_batch_size == 1 or oldest.samples >= policy.max_batch_size:
        return Take((0,))
    if now_ns >= due_ns:
        alike = ((place, waiting) for place, waiting in enumerate(queue) if waiting.kind == oldest.kind)
        return Take(_fill(alike, policy.max_batch_size))
    complete = _first_complete(queue, policy.max_batch_size)
    return Take(complete) if complete else WaitUntil(due_ns)


def _fill(candidates: Iterable[tuple[int, Waiting]], limit: int) -> tuple[int, ...]:
    """As many as fit, in order; the first one in any case."""
    batch = _Batch([], 0)
    for place, waiting in candidates:
        if batch.offer(place, waiting.samples, limit):
            break
    return tuple(batch.places)


def _first_complete(queue: Sequence[Waiting], limit: int) -> tuple[int, ...]:
    """The first batch that fills up as the queue is read in order; empty if none does."""
    batches: dict[Hashable, _Batch] = {}
    for place, waiting in enumerate(queue):
        batch = batches.setdefault(waiting.kind, _Batch([], 0))
        if batch.offer(place, waiting.samples, limit):
            return tuple(batch.places) or (place,)
    return ()
