"""How the agent stops: what it ends, whom it tells, and what it does not wait for."""

from support.agent_driver import Driver, running, serving
from support.assignments import assignment

from follower.agent import events
from follower.agent.reactions import STOPPED
from shared.jobs.lifecycle import Cause


def test_stopping_ends_attempts_and_says_why() -> None:
    """The leader learns at once that the run is free, instead of waiting for its lease to end."""
    driver, key = running()
    driver.feed(events.StopRequested())
    assert driver.ordered(events.KillAttempt) == [events.KillAttempt(key, "stopped", STOPPED)]
    driver.feed(events.AttemptExited(key))
    (delivery,) = driver.ordered(events.DeliverResult)
    assert delivery.failure is not None
    assert delivery.failure.cause is Cause.FOLLOWER_STOPPED
    driver.feed(events.ResultDelivered(key, accepted=True))
    assert driver.ordered(events.SendHeartbeat) == [events.SendHeartbeat((), leaving=True)]
    assert driver.ordered(events.Exit) == []
    driver.feed(events.Beaten(known=True))
    assert driver.ordered(events.Exit) == [events.Exit(None)]


def test_stopping_does_not_wait_for_a_leader_that_is_away() -> None:
    """The good-bye is tried once; the result stays on disk for the next start."""
    driver, key = running()
    driver.feed(events.StopRequested())
    driver.feed(events.AttemptExited(key))
    driver.feed(events.DeliveryFailed(key))
    assert driver.ordered(events.Exit) == [events.Exit(None)]
    assert driver.ordered(events.Forget) == []


def test_stopping_waits_for_a_heartbeat_that_is_on_its_way() -> None:
    """Its answer is not taken for that of the good-bye."""
    driver = serving()
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, None))
    driver.feed(events.Tick(), after_s=5.0)
    assert driver.ordered(events.SendHeartbeat) == [events.SendHeartbeat(())]
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, None))
    driver.feed(events.StopRequested())
    assert driver.ordered(events.SendHeartbeat) == []
    driver.feed(events.Beaten(known=True))
    assert driver.ordered(events.SendHeartbeat) == [events.SendHeartbeat((), leaving=True)]
    driver.feed(events.CallFailed("heartbeat"))
    assert driver.ordered(events.Exit) == [events.Exit(None)]


def test_who_is_not_registered_says_no_good_bye() -> None:
    """Nobody would know who that is."""
    driver = Driver()
    driver.feed(events.Started())
    driver.feed(events.StopRequested())
    assert driver.ordered(events.SendHeartbeat) == []
    assert driver.ordered(events.Exit) == [events.Exit(None)]


def test_who_is_shut_out_says_no_good_bye() -> None:
    """Its name may be another's by now; and a heartbeat that was refused is not waited for."""
    driver = serving()
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, None))
    driver.feed(events.Tick(), after_s=5.0)
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, None))
    driver.feed(events.ShutOut("another agent took this follower's name"))
    assert driver.ordered(events.SendHeartbeat) == []
    assert driver.ordered(events.Exit) == [events.Exit("another agent took this follower's name")]


def test_a_good_bye_that_nobody_answers_is_not_waited_for_long() -> None:
    """Stopping takes the time that it was given, and no more."""
    driver = serving()
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, None))
    driver.feed(events.StopRequested())
    assert driver.ordered(events.SendHeartbeat) == [events.SendHeartbeat((), leaving=True)]
    assert driver.sleeps_s <= 5.0
    driver.feed(events.Tick(), after_s=driver.sleeps_s)
    assert driver.ordered(events.Exit) == [events.Exit(None)]


def test_stopping_twice_is_stopping_now() -> None:
    """The second request does not wait for anything."""
    driver, _ = running()
    driver.feed(events.StopRequested())
    driver.feed(events.StopRequested())
    assert driver.ordered(events.Exit) == [events.Exit(None)]


def test_a_run_claimed_while_stopping_is_handed_back() -> None:
    """The leader gave it to us; it must not wait for a lease to end."""
    driver = serving()
    driver.feed(events.StopRequested())
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, assignment()))
    assert driver.ordered(events.StartAttempt) == []
    (delivery,) = driver.ordered(events.DeliverResult)
    assert delivery.failure is not None
    assert delivery.failure.cause is Cause.FOLLOWER_STOPPED


def test_a_refused_token_ends_the_agent_with_a_message() -> None:
    """Nothing that time can heal: attempts are killed and the reason is kept for the exit."""
    driver, key = running()
    driver.feed(events.ShutOut("wrong token"))
    assert driver.ordered(events.KillAttempt) == [events.KillAttempt(key, "stopped")]
    driver.feed(events.AttemptExited(key))
    assert driver.ordered(events.Exit) == [events.Exit("wrong token")]
