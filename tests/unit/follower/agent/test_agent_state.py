"""The agent's state machine, one rule at a time, with a clock that only the test moves."""

from support.agent_driver import FAILURE, Driver, running, serving, told
from support.assignments import JOB, assignment

from follower.agent import events
from follower.agent.events import AttemptKey
from follower.agent.state import Phase
from shared.jobs.lifecycle import Cause


def test_a_fresh_agent_registers_before_anything_else() -> None:
    """With nothing left over the first instruction is to register."""
    driver = Driver()
    assert driver.feed(events.Started())[0] == events.Register()


def test_a_registered_agent_asks_for_work_for_each_slot_at_once() -> None:
    """Each free slot asks as soon as the leader knows us."""
    driver = serving("cpu", "gpu0")
    assert driver.ordered(events.AskForWork) == [events.AskForWork("cpu"), events.AskForWork("gpu0")]


def test_registration_is_tried_again_ever_more_slowly() -> None:
    """Each failure at least does not shorten the wait, and no wait exceeds 30 s."""
    driver = Driver()
    driver.feed(events.Started())
    waits = []
    for _ in range(12):
        driver.feed(events.CallFailed("register"))
        waits.append(driver.sleeps_s)
        assert driver.feed(events.Tick(), after_s=driver.sleeps_s)[0] == events.Register()
    assert 0.5 <= waits[0] <= 1.0
    assert 15.0 <= waits[-1] <= 30.0


def test_an_empty_claim_is_repeated_after_about_the_polling_period() -> None:
    """Without a bell the next look is within a quarter of poll_s of it."""
    driver = serving()
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, None))
    assert 1.5 <= driver.sleeps_s <= 2.5
    driver.feed(events.Tick(), after_s=driver.sleeps_s)
    assert driver.ordered(events.AskForWork) == [events.AskForWork("cpu")]


def test_the_bell_ends_the_wait_for_the_next_poll() -> None:
    """A bell makes an idle slot ask at once."""
    driver = serving()
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, None))
    driver.feed(events.Bell(), after_s=0.1)
    assert driver.ordered(events.AskForWork) == [events.AskForWork("cpu")]


def test_a_bell_during_a_claim_is_remembered() -> None:
    """The claim may have been decided before the job that rings: the slot asks once more at once."""
    driver = serving()
    driver.feed(events.Bell())
    assert driver.ordered(events.AskForWork) == []
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, None))
    assert driver.ordered(events.AskForWork) == [events.AskForWork("cpu")]


def test_a_hundred_bells_ask_once() -> None:
    """Repeated bells neither pile up claims nor renewals (F22)."""
    driver = serving()
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, None))
    asks = [ask for _ in range(100) for ask in driver.feed(events.Bell()) if isinstance(ask, events.AskForWork)]
    assert len(asks) == 1


def test_a_claimed_run_is_started_and_reported_as_started() -> None:
    """The answer to a claim starts the attempt and tells the leader so."""
    driver = serving()
    task = assignment()
    key = AttemptKey(task.run_id, 1, 1)
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, task))
    assert driver.ordered(events.StartAttempt) == [events.StartAttempt(key, "cpu", task)]
    assert driver.ordered(events.RenewLease) == [events.RenewLease(key, started=True)]


def test_an_answer_that_comes_after_the_lease_is_not_started() -> None:
    """The lease counts from before the request was sent: a very slow answer is worthless."""
    driver = serving()
    driver.feed(events.ClaimAnswered("cpu", driver.now_ns, assignment(lease_s=15)), after_s=12.0)
    assert driver.ordered(events.StartAttempt) == []
    assert driver.ordered(events.AskForWork) == [events.AskForWork("cpu")]


def test_a_busy_slot_does_not_ask() -> None:
    """One attempt per slot: neither bell nor time makes a busy slot ask."""
    driver, _ = running()
    for event in (events.Bell(), events.Tick()):
        driver.feed(event, after_s=3.0)
        assert driver.ordered(events.AskForWork) == []


def test_the_lease_is_renewed_at_a_third_of_its_length() -> None:
    """Counted from before the last request was sent."""
    driver, key = running()
    driver.feed(events.Tick(), after_s=4.9)
    assert driver.ordered(events.RenewLease) == []
    driver.feed(events.Tick(), after_s=0.2)
    assert driver.ordered(events.RenewLease) == [events.RenewLease(key, started=True)]


