"""The command line in this process, connected to a leader that does as it is told: fixtures for tests/integration."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.scripted_leader import ScriptedLeader, scripted_leader, token_file

from cli.main import run

Inferbench = Callable[..., int]
"""Takes the words that a user types; gives the exit code."""


@pytest.fixture
def leader() -> Iterator[ScriptedLeader]:
    """A leader that does as it is told."""
    with scripted_leader() as running:
        yield running


@pytest.fixture
def inferbench(leader: ScriptedLeader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inferbench:
    """The command line, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    connection = ["--url", leader.url, "--token-file", str(token_file(tmp_path))]
    return lambda *words: run([*connection, *words])
