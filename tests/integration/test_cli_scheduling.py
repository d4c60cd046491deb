"""The queue from the command line, against a leader that does as it is told."""

import json
from typing import Any

import pytest
from support.records import NOON, RUN_ID
from support.scripted_leader import ScriptedLeader
from support.stored_runs import registration
from support.typed_commands import Inferbench

from cli.commands.scheduling import apply
from cli.standing import drained, explain_lines, scheduling_lines
from shared.errors import InvalidInput, NotFound
from shared.jobs.lifecycle import RunState
from shared.wire.scheduling import ExplainView, ReasonView, SchedulingSettings, SchedulingView, TeamQuota
from shared.wire.views import Eta, FollowerView, Page

SCHEDULING = "/api/v1/scheduling"
SHOWN = SchedulingView(
    settings=SchedulingSettings(quotas={"vision": TeamQuota(running=2, weight=3)}),
    placements={"late-binding": "..."},
    orders=("fair-share",),
    notices=("team 'vision' has 3 running",),
)
EXPLAINED = ExplainView(
    run_id=RUN_ID, state=RunState.QUEUED, at=NOON, policy="late-binding+fair-share", why="waiting",
    words="2 before it", position=3, queued=9, starts_in=Eta(p50_s=65, p90_s=130), predicted=Eta(p50_s=20, p90_s=30),
    reasons=(ReasonView(name="class", value="normal", words="priority class normal"),),
)  # fmt: skip


def follower(*running: str, cordoned: bool = True) -> FollowerView:
    """As the list shows it."""
    known = registration()
    return FollowerView(
        name="f1", alive=True, last_seen_at=NOON, version="1", inventory=known.inventory,
        capabilities=known.capabilities, slots=known.slots, running=running, cordoned=cordoned,
    )  # fmt: skip