def test_an_attempt_stops_itself_three_seconds_before_its_lease_ends() -> None:
    """F19: cut off from the leader, the device is free before the leader may hand the run to another."""
    driver, key = running()
    for _ in range(22):
        driver.feed(events.Tick(), after_s=0.5)
        driver.feed(events.RenewalFailed(key))
        assert driver.ordered(events.KillAttempt) == []
    driver.feed(events.Tick(), after_s=1.0)
    assert driver.ordered(events.KillAttempt) == [events.KillAttempt(key, "lease-lost")]


def test_an_attempt_that_stopped_itself_delivers_nothing() -> None:
    """Its run is the leader's to requeue; what it left is removed and the slot asks again."""
    driver, key = running()
    driver.feed(events.Tick(), after_s=12.0)
    driver.feed(events.AttemptExited(key, FAILURE))
    assert driver.ordered(events.Forget) == [events.Forget(key)]
    assert driver.ordered(events.DeliverResult) == []
    assert driver.ordered(events.AskForWork) == [events.AskForWork("cpu")]


def test_a_stale_fence_kills_within_one_step() -> None:
    """Cancelled or taken over: the process is killed in the step that learns of it."""
    driver, key = running()
    driver.feed(events.LeaseRefused(key))
    assert driver.ordered(events.KillAttempt) == [events.KillAttempt(key, "superseded")]


def test_a_slot_whose_attempt_is_being_killed_is_still_busy() -> None:
    """Not the order to kill frees the device, but the end of the process (I3)."""
    driver, key = running()
    driver.feed(events.LeaseRefused(key))
    driver.feed(events.Bell(), after_s=1.0)
    assert driver.ordered(events.AskForWork) == []


def test_a_bell_during_an_attempt_looks_at_the_lease_at_once() -> None:
    """So a cancel is learnt of before the next renewal is due, but no oftener than once a second."""
    driver, key = running()
    driver.feed(events.Bell(), after_s=2.0)
    assert driver.ordered(events.RenewLease) == [events.RenewLease(key, started=True)]
    driver.feed(events.LeaseRenewed(key, driver.now_ns, 15))
    driver.feed(events.Bell(), after_s=0.1)
    assert driver.ordered(events.RenewLease) == []
    assert driver.sleeps_s <= 0.9


def test_a_result_is_delivered_before_the_slot_asks_again() -> None:
    """An upload would disturb the next measurement."""
    driver, key = running()
    driver.feed(events.AttemptExited(key))
    assert driver.ordered(events.DeliverResult) == [events.DeliverResult(key, None)]
    assert driver.ordered(events.AskForWork) == []
    driver.feed(events.ResultDelivered(key, accepted=True))
    assert driver.ordered(events.Forget) == [events.Forget(key)]
    assert driver.ordered(events.AskForWork) == [events.AskForWork("cpu")]


def test_the_lease_is_kept_while_the_result_is_on_its_way() -> None:
    """A long upload must not cost the run its lease."""
    driver, key = running()
    driver.feed(events.AttemptExited(key))
    driver.feed(events.Tick(), after_s=5.0)
    assert driver.ordered(events.RenewLease) == [events.RenewLease(key, started=True)]


def test_a_result_outlives_an_outage_longer_than_the_lease() -> None:
    """It is sent again until somebody answers; the fence decides what it is worth then."""
    driver, key = running()
    driver.feed(events.AttemptExited(key))
    for _ in range(10):
        driver.feed(events.DeliveryFailed(key))
        driver.feed(events.RenewalFailed(key))
        while not driver.ordered(events.DeliverResult):
            driver.feed(events.Tick(), after_s=1.0)
            assert driver.ordered(events.Forget) == []
    driver.feed(events.ResultDelivered(key, accepted=False))
    assert driver.ordered(events.Forget) == [events.Forget(key)]


