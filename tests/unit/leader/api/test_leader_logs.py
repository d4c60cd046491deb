"""Logs: structured, on stderr, without secrets."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from leader import logs
from leader.auth.roles import Role
from leader.auth.tokens import mint


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """The pipeline is global; leave it as it was."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], _ = before
    root.setLevel(before[1])
    structlog.reset_defaults()


def test_an_event_is_one_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Event name and fields, ready for a log store; nothing on stdout."""
    logs.set_up()
    structlog.get_logger("x").info("job.accepted", job_id="j-1", runs=3)
    shown = capsys.readouterr()
    line = json.loads(shown.err)
    assert (line["event"], line["job_id"], line["runs"], line["level"]) == ("job.accepted", "j-1", 3, "info")
    assert shown.out == ""


def test_libraries_speak_through_the_same_pipeline(capsys: pytest.CaptureFixture[str]) -> None:
    """A warning of a library is a JSON line too."""
    logs.set_up()
    logging.getLogger("pymongo").warning("slow %s", "query")
    assert json.loads(capsys.readouterr().err)["event"] == "slow query"


def test_less_severe_events_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The level is a setting."""
    logs.set_up("warning")
    structlog.get_logger("x").info("request.served")
    assert capsys.readouterr().err == ""


def test_tokens_and_passwords_never_reach_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever field they stand in."""
    logs.set_up()
    token = mint(Role.ADMIN)
    structlog.get_logger("x").info("oops", header=f"Bearer {token}", url="redis://:hunter2@127.0.0.1/0")
    shown = capsys.readouterr().err
    assert token not in shown
    assert "hunter2" not in shown
    assert "redis://***@127.0.0.1/0" in shown


def test_a_fault_shown_at_a_terminal_tells_where_and_no_values(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values of variables may be secrets, and there may be many."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    logs.set_up()
    monkeypatch.undo()

    def fail(password: str) -> None:
        raise ValueError(f"{len(password)} letters")

    try:
        fail("hunter2")
    except ValueError:
        structlog.get_logger("x").exception("background.died")
    shown = capsys.readouterr().err
    assert "in fail" in shown
    assert "ValueError: 7 letters" in shown
    assert "hunter2" not in shown.replace('fail("hunter2")', "")
