"""The doctor's judgement: facts in, checks with fixes out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.doctor import Check, check_lines, diagnose
from cli.facts import Facts, LeaderFacts

GIB = 1024**3
WELL = Facts(
    python=(3, 11, 7),
    system="Linux",
    logical_cores=8,
    affinity=frozenset(range(8)),
    free_memory_bytes=16 * GIB,
    free_disk_bytes=100 * GIB,
    data_dir=Path(".inferbench"),
    governor="performance",
    load_1m=0.1,
    parts={"inferbench": "0.1.0", "onnxruntime": "1.31.1"},
    platforms={"onnxruntime": "1.31.1", "triton": None},
    leader=LeaderFacts(url="http://127.0.0.1:8080", version="0.1.0", followers={"local": True}),
)


def check(name: str, **changes: Any) -> Check:
    """The check of this name, where these facts differ from a healthy machine's."""
    return next(each for each in diagnose(replace(WELL, **changes)) if each.name == name)


def test_a_healthy_machine_has_nothing_to_mend() -> None:
    """All ok, and no fixes offered."""
    checks = diagnose(WELL)
    assert {each.status for each in checks} == {"ok"}
    assert {each.fix for each in checks} == {""}


def test_platforms_that_are_not_installed_are_named_and_no_fault() -> None:
    """Engines are installed where they are wanted, and by nobody else."""
    assert check("platforms").found == "onnxruntime 1.31.1; not here: triton"


@pytest.mark.parametrize(
    ("name", "changes", "status"),
    [
        ("python", {"python": (3, 10, 0)}, "fail"),
        ("system", {"system": "Darwin"}, "fail"),
        ("cores", {"affinity": frozenset({0})}, "warn"),
        ("memory", {"free_memory_bytes": GIB}, "warn"),
        ("disk", {"free_disk_bytes": GIB}, "warn"),
        ("disk", {"free_disk_bytes": 1000}, "fail"),
        ("governor", {"governor": "powersave"}, "warn"),
        ("load", {"load_1m": 3.0}, "warn"),
        ("onnxruntime", {"parts": {"inferbench": "0.1.0", "onnxruntime": None}}, "fail"),
        ("platforms", {"platforms": {"triton": None}}, "warn"),
        ("leader", {"leader": LeaderFacts(url=None, problem="none runs")}, "warn"),
        ("leader", {"leader": LeaderFacts(url="http://x", problem="refused")}, "fail"),
        ("token", {"leader": LeaderFacts(url="http://x", refused=True, problem="unknown token")}, "fail"),
        ("version", {"leader": LeaderFacts(url="http://x", version="0.2.0", followers={"a": True})}, "warn"),
        ("followers", {"leader": LeaderFacts(url="http://x", version="0.1.0", followers={"a": False})}, "fail"),
        ("followers", {"leader": LeaderFacts(url="http://x", version="0.1.0")}, "fail"),
        (
            "followers",
            {"leader": LeaderFacts(url="http://x", version="0.1.0", followers={"a": True, "b": False})},
            "warn",
        ),
    ],
)
def test_what_is_wrong_comes_with_its_fix(name: str, changes: dict[str, Any], status: str) -> None:
    """Each finding has a status that fits and says what to do."""
    found = check(name, **changes)
    assert found.status == status
    assert found.fix


def test_a_governor_that_cannot_be_seen_is_not_blamed() -> None:
    """Virtual machines often show none; that is said, not counted."""
    assert check("governor", governor=None).status == "ok"
    assert "not shown" in check("governor", governor=None).found


def test_the_fix_stands_beneath_its_finding() -> None:
    """One line a check, one more where something is to be done."""
    lines = check_lines(diagnose(replace(WELL, load_1m=9.0)))
    place = next(n for n, line in enumerate(lines) if line.startswith("warn  load"))
    assert "->" in lines[place + 1]
    assert len(lines) == len(diagnose(WELL)) + 1
