"""The doorbell over Celery and Redis: the leader's only use of Celery, as a producer of one kind of message."""

import threading
from typing import Final

import structlog
from celery import Celery  # type: ignore[import-untyped]  # the package has no types
from celery.exceptions import CeleryError  # type: ignore[import-untyped]
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from leader.broker.protocol import Bell, bell_queue
from leader.broker.silent import SilentBell

BELL_TASK: Final = "inferbench.bell"
SOCKET_TIMEOUT_S: Final = 2.0
REST_S: Final = 0.05
"""Between two rounds of ringing: a burst of submits is one ring, and nobody notices the wait."""

MESSAGE_EXPIRES_S: Final = 60  # by then the follower has polled by itself
_CLOSE_WITHIN_S: Final = 3 * SOCKET_TIMEOUT_S

log = structlog.get_logger(__name__)


def build_bell(broker_url: str | None) -> Bell:
    """A bell over this broker, or a silent one without. Nothing is sent yet."""
    return CeleryBell(broker_url) if broker_url else SilentBell()


class CeleryBell:
    """Bell. A thread of its own sends, so that a slow or dead broker delays nobody; waiting rings are merged."""

    def __init__(self, broker_url: str) -> None:
        self._app = _producer(broker_url)
        self._waiting: dict[str, None] = {}  # ordered: who rang first is sent first
        self._changed = threading.Condition()
        self._closed = False
        self._failures = 0
        self._thread = threading.Thread(target=self._send_all, name="bell", daemon=True)
        self._thread.start()

    def ring(self, follower: str) -> None:
        """Ask for a ring and return at once."""
        with self._changed:
            self._waiting[follower] = None
            self._changed.notify()

    def close(self) -> None:
        """Stop ringing; waits at most for the ring that is being sent."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(_CLOSE_WITHIN_S)
        self._app.close()

    @property
    def failures(self) -> int:
        """Rings that could not be sent since the start."""
        return self._failures

    def _send_all(self) -> None:
        while not self._closed:
            for follower in self._next_round():
                self._send(follower)

    def _next_round(self) -> list[str]:
        """Who is to be rung, once someone is; none when the bell is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, REST_S)
            self._changed.wait_for(lambda: self._waiting or self._closed)
            waiting = [] if self._closed else list(self._waiting)
            self._waiting.clear()
            return waiting

    def _send(self, follower: str) -> None:
        try:
            self._app.send_task(
                BELL_TASK, queue=bell_queue(follower), expires=MESSAGE_EXPIRES_S, ignore_result=True, retry=False
            )
        except (KombuError, CeleryError, RedisError, OSError) as error:
            self._failures += 1
            log.warning("bell.failed", follower=follower, error=str(error), failures=self._failures)


def _producer(broker_url: str) -> Celery:
    app = Celery("inferbench-leader", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_publish_retry=False,
        broker_connection_timeout=SOCKET_TIMEOUT_S,
        broker_pool_limit=1,
        broker_transport_options={
            "socket_timeout": SOCKET_TIMEOUT_S,
            "socket_connect_timeout": SOCKET_TIMEOUT_S,
            "max_retries": 0,
        },
    )
    return app
