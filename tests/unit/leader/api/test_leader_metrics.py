"""Prometheus metrics, read back with Prometheus' own parser."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.clocks import FakeClock
from support.queued_runs import queued
from support.stored_runs import run

from leader.api.scrape import MOST_TEAMS, OTHERS, depth_of, fewer_teams, largest, quantiles, shares, within_p90
from leader.manage.endings import Endings
from leader.manage.requeues import Requeues
from leader.metrics import RequestMetrics, StateSnapshot
from leader.perfdb.entities import Spent
from shared.jobs.lifecycle import Cause, RunState, RunStatus
from shared.scheduling.backlog import Backlog
from shared.scheduling.setup_times import Served

PAGE = Path(__file__).parents[4] / "docs" / "metrics.md"
STATE = StateSnapshot(
    runs={"queued": 3, "running": 1},
    queue_predicted_s=42.5,
    followers_alive=2,
    followers_silent=1,
    bell_failures=7,
    background_deaths={"queue": 0},
)


def values(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(sample name, labels) -> value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_state_is_what_it_is_at_the_scrape() -> None:
    """Each part of the snapshot has its metric."""
    found = values(RequestMetrics().render(STATE))
    assert found["inferbench_runs", (("state", "queued"),)] == 3
    assert found["inferbench_runs", (("state", "running"),)] == 1
    assert found["inferbench_queue_predicted_seconds", ()] == 42.5
    assert found["inferbench_followers", (("alive", "true"),)] == 2
    assert found["inferbench_followers", (("alive", "false"),)] == 1
    assert found["inferbench_bell_failures_total", ()] == 7
    assert found["inferbench_background_deaths_total", (("loop", "queue"),)] == 0


def test_scheduling_is_told_by_team_class_and_cause() -> None:
    """Depth, the oldest, what was taken back, what teams used, how predictions did."""
    state = replace(
        STATE,
        depth={("vision", "high"): 2, ("speech", "low"): 5},
        oldest_queued_s=61.5,
        requeues={"lease-expired": 3, "disk-full": 1},
        team_use_s={"vision": 120.0},
        team_use_share={"vision": 1.0},
        team_fair_share={"vision": 0.25},
        prediction_ratios={"0.5": 0.9},
        within_p90=0.85,
        slot_seconds={("cuda", "busy"): 12.5},
        ended={("failed", "server-died"): 2},
    )
    found = values(RequestMetrics().render(state))
    assert found["inferbench_queue_depth", (("priority", "high"), ("team", "vision"))] == 2
    assert found["inferbench_queue_depth", (("priority", "low"), ("team", "speech"))] == 5
    assert found["inferbench_queue_oldest_seconds", ()] == 61.5
    assert found["inferbench_requeues_total", (("cause", "disk-full"),)] == 1
    assert found["inferbench_lease_expiries_total", ()] == 3
    assert found["inferbench_team_use_seconds", (("team", "vision"),)] == 120.0
    assert found["inferbench_team_use_share", (("team", "vision"),)] == 1.0
    assert found["inferbench_team_fair_share", (("team", "vision"),)] == 0.25
    assert found["inferbench_prediction_ratio", (("quantile", "0.5"),)] == 0.9
    assert found["inferbench_prediction_within_p90", ()] == 0.85
    assert found["inferbench_slot_seconds_total", (("device", "cuda"), ("state", "busy"))] == 12.5
    assert found["inferbench_runs_ended_total", (("cause", "server-died"), ("state", "failed"))] == 2


def test_every_metric_is_described_in_the_page_and_no_other() -> None:
    """By the name that a query has."""
    metrics = RequestMetrics()
    metrics.observe(route="getJob", status=200, duration_s=0.03)
    families = text_string_to_metric_families(metrics.render(replace(STATE, within_p90=0.9)).decode())
    shown = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    described = set(re.findall(r"^\| `(inferbench_\w+)`", PAGE.read_text(), re.MULTILINE))
    own = {name for name in shown if name.startswith("inferbench_") and not name.endswith("_created")}
    assert described == own


def test_queries_in_the_page_ask_for_metrics_that_it_describes() -> None:
    """A query for what nobody exports answers nothing, and says so to nobody."""
    page = PAGE.read_text()
    queries = "".join(re.findall(r"^```promql\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    asked = set(re.findall(r"\binferbench_\w+", queries))
    assert asked
    assert asked <= set(re.findall(r"^\| `(inferbench_\w+)`", page, re.MULTILINE))


def test_a_crowd_of_teams_makes_few_series() -> None:
    """Names are users' to choose: the largest keep theirs, the rest share one, and nothing is lost."""
    depth = {(f"team-{number}", priority): number for number in range(1, 200) for priority in ("low", "high")}
    found = fewer_teams(depth)
    assert sum(found.values()) == sum(depth.values())
    assert {team for team, _ in found} == {OTHERS, *(f"team-{number}" for number in range(150, 200))}
    assert set(largest({f"team-{number}": float(number) for number in range(200)})) == {
        f"team-{number}" for number in range(200 - MOST_TEAMS, 200)
    }


