"""Tokens from the command line, against a leader that does as it is told."""

import json

import pytest
from support.records import NOON
from support.scripted_leader import Reply, ScriptedLeader
from support.typed_commands import Inferbench

from shared.wire.views import NewTokenView, Page, TokenView

TOKENS = "/api/v1/tokens"
MADE = NewTokenView(name="ann", role="viewer", created_at=NOON, token="ib_viewer_" + "x" * 43)


def test_a_new_token_alone_goes_to_standard_output(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that it can be put into a file; what to know about it goes to standard error."""
    leader.answers("POST", TOKENS, MADE, status=201)
    assert inferbench("tokens", "add", "ann", "--role", "viewer") == 0
    output, errors = capsys.readouterr()
    assert output == MADE.token + "\n"
    assert MADE.token not in errors
    assert json.loads(leader.requests("POST", TOKENS)[0].body) == {"name": "ann", "role": "viewer"}


def test_a_followers_token_is_bound_by_name(leader: ScriptedLeader, inferbench: Inferbench) -> None:
    """As asked for."""
    leader.answers("POST", TOKENS, MADE, status=201)
    assert inferbench("tokens", "add", "host-2", "--role", "follower", "--follower", "f2") == 0
    asked = json.loads(leader.requests("POST", TOKENS)[0].body)
    assert asked == {"name": "host-2", "role": "follower", "follower": "f2"}


def test_tokens_are_listed_without_themselves(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """Name, role and follower."""
    views = tuple(TokenView(name=name, role="follower", follower=bound, created_at=NOON)
                  for name, bound in (("a", "f1"), ("b", None)))  # fmt: skip
    leader.answers("GET", TOKENS, Page[TokenView](items=views))
    assert inferbench("tokens", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines] == [
        ["TOKEN", "ROLE", "FOLLOWER"], ["a", "follower", "f1"], ["b", "follower", "-"],
    ]  # fmt: skip


def test_a_token_is_revoked_after_a_yes(leader: ScriptedLeader, inferbench: Inferbench) -> None:
    """And what the leader refuses is told with its exit code."""
    leader.will("DELETE", f"{TOKENS}/ann", Reply(204))
    leader.refuses("DELETE", f"{TOKENS}/admin", 409, "conflict", "'admin' is the last admin token")
    assert inferbench("tokens", "revoke", "ann", "--yes") == 0
    assert inferbench("tokens", "revoke", "admin", "--yes") == 1
    assert inferbench("tokens", "revoke", "nobody", "--yes") == 5
