"""The leaderboard: comparable records ranked by one metric. Pure.

* Only records of one comparability key are ranked together; each key is a group, the most recently measured first.
* A record that was judged invalid is in no group: its number is not a measurement. It stays readable as a record.
* Equal numbers share a rank, and the next one counts them (1, 2, 2, 4). Among equals the newer stands first.
* A record without the number comes last, behind all that have it, whichever direction is better.
"""

from collections.abc import Sequence
from difflib import get_close_matches

from leader.perfdb.entities import LeaderboardEntry, Task
from shared.errors import InvalidInput, Problem
from shared.measure.metrics import METRICS, Metric
from shared.wire.views import LeaderboardGroup, LeaderboardRow, LeaderboardView


def metric_named(name: str) -> Metric:
    """A registered metric. Raises InvalidInput, with the nearest name."""
    if name in METRICS:
        return METRICS[name]
    near = get_close_matches(name, METRICS, n=1)
    problem = Problem(
        message=f"there is no metric {name!r}",
        path="metric",
        found=name,
        allowed=", ".join(METRICS),
        suggestion=near[0] if near else None,
    )
    raise InvalidInput(str(problem), problems=[problem])


def view_of(metric: Metric, groups: Sequence[tuple[Task, Sequence[LeaderboardEntry]]]) -> LeaderboardView:
    """Each task with its entries, in the order given; groups without entries are left out."""
    return LeaderboardView(
        metric=metric.name,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        groups=tuple(_group(metric, task, entries) for task, entries in groups if entries),
    )


def _group(metric: Metric, task: Task, entries: Sequence[LeaderboardEntry]) -> LeaderboardGroup:
    return LeaderboardGroup(
        comparability_key=task.comparability_key,
        task=task.facts,
        record_count=task.record_count,
        rows=rank(entries, metric),
    )


def rank(entries: Sequence[LeaderboardEntry], metric: Metric) -> tuple[LeaderboardRow, ...]:
    """The entries that are not invalid, best first, with their ranks."""
    counted = [entry for entry in entries if entry.verdict != "invalid"]
    newest_first = sorted(counted, key=lambda entry: entry.run_id, reverse=True)
    ordered = sorted(newest_first, key=lambda entry: _sort_key(entry.metrics.get(metric.name), metric))
    rows: list[LeaderboardRow] = []
    for place, entry in enumerate(ordered, start=1):
        value = entry.metrics.get(metric.name)
        tied = bool(rows) and rows[-1].value == value
        rows.append(_row(entry, value, rows[-1].rank if tied else place))
    return tuple(rows)


def _sort_key(value: float | None, metric: Metric) -> tuple[bool, float]:
    if value is None:
        return True, 0.0
    return False, -value if metric.higher_is_better else value


def _row(entry: LeaderboardEntry, value: float | None, place: int) -> LeaderboardRow:
    return LeaderboardRow(
        rank=place,
        run_id=entry.run_id,
        job_id=entry.job_id,
        name=entry.name,
        team=entry.team,
        follower=entry.follower,
        hardware=entry.hardware,
        platform=entry.platform,
        configuration=entry.configuration,
        value=value,
        metrics=entry.metrics,
        verdict=entry.verdict,
        created_at=entry.created_at,
    )
