"""From the options of ``simulate`` to streams of runs, and from its figures to lines."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from shared.errors import InvalidInput
from shared.scheduling.evaluate import BASELINES, Evaluation, Interval
from shared.scheduling.stream_file import read_stream
from shared.scheduling.synthetic import Stream, StreamSpec, draw_stream


def slots_of(text: str) -> dict[str, int]:
    """``8``, which means slots of the class cpu, or ``cpu=6,cuda=2``.

    Raises:
        InvalidInput: it is neither.
    """
    found: dict[str, int] = {}
    for part in text.split(","):
        device, _, count = part.strip().rpartition("=")
        if not count.isdecimal() or int(count) < 1 or (device or "cpu") in found:
            raise InvalidInput(f"slots are {text!r}; right is a number above 0, or one for each class: cpu=6,cuda=2")
        found[device or "cpu"] = int(count)
    return found


def streams_of(
    trace: Path | None,
    *,
    law: str,
    runs: int,
    load: float,
    slots: Mapping[str, int],
    teams: int,
    duplicates: float,
    seeds: int,
) -> dict[int, Stream]:
    """Seed -> its stream; that of a trace is the same for all.

    Raises:
        InvalidInput: the trace cannot be read, or a value cannot be.
    """
    if seeds < 1 or teams < 1:
        raise InvalidInput(f"seeds are {seeds} and teams {teams}; both must be 1 or more")
    numbers = range(1, seeds + 1)
    if trace is not None:
        return dict.fromkeys(numbers, _read(trace))
    names = tuple(f"team-{number}" for number in range(1, teams + 1))
    spec = StreamSpec(law=law, runs=runs, load=load, slots=slots, teams=names, duplicates=duplicates)
    return {seed: draw_stream(spec, seed) for seed in numbers}


def _read(trace: Path) -> Stream:
    try:
        return read_stream(trace.read_text("utf-8-sig"), str(trace))
    except OSError as error:
        raise InvalidInput(f"{trace} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{trace} is no trace: it is not UTF-8 text") from error


def evaluation_lines(found: Evaluation) -> Iterator[str]:
    """The figures for people."""
    seeds = found.ratio_to_bound.seeds
    yield f"{found.policy}: {found.runs} runs in {seeds} simulations" + (
        f", {found.reused} answered by an earlier record" if found.reused else ""
    )
    times = (found.mean_completion_s, found.p95_completion_s, found.p99_completion_s)
    yield f"  completion      mean {times[0] / 60:.1f} min, p95 {times[1] / 60:.1f} min, p99 {times[2] / 60:.1f} min"
    yield f"  wait            mean {found.mean_wait_s / 60:.1f} min, longest {found.max_wait_s / 60:.1f} min"
    yield f"  slowdown        mean {found.mean_slowdown:.2f}, p99 {found.p99_slowdown:.2f}"
    yield f"  fairness        Jain index {found.jain_index:.3f} over the teams' speeds"
    idle, lost = f"{found.idle_while_waiting:.1%}", f"{found.wasted:.1%}"
    yield f"  slots           idle while eligible work waits {idle}, lost to deaths {lost}"
    yield f"  certified bound mean completion is {_told(found.ratio_to_bound)} x what no schedule can beat"
    for name in BASELINES:
        yield f"  speed-up        {_told(found.speedup[name])} x over {name}"


def _told(interval: Interval) -> str:
    if interval.low == interval.high:
        return f"{interval.value:.3f}"
    return f"{interval.value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
