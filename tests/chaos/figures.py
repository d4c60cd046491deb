"""How long recovery takes, each way of failing alone. Every function damages the site it is given, and mends it."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import httpx
import psutil
import redis
from chaos.agent import TOKEN, registration_of
from chaos.book import Accepted
from chaos.occupancy import Stay
from chaos.site import Site, seconds_until
from chaos.stack import Follower, wait_until
from chaos.user import job

from follower.agent.boot_clock import now_ns
from follower.agent.leader import LeaderClient
from follower.settings import read_token
from shared.errors import Unavailable
from shared.wire.assignment import Claim

ASK_EVERY_S: Final = 0.5
"""How often work is offered to a follower that may not hear of it."""
WATCHER: Final = "watcher"
"""A follower that only claims: it says when the leader answers again."""
RUNS_PER_JOB: Final = 1000
SIGN_WITHIN_S: Final = 0.3
"""Whoever lives gives a sign of it in this time, three times over."""


def follower_death(site: Site) -> list[float]:
    """Seconds from SIGKILL of every agent at once, none of which comes back, to each of their runs being queued."""
    runs = [site.submit(follower) for follower in site.stack.followers for _ in range(follower.slots)]
    site.wait_for(runs, "running")
    agents = [follower.agent for follower in site.stack.followers]
    with ExitStack() as kept:
        for agent in agents:
            kept.enter_context(agent.guard)
        for agent in agents:
            agent.kill()
        killed_s = time.monotonic()
        with ThreadPoolExecutor(len(runs)) as watchers:
            watched = [
                watchers.submit(seconds_until, lambda run=run: site.state(run) == "queued", killed_s)  # type: ignore[misc]
                for run in runs
            ]
            spans_s = [one.result() for one in watched]
        for run in runs:
            site.user.cancel(run.run_id, "queued again")
        for agent in agents:
            agent.start()
    site.wait_for_followers()
    site.end(runs)
    return spans_s


def flushed_broker(site: Site) -> float:
    """Seconds from FLUSHALL, while a run is measured, until the bell brings work to every follower again."""
    with _one_running(site):
        with redis.Redis.from_url(site.stack.broker_url) as client:
            client.flushall()
        return _until_bells_work(site, time.monotonic())


def restarted_broker(site: Site, down_s: float) -> float:
    """As ``flushed_broker``, from the broker's start after a SIGKILL and ``down_s`` seconds without it."""
    broker = site.stack.broker
    with _one_running(site), broker.guard:
        broker.kill()
        time.sleep(down_s)
        broker.start()
        started_s = time.monotonic()
        wait_until(site.stack.broker_answers, "the broker answers")
        return _until_bells_work(site, started_s)


@contextmanager
def _one_running(site: Site) -> Iterator[None]:
    """The last follower, which has a slot to spare, is in the middle of a run that must not notice."""
    run = site.submit(site.stack.followers[-1])
    site.wait_for([run], "running")
    yield
    view = site.user.look(run.run_id)
    if (view["state"], view["attempt"]) != ("running", 1):
        site.book.broken.append(f"{run.run_id} was disturbed by a broker: {view['state']}, attempt {view['attempt']}")
    site.end([run])


def _until_bells_work(site: Site, since_s: float) -> float:
    """Offers work to each follower twice a second; only a bell tells of it in time, as polling is set to a minute."""
    offered: list[Accepted] = []
    with ThreadPoolExecutor(len(site.stack.followers)) as offers:
        spans_s = list(
            offers.map(lambda follower: _until_taken(site, follower, since_s, offered), site.stack.followers)
        )
    site.wait_for(offered, "succeeded")
    return max(spans_s)


def _until_taken(site: Site, follower: Follower, since_s: float, offered: list[Accepted]) -> float:
    mine: list[Accepted] = []

    def is_taken() -> bool:
        if len(mine) * ASK_EVERY_S <= time.monotonic() - since_s:
            mine.append(site.submit(follower, 0.1))
        return any(site.state(run) != "queued" for run in mine)

    span_s = seconds_until(is_taken, since_s)
    offered += mine
    return span_s


@dataclass(frozen=True)
class CancelSpan:
    """From a confirmed cancel to no process of the run being left."""

    phase: str
    seconds: float


def cancel_claimed(site: Site, follower: Follower) -> CancelSpan:
    """Cancelled at the first sign of its attempt."""
    run = site.submit(follower)
    site.stay_of(run)
    return _cancelled(site, run, "claimed")


def cancel_running(site: Site, follower: Follower, phase: str = "running", after_s: float = 1.0) -> CancelSpan:
    """Cancelled in the middle of its attempt."""
    run = site.submit(follower)
    site.stay_of(run, lambda stay: stay.last_ns - stay.begin_ns >= after_s * 1e9)
    return _cancelled(site, run, phase)