def test_the_story_goes_before_the_result() -> None:
    """Progress that is still on its way is waited for; progress that fails is not."""
    driver, key = running()
    driver.feed(events.AttemptProgressed(key, told(1)))
    assert driver.ordered(events.ForwardProgress) == [events.ForwardProgress(key, (told(1),))]
    driver.feed(events.AttemptExited(key))
    assert driver.ordered(events.DeliverResult) == []
    driver.feed(events.ProgressFailed(key))
    assert driver.ordered(events.DeliverResult) == [events.DeliverResult(key, None)]


def test_progress_is_sent_in_order_and_once() -> None:
    """What arrives during a call goes with the next one."""
    driver, key = running()
    driver.feed(events.AttemptProgressed(key, told(1)))
    driver.feed(events.AttemptProgressed(key, told(2)))
    driver.feed(events.AttemptProgressed(key, told(3)))
    assert driver.ordered(events.ForwardProgress) == []
    driver.feed(events.ProgressDelivered(key, 1))
    assert driver.ordered(events.ForwardProgress) == [events.ForwardProgress(key, (told(2), told(3)))]


def test_results_of_an_earlier_incarnation_go_before_the_registration() -> None:
    """Registering voids the older leases, so a finished result gets its chance first."""
    key = AttemptKey(f"{JOB}.0007", 2, 3)
    driver = Driver()
    driver.feed(events.Started((key,)))
    assert driver.ordered(events.DeliverResult) == [events.DeliverResult(key, None)]
    assert driver.ordered(events.Register) == []
    driver.feed(events.ResultDelivered(key, accepted=True))
    assert driver.ordered(events.Register) == [events.Register()]


def test_an_undeliverable_leftover_holds_the_agent_back_for_three_tries_only() -> None:
    """A result that the leader cannot answer for must not take the follower out of service."""
    key = AttemptKey(f"{JOB}.0007", 2, 3)
    driver = Driver()
    driver.feed(events.Started((key,)))
    for tries in range(3):
        assert driver.state.phase is Phase.LEFTOVERS, tries
        driver.feed(events.DeliveryFailed(key))
        if tries < 2:
            driver.feed(events.Tick(), after_s=driver.sleeps_s)
    assert driver.ordered(events.Register) == [events.Register()]


def test_a_leader_that_forgot_us_is_registered_with_again() -> None:
    """An emptied database costs a registration, not a restart."""
    driver = serving()
    driver.feed(events.Tick(), after_s=5.0)
    assert driver.ordered(events.SendHeartbeat) == [events.SendHeartbeat(())]
    driver.feed(events.Beaten(known=False))
    assert driver.ordered(events.Register) == [events.Register()]


def test_a_heartbeat_names_the_busy_slots() -> None:
    """So the leader sees what we hold."""
    driver, _ = running()
    driver.feed(events.Tick(), after_s=5.0)
    assert driver.ordered(events.SendHeartbeat) == [events.SendHeartbeat(("cpu",))]


def test_an_attempt_that_outlives_its_cap_is_given_up() -> None:
    """One that is stuck would otherwise renew its lease for ever; the leader is told why it ended."""
    driver, key = running()
    cap_s = 60 + 1.2 + 20 + 20 + 60 + 15
    for _ in range(round(cap_s) + 1):
        driver.feed(events.LeaseRenewed(key, driver.now_ns, 15))
        driver.feed(events.Tick(), after_s=1.0)
    assert driver.state.attempts[key].kill_reason == "timed-out"
    driver.feed(events.AttemptExited(key))
    (delivery,) = driver.ordered(events.DeliverResult)
    assert delivery.failure is not None
    assert delivery.failure.cause is Cause.TIMED_OUT


def test_news_of_an_attempt_that_is_not_ours_changes_nothing() -> None:
    """Late answers about what is gone are ignored."""
    driver = serving()
    before = driver.state
    stranger = AttemptKey(f"{JOB}.0099", 1, 1)
    for event in (
        events.LeaseRenewed(stranger, driver.now_ns, 15),
        events.LeaseRefused(stranger),
        events.RenewalFailed(stranger),
        events.AttemptProgressed(stranger, told(1)),
        events.ProgressDelivered(stranger, 1),
        events.AttemptExited(stranger),
        events.ResultDelivered(stranger, accepted=True),
        events.ResultRefused(stranger, "x"),
    ):
        driver.feed(event)
        assert driver.state == before