def test_prediction_ratios_are_nearest_ranks() -> None:
    """Of 1 to 10; none where nothing has ended."""
    assert quantiles([float(number) for number in range(10, 0, -1)]) == {"0.1": 1.0, "0.5": 5.0, "0.9": 9.0}
    assert quantiles([]) == {}


def test_shares_add_up_to_one() -> None:
    """Of named teams and of all the others; nothing is divided by nothing."""
    assert shares({"a": 1.0, "b": 3.0}, ["b", "a"]) == {"b": 0.75, "a": 0.25}
    assert shares({"a": 1.0, "b": 3.0, "c": 4.0}, ["c"]) == {"c": 0.5, OTHERS: 0.5}
    assert shares({"a": 0.0}, ["a"]) == shares({}, []) == {}


def test_depth_counts_each_team_and_class() -> None:
    """Also of teams whose runs have all left, which have none."""
    runs = [queued(f"r{n}", 1.0, team="ab"[n % 2], priority=("high", "low")[n % 3 == 0]) for n in range(6)]
    backlog = Backlog.of([queued("gone", 1.0, team="gone"), *runs])
    backlog.remove("gone")
    assert depth_of(backlog) == {("a", "high"): 2, ("a", "low"): 1, ("b", "high"): 2, ("b", "low"): 1}
    assert depth_of(Backlog()) == {}


def test_only_runs_with_a_predicted_p90_say_whether_it_held() -> None:
    """Two of three; none of none."""
    spent = Spent(
        run_id="r", team="a", follower="f", served=Served("p", "m", "f"), occupied_s=1.0, last_s=1.0, predicted_s=1.0,
        predicted_p90_s=1.0, ended_at=FakeClock().now - timedelta(days=1),
    )  # fmt: skip
    judged = [spent, replace(spent, last_s=1.1), replace(spent, last_s=0.5), replace(spent, predicted_p90_s=None)]
    assert within_p90(judged) == pytest.approx(2 / 3)
    assert within_p90(judged[3:]) is None


async def test_ends_are_counted_by_state_and_cause() -> None:
    """What goes on, or goes back to the queue, has not ended."""
    counted = Endings()
    for status in (
        RunStatus(state=RunState.SUCCEEDED),
        RunStatus(state=RunState.FAILED, cause=Cause.SERVER_DIED),
        RunStatus(state=RunState.FAILED, cause=Cause.SERVER_DIED),
        RunStatus(state=RunState.RUNNING),
        RunStatus(cause=Cause.LEASE_EXPIRED),
    ):
        await counted.watch(run(status=status))
    assert counted.by_end == {("succeeded", ""): 1, ("failed", "server-died"): 2}


async def test_attempts_that_are_taken_back_are_counted_by_cause() -> None:
    """A requeue and the last one, which loses the run; a cancel and a first queueing are none."""
    counted, status = Requeues(), RunStatus(cause=Cause.LEASE_EXPIRED)
    await counted.watch(run(status=status))
    await counted.watch(run(status=status.model_copy(update={"state": RunState.LOST})))
    await counted.watch(run())
    await counted.watch(run(status=RunStatus(state=RunState.CANCELLED, cause=Cause.CANCELLED_BY_USER)))
    assert counted.by_cause == {"lease-expired": 2}


def test_requests_are_counted_by_route_and_status() -> None:
    """Counts and latencies have the route's name, so that ids in paths make no new series."""
    metrics = RequestMetrics()
    metrics.observe(route="getJob", status=200, duration_s=0.03)
    metrics.observe(route="getJob", status=404, duration_s=0.3)
    found = values(metrics.render(STATE))
    assert found["inferbench_http_requests_total", (("route", "getJob"), ("status", "404"))] == 1
    assert found["inferbench_http_request_duration_seconds_bucket", (("le", "0.05"), ("route", "getJob"))] == 1
    assert found["inferbench_http_request_duration_seconds_count", (("route", "getJob"),)] == 2


def test_two_leaders_in_one_process_do_not_share_counts() -> None:
    """The registry is the leader's own, not the library's global one."""
    RequestMetrics().observe(route="getJob", status=200, duration_s=0.1)
    assert not [name for name, _ in values(RequestMetrics().render(STATE)) if name == "inferbench_http_requests_total"]


def test_the_process_itself_is_measured() -> None:
    """Resident memory has a target, so it is visible."""
    assert values(RequestMetrics().render(STATE))["process_resident_memory_bytes", ()] > 1e6