def cancel_delivering(site: Site, follower: Follower) -> CancelSpan:
    """Cancelled between the attempt's end and its result's arrival, which a slow link makes long enough."""
    follower.link.delay(0.2)
    try:
        run = site.submit(follower, 0.5)
        site.stay_of(run, lambda stay: stay.ended)
        return _cancelled(site, run, "delivering")
    finally:
        follower.link.heal()


def cancel_without_broker(site: Site, followers: Sequence[Follower]) -> list[CancelSpan]:
    """Cancelled while no bell can ring: the agents learn of it when they next renew their leases."""
    runs = [site.submit(follower) for follower in followers]
    for run in runs:
        site.stay_of(run, _with_child)
    with site.stack.broker.guard:
        site.stack.broker.kill()
        with ThreadPoolExecutor(len(runs)) as hands:
            spans = list(hands.map(lambda run: _cancelled(site, run, "no broker"), runs))
        site.stack.broker.start()
    return spans


def cancel_half_open(site: Site, follower: Follower) -> CancelSpan:
    """Cancelled while nothing reaches the follower any more: it stops by itself before its lease ends."""
    run = site.submit(follower)
    site.stay_of(run, _with_child)
    follower.link.hold()
    try:
        return _cancelled(site, run, "half-open link")
    finally:
        follower.link.heal()


def _with_child(stay: Stay) -> bool:
    return len(stay.pids) > 1


def _cancelled(site: Site, run: Accepted, phase: str) -> CancelSpan:
    """By the kernel's word, or by the attempt's last sign of life where a child was too young to be known."""
    if not site.user.cancel(run.run_id, phase):
        raise RuntimeError(f"{run.run_id} could not be cancelled while {phase}")
    at_ns = now_ns()
    span_s = seconds_until(lambda: not site.uses_a_device(run), time.monotonic())
    time.sleep(SIGN_WITHIN_S)
    last_ns = max(stay.last_ns for stay in site.stays(run))
    return CancelSpan(phase, max(span_s, (last_ns - at_ns) / 1e9))


@dataclass(frozen=True)
class Restart:
    """SIGKILL of the leader and an immediate start: seconds until it is ready and has answered a claim with a run.

    ``cpu_s`` is what it used of a core by then: what the restart would take on a machine that nobody else uses.
    """

    ready_s: float
    claim_s: float
    cpu_s: float


def leader_restarts(site: Site, *, queued: int, times: int, running_s: float) -> tuple[list[Restart], list[str]]:
    """Restarts beside so many queued runs and one running on each follower, and how those were disturbed (none).

    ``running_s`` is how long the three run in all; it must be longer than the restarts take.
    """
    client = LeaderClient(site.stack.leader_url, read_token(site.stack.folder / TOKEN), WATCHER)
    registration = registration_of(WATCHER, times)
    client.register(registration)
    for start in range(0, queued, RUNS_PER_JOB):
        count = min(RUNS_PER_JOB, queued - start)
        site.user.submit(job([("succeed", 1 + number / 1000) for number in range(count)], follower=WATCHER))
    runs = [site.submit(follower, running_s) for follower in site.stack.followers]
    site.wait_for(runs, "running")
    claims = [Claim(incarnation=registration.incarnation, slot=slot.name) for slot in registration.slots]
    restarts = [_restart(site, client, claim) for claim in claims]
    client.close()
    site.wait_for(runs, "succeeded", within_s=running_s + 60)
    views = [site.user.look(run.run_id) for run in runs]
    stays = [len(site.stays(run)) for run in runs]
    return restarts, [
        f"{view['id']}: attempt {view['attempt']}, fence {view['fence']}, on devices {count} times"
        for view, count in zip(views, stays, strict=True)
        if (view["attempt"], view["fence"], count) != (1, 1, 1)
    ]


def _restart(site: Site, client: LeaderClient, claim: Claim) -> Restart:
    leader = site.stack.leader
    with leader.guard:
        leader.kill()
        killed_s = time.monotonic()
        leader.start()
        with ThreadPoolExecutor(2) as both:
            ready = both.submit(seconds_until, site.stack.leader_is_ready, killed_s)
            claimed = both.submit(seconds_until, lambda: _is_given(client, claim), killed_s)
            ready_s, claim_s = ready.result(), claimed.result()
        used = psutil.Process(leader.pid).cpu_times()
        return Restart(ready_s, claim_s, used.user + used.system)


def _is_given(client: LeaderClient, claim: Claim) -> bool:
    try:
        return client.claim(claim) is not None
    except (Unavailable, httpx.HTTPError):
        return False
