"""From a span of time to seconds, and from a replay's figures to lines."""

import re
from collections.abc import Iterator
from typing import Final

from cli.quantities import NOT_AVAILABLE, seconds
from cli.tables import table
from shared.errors import InvalidInput
from shared.jobs.units import parse_duration_ns
from shared.scheduling.replay import PolicyReplay, Replay

_DAYS: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)d")
_DAY_S: Final = 86_400.0
_HEADS: Final = (
    "POLICY", "MEAN", "P95", "P99", "SLOWDOWN", "LONGEST WAIT", "JAIN", "IDLE", "RATIO TO BOUND", "MEAN VS IN FORCE",
    "VS REAL",
)  # fmt: skip


def span_s(text: str) -> float:
    """``7d``, ``12h`` or ``30m`` in seconds; at least one second.

    Raises:
        InvalidInput: it is no such span.
    """
    days = _DAYS.fullmatch(text.strip())
    try:
        found_s = float(days[1]) * _DAY_S if days else parse_duration_ns(text) / 1e9
    except ValueError:
        found_s = 0.0
    if found_s < 1:
        raise InvalidInput(f"the span is {text!r}; right is a number with a unit, one second or more: 7d, 12h, 30m")
    return found_s


def replay_lines(found: Replay, since: str, left_out: int) -> Iterator[str]:
    """One line a policy, the one in force first, under what really happened."""
    slots = ",".join(f"{device}={count}" for device, count in sorted(found.slots.items()))
    whose = f" of team {found.team}" if found.team else ""
    yield f"{found.happened.runs} runs{whose} that ended within {since}, replayed on the slots {slots}"
    if left_out:
        yield f"note: {left_out} runs are left out: an older version did not note when they were submitted"
    happened = found.happened
    rows = [
        (
            "(what happened)",
            *map(seconds, (happened.mean_completion_s, happened.p95_completion_s, happened.p99_completion_s)),
            f"{happened.mean_slowdown:.2f}",
            seconds(happened.max_wait_s),
            f"{happened.jain_index:.3f}",
            *[NOT_AVAILABLE] * 4,
        )
    ]
    yield from table(_HEADS, [*rows, *map(_row, found.policies)])
    yield "MEAN, P95 and P99 are times from submit to end; in brackets 95 % intervals; the first policy is in force"


def _row(replayed: PolicyReplay) -> tuple[str, ...]:
    figures = replayed.figures
    bound, over = figures.ratio_to_bound, replayed.over_in_force
    return (
        figures.policy,
        *map(seconds, (figures.mean_completion_s, figures.p95_completion_s, figures.p99_completion_s)),
        f"{figures.mean_slowdown:.2f}",
        seconds(figures.max_wait_s),
        f"{figures.jain_index:.3f}",
        f"{figures.idle_while_waiting:.1%}",
        f"{bound.value:.3f} ({bound.low:.3f} to {bound.high:.3f})",
        f"{_change(over.value)} % ({_change(over.low)} to {_change(over.high)})",
        f"{_change(replayed.over_happened.value)} %",
    )


def _change(ratio: float) -> str:
    """In percent; below zero it is shorter."""
    return f"{100 * (ratio - 1):+.1f}"
