"""A small storm over a whole installation, and each way of recovering once: leases are short, the figures' are not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import figures
from chaos.damage import Damage
from chaos.deck import CARDS, Injection
from chaos.occupancy import overlaps
from chaos.report import told
from chaos.site import Site, site
from chaos.stack import wait_until
from chaos.storm import Settings, storm
from chaos.user import job
from chaos.verdict import read_ledger, violations

LEASE_S = 2.0
GRACE_S = 3.0
SELDOM_S = 60.0


@pytest.mark.timeout(300)  # 40 s where nobody else uses the cores
def test_a_storm_breaks_no_promise(tmp_path: Path) -> None:
    """25 injections: accepted = ended, one result each, no device shared, nothing left behind."""
    settings = Settings(seed=20, injections=25, lease_s=LEASE_S, mean_gap_s=0.3, live_runs=6, within_s=60)
    folder = tmp_path / "storm"
    folder.mkdir()
    report = storm(folder, settings)
    assert report.violations == [], told(report)
    assert report.performed.total() >= 25
    assert report.overlap_ms == 0
    assert report.ends["quarantined"] >= 1
    assert report.ends["succeeded"] >= 1
    assert "verdict: ok" in told(report)
    assert "--seed 20 --injections 25" in told(report)


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation with short leases."""
    with site(tmp_path_factory.mktemp("chaos") / "site", lease_s=LEASE_S) as opened:
        yield opened
    assert opened.book.broken == []
    assert [surprise for program in opened.stack.programs for surprise in program.surprises] == []


def test_every_kind_of_damage_can_be_done(at: Site) -> None:
    """No card of the deck is without somebody who plays it."""
    assert Damage(at.stack, at.book, at.user, LEASE_S)._kinds.keys() == CARDS.keys()


def test_bells_work_again_after_the_broker_was_flushed_or_killed(tmp_path: Path) -> None:
    """Long before the next poll, and the run that was being measured does not notice."""
    with site(tmp_path / "site", lease_s=LEASE_S, poll_s=SELDOM_S) as opened:
        assert figures.flushed_broker(opened) < 15
        assert figures.restarted_broker(opened, 0.5) < 15
        assert opened.book.broken == []


def test_a_device_is_soon_free_after_a_cancel_in_any_phase(at: Site) -> None:
    """Just claimed, in the middle, on the way to the leader, and cut off from it."""
    first, second, third = at.stack.followers
    spans = [
        figures.cancel_claimed(at, first),
        figures.cancel_running(at, second, after_s=0.3),
        figures.cancel_delivering(at, third),
        figures.cancel_half_open(at, first),
    ]
    assert max(span.seconds for span in spans) < 10, spans


def test_the_runs_of_dead_followers_are_queued_again(at: Site) -> None:
    """Not before their leases ended and the grace is over; soon after."""
    spans_s = figures.follower_death(at)
    assert len(spans_s) == 4
    assert all(GRACE_S < span_s < LEASE_S + GRACE_S + 10 for span_s in spans_s), spans_s


def test_a_result_that_comes_late_is_kept_and_ends_nothing(at: Site) -> None:
    """The first attempt was cut off before it could deliver; the second one is under way when it can."""
    (run,) = at.user.submit(job([("succeed", 0.8)]))
    assert Damage(at.stack, at.book, at.user, LEASE_S).inflict(Injection("deliver-late", 0.0, 0.0, 0.0))
    at.wait_for([run], "succeeded")
    assert at.user.look(run.run_id)["attempt"] == 2

    def both_are_kept() -> bool:
        return {
            result["attempt"]
            for result in read_ledger(at.stack.database_url).attempts
            if result["run_id"] == run.run_id
        } == {1, 2}

    wait_until(both_are_kept, "the late result is kept")
    assert list(violations(read_ledger(at.stack.database_url), at.book, at.stack.occupancy.refresh(), 30.0)) == []


def test_a_killed_leader_is_back_soon_and_disturbs_no_attempt(tmp_path: Path) -> None:
    """With runs queued and running; the lease is long enough for the time without a leader."""
    with site(tmp_path / "site", lease_s=15.0) as opened:
        restarts, disturbed = figures.leader_restarts(opened, queued=20, times=1, running_s=6.0)
        assert disturbed == []
        assert restarts[0].ready_s < 30
        assert restarts[0].claim_s < 30


def test_a_freeze_longer_than_the_lease_shares_no_device(at: Site) -> None:
    """The agent sleeps over its lease while its attempt goes on; awake, it ends that before anything else begins."""
    follower = at.stack.followers[0]
    run = at.submit(follower)
    at.stay_of(run)
    Damage(at.stack, at.book, at.user, LEASE_S).inflict(Injection("freeze-follower-long", 0.0, 0.9, 0.0))
    at.stay_of(run, lambda stay: stay.occupant.attempt == 2)
    at.end([run])
    assert overlaps(at.stack.occupancy.refresh()) == []
