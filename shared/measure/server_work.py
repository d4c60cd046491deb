"""What the server itself counted inside the window: the difference of two readings of its counters. Pure."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CounterReading(_Part):
    """A server's sums since its start, at a moment. None: it does not count that."""

    at_ns: int
    inferences: int  # samples
    executions: int  # batches
    queue_ns: int | None = None  # of all requests together
    input_ns: int | None = None
    inference_ns: int | None = None
    output_ns: int | None = None
    batches: dict[str, int] = {}  # executed batch size -> executions


class ServerWork(_Part):
    """What the server counted between two readings, which stand at the planned window's edges or a little inside."""

    from_s: float  # of the first reading, after the plan's zero
    to_s: float
    inferences: int  # samples
    executions: int  # batches
    batch_size_mean: float | None  # samples in an execution; None where there was none
    queue_ms: float | None  # of all requests together
    input_ms: float | None
    inference_ms: float | None
    output_ms: float | None
    batches: dict[str, int]  # executed batch size -> executions


def server_work(readings: Sequence[CounterReading], origin_ns: int) -> ServerWork | None:
    """The difference of the first and the last reading; None where there are not two.

    Counters that ran backwards are those of another server: nothing is said then.
    """
    if not readings or readings[0].at_ns == readings[-1].at_ns:
        return None
    first, last = readings[0], readings[-1]
    inferences, executions = last.inferences - first.inferences, last.executions - first.executions
    if inferences < 0 or executions < 0:
        return None
    grown = {size: count - first.batches.get(size, 0) for size, count in last.batches.items()}
    return ServerWork(
        from_s=(first.at_ns - origin_ns) / NS_PER_S,
        to_s=(last.at_ns - origin_ns) / NS_PER_S,
        inferences=inferences,
        executions=executions,
        batch_size_mean=inferences / executions if executions else None,
        queue_ms=_grown_ms(first.queue_ns, last.queue_ns),
        input_ms=_grown_ms(first.input_ns, last.input_ns),
        inference_ms=_grown_ms(first.inference_ns, last.inference_ns),
        output_ms=_grown_ms(first.output_ns, last.output_ns),
        batches={size: grown[size] for size in sorted(grown, key=int) if grown[size]},
    )


def _grown_ms(first_ns: int | None, last_ns: int | None) -> float | None:
    return None if first_ns is None or last_ns is None else (last_ns - first_ns) / NS_PER_MS
