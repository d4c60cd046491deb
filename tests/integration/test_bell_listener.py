"""The doorbell between the leader's own ringer and a real agent, over a real broker that comes and goes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from celery import Celery  # type: ignore[import-untyped]  # the package ships no types
from support.assignments import JOB, assignment, run_spec
from support.fake_leader import FakeLeader, fake_leader
from support.mongo_servers import free_port
from support.scripted_agent import agent_process, is_running
from support.valkey import running_valkey

from leader.broker.bell import BELL_TASK, build_bell
from leader.broker.protocol import bell_queue

NEVER_S = 60.0
"""A polling period that no test waits for: what happens sooner was rung for."""


@contextmanager
def rung(broker_url: str) -> Iterator[Callable[[Callable[[], bool]], None]]:
    """Rings follower-1 twice a second until something is true; the broker may have only just come up."""
    bell = build_bell(broker_url)

    def ring_until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            bell.ring("follower-1")
            time.sleep(0.5)

    try:
        yield ring_until
    finally:
        bell.close()


def finish(leader: FakeLeader, run_id: str) -> Callable[[], bool]:
    """Submit a run; whether its result has come."""
    leader.submit(assignment(run_id))
    return lambda: leader.result_of(run_id) is not None


def test_the_bell_brings_work_to_an_idle_follower_also_after_the_broker_was_away(tmp_path: Path) -> None:
    """F12, F13: away at the start, up, emptied and restarted: the listener is there again without a restart."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with fake_leader(poll_s=NEVER_S, broker_url=url) as leader, agent_process(leader.url, tmp_path):
        leader.wait_for(lambda it: "claim" in it.calls)
        for number in range(2):
            with running_valkey(port), rung(url) as ring_until:
                ring_until(finish(leader, f"{JOB}.{number:04d}"))


def test_a_bell_is_heard_by_a_follower_whose_clock_is_a_day_ahead(tmp_path: Path) -> None:
    """By its clock, every bell expired a day ago."""
    with (
        running_valkey() as url,
        fake_leader(poll_s=NEVER_S, broker_url=url) as leader,
        agent_process(leader.url, tmp_path),
        Celery("ringer", broker=url, set_as_current=False) as ringer,
    ):
        leader.wait_for(lambda it: "claim" in it.calls)
        done = finish(leader, f"{JOB}.0000")
        yesterday = datetime.now(UTC) - timedelta(days=1)
        ringer.send_task(BELL_TASK, queue=bell_queue("follower-1"), expires=yesterday, ignore_result=True)
        leader.wait_for(lambda _: done())


def test_the_bell_brings_a_cancel_sooner_than_the_lease_would(tmp_path: Path) -> None:
    """With a lease of a minute the next renewal is 20 s away; the bell has it looked at now."""
    run_id = f"{JOB}.0000"
    spec = run_spec(requires={"labels": {"script": "hang"}})
    with running_valkey() as url, fake_leader(poll_s=NEVER_S, lease_s=60.0, broker_url=url) as leader:
        leader.submit(assignment(run_id, lease_s=60.0, spec=spec))
        with agent_process(leader.url, tmp_path):
            leader.wait_for(lambda it: run_id in it.progress)
            pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
            leader.cancel(run_id)
            with rung(url) as ring_until:
                started_s = time.monotonic()
                ring_until(lambda: not any(map(is_running, pids)))
            assert time.monotonic() - started_s < 15
