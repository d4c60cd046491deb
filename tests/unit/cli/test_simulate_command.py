"""``inferbench simulate``: from the command line to figures, without a server."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from cli.simulating import slots_of, streams_of
from shared.errors import InvalidInput


def simulated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """The figures as JSON."""
    assert run(["simulate", "--seeds", "1", "-o", "json", *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_figures_of_a_trace_are_those_worked_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One slot: 10 s runs while 5 s and 2 s arrive; first-come gives 10, 14, 15, shortest-first 10, 16, 10."""
    trace = tmp_path / "runs.csv"
    trace.write_text("arrival,duration\n0,10\n1,5\n2,2\n")
    options = ("--trace", str(trace), "--slots", "1", "--sigma", "0")
    first = simulated(capsys, *options, "--policy", "first-come")
    assert first["mean_completion_s"] == pytest.approx(39 / 3)
    shortest = simulated(capsys, *options, "--policy", "late-binding+shortest-first")
    assert shortest["mean_completion_s"] == pytest.approx(36 / 3)
    assert shortest["speedup"]["round-robin+first-come"]["value"] == pytest.approx(39 / 36)
    assert shortest["policy"] == "late-binding+shortest-first"


def test_a_workload_is_told_in_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Every figure with its unit, both speed-ups, the bound, and what was reused."""
    options = ["--runs", "200", "--seeds", "2", "--duplicates", "0.3", "--teams", "2", "--slots", "cpu=3,cuda=1"]
    assert run(["simulate", *options]) == 0
    told = capsys.readouterr().out
    assert told.startswith("late-binding+fair-share: 400 runs in 2 simulations, ")
    for part in ("answered by an earlier record", "min", "Jain", "certified bound", "x over queue-aware"):
        assert part in told


def test_the_same_command_gives_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """Everything is drawn from seeds."""
    options = ("--runs", "100", "--deaths", "5")
    assert simulated(capsys, *options) == simulated(capsys, *options)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--policy", "fastest"], "late-binding, first-come"),
        (["--workload", "x"], "uniform, log-normal, bimodal, sweeps"),
        (["--slots", "cpu"], "cpu=6,cuda=2"),
        (["--load", "0"], "load is 0"),
        (["--seeds", "0"], "1 or more"),
        (["--trace", "/does/not/exist"], "cannot be read"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be_right(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, no traceback."""
    assert run(["simulate", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_negative_duration_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a job file."""
    trace = tmp_path / "runs.csv"
    trace.write_text("arrival,duration\n0,10\n1,-5\n")
    assert run(["simulate", "--trace", str(trace)]) == 2
    assert "3:1: duration" in capsys.readouterr().err
    trace.write_bytes(b"\xff\xfe\x00")
    assert run(["simulate", "--trace", str(trace)]) == 2


@pytest.mark.parametrize("text", ["0", "cpu=", "cpu=1,cpu=2", "-3", "1,2", ""])
def test_slots_that_mean_nothing_are_refused(text: str) -> None:
    """Zero, nothing, a class twice."""
    with pytest.raises(InvalidInput):
        slots_of(text)


def test_every_seed_has_a_stream_of_its_own() -> None:
    """A trace is the same for all."""
    assert slots_of("8") == {"cpu": 8}
    streams = streams_of(None, law="uniform", runs=5, load=0.5, slots={"cpu": 1}, teams=2, duplicates=0, seeds=3)
    assert list(streams) == [1, 2, 3]
    assert len({float(stream.arrival_s[0]) for stream in streams.values()}) == 3
