"""A small storm over a whole installation, and each way of recovering once: leases are short, the figures' are not."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos import figures
from chaos.damage import Damage
from chaos.deck import CARDS, Injection
from chaos.occupancy import overlaps
from chaos.report import told
from chaos.site import Site, site
from chaos.storm import Settings, storm

from shared.jobs.lifecycle import FIRST_BACKOFF

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
    """An installation whose followers hardly ever poll, so that bells bring the work."""
    with site(tmp_path_factory.mktemp("chaos") / "site", lease_s=LEASE_S, poll_s=SELDOM_S) as opened:
        yield opened
    assert opened.book.broken == []
    assert [surprise for program in opened.stack.programs for surprise in program.surprises] == []


def test_every_kind_of_damage_can_be_done(at: Site) -> None:
    """No card of the deck is without somebody who plays it."""
    assert Damage(at.stack, at.book, at.user, LEASE_S)._kinds.keys() == CARDS.keys()


def test_bells_work_again_after_the_broker_was_flushed_or_killed(at: Site) -> None:
    """Long before the next poll, and the run that was being measured does not notice."""
    assert figures.flushed_broker(at) < 15
    assert figures.restarted_broker(at, 0.5) < 15


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
    at.wait_for([run], "queued")
    time.sleep(FIRST_BACKOFF.total_seconds())
    bell = at.submit(follower, 0.1)  # as nobody rings at the end of a back-off, and the next poll is far away
    at.stay_of(run, lambda stay: stay.occupant.attempt == 2)
    at.wait_for([bell], "queued", "succeeded")
    at.end([run])
    assert overlaps(at.stack.occupancy.refresh()) == []
