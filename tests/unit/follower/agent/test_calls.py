"""Each call to the leader ends in events, whatever comes back: the state machine never waits for an answer for ever."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr
from support.assignments import JOB, registration

from follower.agent import events
from follower.agent.calls import Calls
from follower.agent.events import AttemptKey, Event
from follower.agent.leader import LeaderClient
from follower.attempt.order import AttemptDir
from shared.errors import Conflict, Forbidden, InferBenchError, InvalidInput, NotFound, StaleFence, Unavailable
from shared.wire.assignment import ProgressEvent
from shared.wire.identity import Heartbeat, Registration, RegistrationAnswer

KEY = AttemptKey(f"{JOB}.0000", 1, 1)
EVENT = ProgressEvent.model_validate({"n": 3, "at": "2026-01-01T00:00:00Z", "kind": "ready", "message": ""})
CALLS = ("register", "heartbeat", "claim", "renew", "progress", "deliver")


class FailingClient(LeaderClient):
    """A leader that answers everything with one error."""

    def __init__(self, error: Exception) -> None:
        super().__init__("http://127.0.0.1:9", SecretStr("x"), "follower-1")
        self.close()
        self._error = error

    def _send(self, method: str, path: str, **options: object) -> object:  # type: ignore[override]
        del method, path, options
        raise self._error


def made(name: str, error: Exception, directory: Path) -> tuple[Event, ...]:
    """The events of one call that met ``error``."""
    calls = Calls(FailingClient(error), registration())
    match name:
        case "register":
            return calls.register()
        case "heartbeat":
            return calls.heartbeat(events.SendHeartbeat(()))
        case "claim":
            return calls.claim(events.AskForWork("cpu"))
        case "renew":
            return calls.renew(events.RenewLease(KEY, started=True), 15.0)
        case "progress":
            return calls.progress(events.ForwardProgress(KEY, (EVENT,)))
        case _:
            return calls.deliver(events.DeliverResult(KEY, None), AttemptDir(directory))


class ListeningClient(LeaderClient):
    """A leader that takes every call and keeps it."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", SecretStr("x"), "follower-1")
        self.close()
        self.heard: list[BaseModel] = []

    def register(self, registration: Registration) -> RegistrationAnswer:
        self.heard.append(registration)
        return RegistrationAnswer(
            follower="follower-1", lease_s=15, heartbeat_s=5, poll_s=2, broker_url=None, bell_queue="q"
        )

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        self.heard.append(heartbeat)


def test_a_follower_tells_the_time_with_each_registration_and_heartbeat() -> None:
    """As its wall clock is at that moment; the leader finds out by how much it is wrong."""
    hours = iter(range(10, 20))
    client = ListeningClient()
    calls = Calls(client, registration(), utc_now=lambda: datetime(2026, 1, 1, next(hours), tzinfo=UTC))
    calls.register()
    calls.register()
    assert calls.heartbeat(events.SendHeartbeat(("cpu",))) == (events.Beaten(known=True),)
    calls.heartbeat(events.SendHeartbeat((), leaving=True))
    told = [(type(one).__name__, one.model_dump()["utc_now"].hour) for one in client.heard]
    assert told == [("Registration", 10), ("Registration", 11), ("Heartbeat", 12), ("Heartbeat", 13)]
    assert [one.model_dump()["leaving"] for one in client.heard[2:]] == [False, True]


NO_ANSWER: dict[str, Event] = {
    "register": events.CallFailed("register"),
    "heartbeat": events.CallFailed("heartbeat"),
    "claim": events.ClaimFailed("cpu"),
    "renew": events.RenewalFailed(KEY),
    "progress": events.ProgressFailed(KEY),
    "deliver": events.DeliveryFailed(KEY),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("error", [Unavailable("away"), OSError("no route")], ids=["unavailable", "os"])
def test_no_answer_is_an_event_of_its_own(name: str, error: Exception, tmp_path: Path) -> None:
    """So that the call is made again later."""
    assert made(name, error, tmp_path) == (NO_ANSWER[name],)


@pytest.mark.parametrize("name", CALLS)
def test_a_refused_token_ends_the_agent(name: str, tmp_path: Path) -> None:
    """And the call itself still counts as unanswered."""
    unanswered, shut_out = made(name, Forbidden("not a follower's token"), tmp_path)
    assert unanswered == NO_ANSWER[name]
    assert isinstance(shut_out, events.ShutOut)
    assert "token" in shut_out.reason


def cases() -> Iterator[object]:
    """What each refusal means, call by call."""
    refused, forgotten = events.LeaseRefused(KEY), events.Beaten(known=False)
    delivered = events.ProgressDelivered(KEY, 3)
    table: list[tuple[str, InferBenchError, tuple[Event, ...]]] = [
        ("register", InvalidInput("x"), (events.ShutOut("the leader refused the registration: x"),)),
        ("heartbeat", NotFound("x"), (forgotten,)),
        ("heartbeat", Conflict("x"), (events.ShutOut("another agent took this follower's name: x"),)),
        ("claim", NotFound("x"), (events.ClaimFailed("cpu"), forgotten)),
        ("claim", Conflict("x"), (events.ClaimFailed("cpu"),)),
        ("renew", StaleFence("x"), (refused,)),
        ("renew", NotFound("x"), (refused,)),
        ("progress", StaleFence("x"), (refused, delivered)),
        ("progress", InvalidInput("x"), (delivered,)),
        ("deliver", Conflict("x"), (events.ResultRefused(KEY, "x"),)),
        ("deliver", NotFound("x"), (events.ResultRefused(KEY, "x"),)),
    ]
    for name, error, expected in table:
        yield pytest.param(name, error, expected, id=f"{name}-{error.code}")


@pytest.mark.parametrize(("name", "error", "expected"), list(cases()))
def test_each_refusal_has_its_meaning(
    name: str, error: InferBenchError, expected: tuple[Event, ...], tmp_path: Path
) -> None:
    """Stale is superseded; unknown is forgotten; a duplicate name is a second agent."""
    assert made(name, error, tmp_path) == expected