def test_settings_are_shown_with_quotas_and_notices(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """A limit that is not set is a dash."""
    leader.answers("GET", SCHEDULING, SHOWN)
    assert inferbench("scheduling", "show") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == scheduling_lines(SHOWN)
    assert [line.split() for line in lines if line.startswith("vision")] == [["vision", "-", "2", "-", "3"]]
    assert lines[-1] == "note: team 'vision' has 3 running"


def test_a_change_leaves_the_other_settings(leader: ScriptedLeader, inferbench: Inferbench) -> None:
    """What is in force is read, changed and put back whole."""
    leader.answers("GET", SCHEDULING, SHOWN)
    leader.answers("PUT", SCHEDULING, SHOWN)
    assert inferbench("scheduling", "set", "order=shortest-first", "quotas.vision.running=", "quotas.a.b.queued=5") == 0
    put = SchedulingSettings.model_validate_json(leader.requests("PUT", SCHEDULING)[0].body)
    quotas = {"vision": TeamQuota(weight=3), "a.b": TeamQuota(queued=5)}
    assert put == SchedulingSettings(order="shortest-first", quotas=quotas)


def test_an_unknown_policy_is_told_with_the_known_ones(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the leader says it; the exit code is that of wrong input."""
    leader.answers("GET", SCHEDULING, SHOWN)
    leader.refuses("PUT", SCHEDULING, 422, "invalid-input", "there is no order 'x'; known: first-come, fair-share")
    assert inferbench("scheduling", "set", "order=x") == 2
    assert "known: first-come, fair-share" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("aging=0.5", {"aging": 0.5, "quotas": {"v": {"running": 2}}}),
        ("affinity=false", {"affinity": False, "aging": 1, "quotas": {"v": {"running": 2}}}),
        ("quotas.v.weight=2", {"aging": 1, "quotas": {"v": {"running": 2, "weight": 2}}}),
        ("quotas.v=", {"aging": 1, "quotas": {}}),
        ("quotas.a.running.running=1", {"aging": 1, "quotas": {"v": {"running": 2}, "a.running": {"running": 1}}}),
    ],
)
def test_a_change_is_a_path_and_a_value(change: str, expected: dict[str, Any]) -> None:
    """JSON where it is JSON, text where it is not; nothing takes a limit away."""
    settings = {"aging": 1, "quotas": {"v": {"running": 2}}}
    apply(settings, change)
    assert settings == expected


@pytest.mark.parametrize("change", ["order", "=x", "aging.x=1"])
def test_what_is_no_change_is_refused(change: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidInput):
        apply({"aging": 1}, change)


def test_a_run_is_explained(leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]) -> None:
    """State and place, then times, then reasons; what is not in sight is n/a."""
    leader.answers("GET", f"/api/v1/runs/{RUN_ID}/explain", EXPLAINED)
    assert inferbench("explain", RUN_ID) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == explain_lines(EXPLAINED)
    assert lines[0] == f"{RUN_ID}: queued, waiting: 2 before it"
    assert lines[1] == "position 3 of 9 that compete for the same slots, by late-binding+fair-share"
    assert [line.split() for line in lines if line.startswith("ends in")] == [["ends", "in", "n/a", "n/a"]]
    assert lines[-1] == "- priority class normal"


def test_a_cordon_and_its_end_are_shown(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """Draining while it runs something, drained after that, alive once it is uncordoned."""
    leader.answers("POST", "/api/v1/followers/f1/cordon", follower("r1"))
    leader.answers("POST", "/api/v1/followers/f1/uncordon", follower(cordoned=False))
    assert inferbench("cordon", "f1") == 0
    assert "alive, draining" in capsys.readouterr().out
    assert inferbench("uncordon", "f1") == 0
    assert "drain" not in capsys.readouterr().out


def test_drain_waits_until_nothing_runs(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """One look finds a run, the next none; and so does one more, for a claim that was on its way at the cordon."""
    leader.answers("POST", "/api/v1/followers/f1/cordon", follower("r1"))
    leader.answers(
        "GET", "/api/v1/followers", Page[FollowerView](items=(follower("r1"),)), Page[FollowerView](items=(follower(),))
    )
    assert inferbench("drain", "f1") == 0
    assert "alive, drained" in capsys.readouterr().out
    assert len(leader.requests("GET", "/api/v1/followers")) == 3


class Looks:
    """A client whose looks at the list find this; each is a second after the one before."""

    def __init__(self, *running: tuple[str, ...]) -> None:
        self._running = iter(running)
        self.slept_s = 0.0

    def followers(self) -> list[FollowerView]:
        return [follower(*next(self._running))]

    def sleep(self, seconds: float) -> None:
        self.slept_s += seconds


@pytest.mark.parametrize(
    ("looks", "slept_s"),
    [
        (((), ()), 1),
        ((("r1",), ("r1",), (), ()), 3),
        (((), ("r1",), (), ()), 3),  # claimed before the cordon, stored after it
        ((("r1",), (), ("r2",), (), ()), 4),
    ],
)
def test_drained_is_who_runs_nothing_twice_in_a_row(looks: tuple[tuple[str, ...], ...], slept_s: float) -> None:
    """However long what it runs may take."""
    client = Looks(*looks)
    assert drained(client, "f1", client.sleep).running == ()  # type: ignore[arg-type]  # the one call that is made
    assert client.slept_s == slept_s


class Gone:
    """A client of a leader without followers."""

    def followers(self) -> list[FollowerView]:
        return []


def test_a_follower_that_is_gone_cannot_drain() -> None:
    """It is said, instead of waiting for ever."""
    with pytest.raises(NotFound):
        drained(Gone(), "f1")  # type: ignore[arg-type]  # the one call that is made


def test_the_body_of_a_change_is_json(leader: ScriptedLeader, inferbench: Inferbench) -> None:
    """Every setting by its name."""
    leader.answers("GET", SCHEDULING, SHOWN)
    leader.answers("PUT", SCHEDULING, SHOWN)
    assert inferbench("scheduling", "set", "aging=2") == 0
    sent = json.loads(leader.requests("PUT", SCHEDULING)[0].body)
    assert sent == SHOWN.settings.model_copy(update={"aging": 2.0}).model_dump(mode="json")
