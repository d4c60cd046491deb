"""``inferbench replay``: a leader's history, from the command line to figures."""

import json

import pytest
from support.scripted_leader import Reply, ScriptedLeader
from support.typed_commands import Inferbench

from cli.replaying import span_s
from shared.errors import InvalidInput
from shared.wire.history import HEADER, HistoryFacts
from shared.wire.scheduling import SchedulingSettings

HISTORY = "/api/v1/history"
HEAD = "arrival,duration,team,device,predicted,ended\n"
RUNS = "100,10,a,cpu,10,110\n101,5,a,cpu,5,115\n102,2,b,cpu,2,117\n"
"""One slot, first come first served: completions of 10, 14 and 15 s."""


def tells(leader: ScriptedLeader, text: str = RUNS, *, left_out: int = 0, slots: dict[str, int] | None = None) -> None:
    """The leader has this history, and first-come in force."""
    facts = HistoryFacts(
        slots={"cpu": 1} if slots is None else slots, settings=SchedulingSettings(order="first-come"), left_out=left_out
    )
    leader.will("GET", HISTORY, Reply(200, (HEAD + text).encode(), {HEADER: facts.model_dump_json()}))


def test_the_figures_are_those_worked_by_hand(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """First-come 39 / 3 s as it really was; shortest-first 36 / 3 s."""
    tells(leader)
    assert inferbench("replay", "--policy", "shortest-first", "--since", "12h", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert leader.requests("GET", HISTORY)[0].query == {"within_s": "43200"}
    assert found["happened"]["mean_completion_s"] == pytest.approx(13.0)
    in_force, shortest = found["policies"]
    assert in_force["figures"]["policy"] == "late-binding+first-come"
    assert in_force["figures"]["mean_completion_s"] == pytest.approx(13.0)
    assert shortest["figures"]["mean_completion_s"] == pytest.approx(12.0)
    assert shortest["over_in_force"]["value"] == shortest["over_happened"]["value"] == pytest.approx(36 / 39)


def test_every_policy_is_a_line_under_what_happened(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """The one in force first, then the usual ones; what older versions noted is told."""
    tells(leader, left_out=4)
    assert inferbench("replay") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 runs that ended within 7d, replayed on the slots cpu=1"
    assert lines[1].startswith("note: 4 runs are left out")
    assert [line.split()[0] for line in lines[3:7]] == [
        "(what", "late-binding+first-come", "queue-aware+shortest-first", "round-robin+first-come",
    ]  # fmt: skip
    assert "-7.7 %" in lines[5]  # 36 / 39
    assert "+0.0 %" in lines[4]


def test_a_team_s_figures_and_other_slots_are_asked_for_by_option(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """With three slots team b's 2 s start at once."""
    tells(leader, slots={})
    assert inferbench("replay", "--team", "b", "--slots", "3", "--policy", "first-come", "-o", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["slots"], found["team"], found["happened"]["runs"]) == ({"cpu": 3}, "b", 1)
    assert [policy["figures"]["mean_completion_s"] for policy in found["policies"]] == [2.0]


@pytest.mark.parametrize(
    "case",
    [
        (
            ["--policy", "fastest"],
            RUNS,
            2,
            "allowed: round-robin, queue-aware, late-binding, first-come",
        ),
        (["--since", "7"], RUNS, 2, "7d, 12h, 30m"),
        (["--slots", "none"], RUNS, 2, "cpu=6,cuda=2"),
        (["--since", "1h"], "", 5, "no run that took a slot has ended within 1h"),
        (["--team", "c"], RUNS, 5, "no run of team 'c'; it has runs of a, b"),
        ([], RUNS.replace("cpu", "cuda"), 2, "--slots cpu=1,cuda=1"),
    ],
)
def test_what_cannot_be_replayed_is_told(
    leader: ScriptedLeader,
    inferbench: Inferbench,
    capsys: pytest.CaptureFixture[str],
    case: tuple[list[str], str, int, str],
) -> None:
    """With what would be right; without a traceback."""
    options, text, code, told = case
    tells(leader, text)
    assert inferbench("replay", *options) == code
    assert told in capsys.readouterr().err


def test_a_wrong_policy_is_told_before_the_leader_is_asked(leader: ScriptedLeader, inferbench: Inferbench) -> None:
    """The history may be long."""
    tells(leader)
    assert inferbench("replay", "--policy", "late-binding+late-binding") == 2
    assert leader.requests("GET", HISTORY) == []


def test_an_answer_without_its_facts_is_no_history(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """Something else listens there, or another version."""
    leader.will("GET", HISTORY, Reply(200, (HEAD + RUNS).encode()))
    assert inferbench("replay") == 1
    assert HEADER in capsys.readouterr().err


@pytest.mark.parametrize(("text", "expected_s"), [("7d", 604_800), ("1.5d", 129_600), ("12h", 43_200), ("90s", 90)])
def test_a_span_is_a_number_with_a_unit(text: str, expected_s: float) -> None:
    """Days, too."""
    assert span_s(text) == expected_s


@pytest.mark.parametrize("text", ["", "7", "-1d", "0d", "10ms", "a week", "1e3d"])
def test_what_is_no_span_is_refused(text: str) -> None:
    """Nor is less than a second one."""
    with pytest.raises(InvalidInput, match="7d, 12h, 30m"):
        span_s(text)
