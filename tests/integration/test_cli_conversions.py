"""Conversions in the background, from the command line."""

import json
from typing import Any

import pytest
from support.scripted_leader import ScriptedLeader
from support.typed_commands import Inferbench

from cli.conversions import follow_conversion, state_text
from shared.wire.conversions import ConversionView
from shared.wire.views import Page

ID = "c-00000000000000000000000001"
PATH = f"/api/v1/conversions/{ID}"


def view(**changes: Any) -> ConversionView:
    """A queued one."""
    fields = {
        "id": ID, "owner": "ann", "model": "net", "version": 2, "to": "int8", "name": "net-int8", "state": "queued",
        "attempt": 0, "waiting": "no converter has taken it yet",
        "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    return ConversionView.model_validate({**fields, **changes})


RUNNING = view(state="running", attempt=2, converter="local", waiting=None)
DONE = view(
    state="succeeded", attempt=2, converter="local", waiting=None, cause="version 1 of net-int8 is ready",
    result={"name": "net-int8", "version": 1, "sha256": "ab" * 32},
)  # fmt: skip
FAILED = view(state="failed", attempt=1, waiting=None, cause="the model has no inputs")
CANCELLED = view(state="cancelled", waiting=None, cause="cancelled by ann")


def test_a_conversion_in_the_background_is_asked_for_and_its_id_printed(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what was said is sent; nothing is fetched."""
    leader.answers("POST", "/api/v1/conversions", view(), status=202)
    assert inferbench("models", "convert", "net", "--to", "int8", "--background") == 0
    assert capsys.readouterr().out == f"{ID}\n"
    more = ("--version", "2", "--dataset", "synthetic", "--as", "small")
    assert inferbench("models", "convert", "net", "--to", "int8", "--background", *more) == 0
    plain, full = (json.loads(asked.body) for asked in leader.requests("POST", "/api/v1/conversions"))
    assert plain == {"model": {"name": "net"}, "to": "int8"}
    assert full == {"model": {"name": "net", "version": 2}, "to": "int8", "dataset": "synthetic", "as": "small"}


@pytest.mark.parametrize(("end", "code"), [(DONE, 0), (FAILED, 1), (CANCELLED, 130)])
def test_following_ends_with_the_conversion_and_its_exit_code(
    leader: ScriptedLeader,
    inferbench: Inferbench,
    capsys: pytest.CaptureFixture[str],
    end: ConversionView,
    code: int,
) -> None:
    """Each end is told with its cause."""
    leader.answers("POST", "/api/v1/conversions", view(), status=202)
    leader.answers("GET", PATH, end)
    assert inferbench("models", "convert", "net", "--to", "int8", "--background", "--follow") == code
    told = capsys.readouterr()
    assert end.cause is not None
    assert end.cause in told.err
    assert told.out == f"{ID}\n"


def test_each_change_is_told_once() -> None:
    """What it waits for as well."""

    class Leader:
        """Answers one look after the other."""

        views = iter([view(), view(), RUNNING, view(**{**RUNNING.model_dump(), "waiting": "it stands still"}), DONE])

        def conversion(self, _conversion_id: str) -> ConversionView:
            return next(self.views)

    lines: list[str] = []
    scripted: Any = Leader()
    assert follow_conversion(scripted, ID, lines.append, sleep=lambda _seconds: None) == DONE
    assert lines == [
        f"{ID}  queued: no converter has taken it yet",
        f"{ID}  running on local, attempt 2",
        f"{ID}  running on local, attempt 2: it stands still",
        f"{ID}  succeeded: version 1 of net-int8 is ready",
    ]


def test_words_from_elsewhere_cannot_command_the_terminal() -> None:
    """A cause may hold what a stranger's model made a tool say."""
    assert "\x1b" not in state_text(view(state="failed", cause="\x1b[2Jgone"))


def test_conversions_are_listed_shown_and_cancelled(
    leader: ScriptedLeader, inferbench: Inferbench, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, with the reason at its end."""
    leader.answers("GET", "/api/v1/conversions", Page[ConversionView](items=(RUNNING, DONE)))
    assert inferbench("models", "conversions") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["running", "succeeded"]
    assert lines[2].endswith("version 1 of net-int8 is ready")
    leader.answers("GET", PATH, FAILED)
    assert inferbench("models", "conversions", ID, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["cause"] == "the model has no inputs"
    leader.answers("DELETE", PATH, CANCELLED)
    assert inferbench("models", "conversions", ID, "--cancel") == 0
    assert "cancelled by ann" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [("convert", "net", "--to", "int8", "--follow"), ("conversions", "--follow"), ("conversions", "--cancel")],
)
def test_options_that_need_another_are_refused_without_it(
    leader: ScriptedLeader, inferbench: Inferbench, words: tuple[str, ...]
) -> None:
    """And nobody is asked anything."""
    assert inferbench("models", *words) == 2
    assert leader.asked == []
