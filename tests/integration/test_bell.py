"""The doorbell over a real broker, and over none that answers."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from support.mongo_servers import free_port
from support.valkey import running_valkey

from leader.broker.bell import BELL_TASK, CeleryBell, build_bell
from leader.broker.protocol import bell_queue
from leader.broker.silent import SilentBell

ROOT = Path(__file__).parents[2]
SOON_S = 40.0
AT_ONCE_S = 0.5


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A Valkey server."""
    with running_valkey() as url:
        yield url


def messages(url: str, follower: str) -> list[dict[str, object]]:
    """What waits for a follower."""
    with redis.Redis.from_url(url) as client:
        waiting: list[bytes] = client.lrange(bell_queue(follower), 0, -1)
        return [json.loads(message) for message in waiting]


def eventually(condition: Callable[[], object]) -> bool:
    """Whether it comes true within a generous time."""
    deadline = time.monotonic() + SOON_S
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_ring_arrives_as_json_in_the_followers_own_queue(broker: str) -> None:
    """Named, expiring, and never pickled."""
    bell = build_bell(broker)
    bell.ring("f1")
    assert eventually(lambda: len(messages(broker, "f1")) == 1)
    (message,) = messages(broker, "f1")
    assert message["content-type"] == "application/json"
    headers = message["headers"]
    assert isinstance(headers, dict)
    assert headers["task"] == BELL_TASK
    assert headers["expires"] is not None
    assert messages(broker, "f2") == []
    bell.close()
    assert bell.failures == 0


LISTENER = """
import sys, threading
from follower.agent.bell import BellListener
heard = threading.Event()
BellListener(sys.argv[1], sys.argv[2], heard.set).start()
sys.exit(0 if heard.wait(30) else 1)
"""


def test_a_follower_hears_it(broker: str) -> None:
    """The agent's own listener, in a process of its own as in production."""
    bell = build_bell(broker)
    listener = subprocess.Popen([sys.executable, "-c", LISTENER, broker, bell_queue("listening")], cwd=ROOT)

    def ring_and_look() -> bool:
        bell.ring("listening")
        return listener.poll() is not None

    try:
        assert eventually(ring_and_look)
        assert listener.returncode == 0
    finally:
        listener.kill()
        listener.wait()
        bell.close()


@pytest.mark.parametrize("silent", [True, False])
def test_a_broker_that_does_not_answer_delays_and_fails_nobody(*, silent: bool) -> None:
    """Refused or swallowed: ring returns at once, the failure is counted, close comes back."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1] if silent else free_port()
        bell = CeleryBell(f"redis://127.0.0.1:{port}/0")
        began = time.monotonic()
        for _ in range(100):
            bell.ring("f1")
        assert time.monotonic() - began < AT_ONCE_S
        assert eventually(lambda: bell.failures >= 1)
        bell.close()


def test_rings_work_again_when_the_broker_is_back() -> None:
    """Nothing has to be restarted."""
    port = free_port()
    bell = CeleryBell(f"redis://127.0.0.1:{port}/0")
    bell.ring("f1")
    assert eventually(lambda: bell.failures == 1)
    with running_valkey(port) as url:

        def ring_and_look() -> bool:
            bell.ring("f1")
            return bool(messages(url, "f1"))

        assert eventually(ring_and_look)
        bell.close()


def test_without_a_broker_nothing_rings() -> None:
    """Followers poll."""
    bell = build_bell(None)
    assert isinstance(bell, SilentBell)
    bell.ring("f1")
    bell.close()
    assert bell.failures == 0
