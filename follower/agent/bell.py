"""The doorbell: a Celery worker in a thread, whose one task says "look at your list".

A bell that is lost costs one polling period, so nothing here is acknowledged late, stored or retried.
"""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog
from celery import Celery  # type: ignore[import-untyped]  # the package ships no types
from celery.worker import WorkController  # type: ignore[import-untyped]
from celery.worker.request import Request  # type: ignore[import-untyped]
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

TASK: Final = "inferbench.bell"
LONGEST_PAUSE_S: Final = 30.0

log = structlog.get_logger()


class UndatedRequest(Request):  # type: ignore[misc]  # the package ships no types
    """A bell that is heard whatever its date: by a wrong clock of ours every one would have expired."""

    def maybe_expire(self) -> bool:
        """Never: hearing an old one costs a look at the list."""
        return False


class BellListener:
    """Listens on one queue for ever; a broker that is away is waited for."""

    def __init__(self, broker_url: str, queue: str, on_bell: Callable[[], None]) -> None:
        self._app = _celery_app(broker_url, queue, on_bell)
        self._queue = queue
        self._thread = threading.Thread(target=self._listen, name="bell", daemon=True)

    def start(self) -> None:
        """Listen in a thread of its own; it ends with the process."""
        self._thread.start()

    def _listen(self) -> None:
        pause_s = 1.0
        while True:
            began_ns = time.monotonic_ns()
            try:
                self._work()
            except (OSError, KombuError, RedisError) as error:
                log.warning("bell-lost", queue=self._queue, reason=str(error))
            lasted_s = (time.monotonic_ns() - began_ns) / 1e9
            pause_s = 1.0 if lasted_s > LONGEST_PAUSE_S else min(LONGEST_PAUSE_S, pause_s * 2)
            time.sleep(pause_s)

    def _work(self) -> None:
        """One worker's life. A plain WorkController touches neither signals nor logging."""
        WorkController(
            app=self._app,
            hostname=f"bell@{self._queue}",
            pool_cls="solo",
            concurrency=1,
            queues=self._queue,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        ).start()


def _celery_app(broker_url: str, queue: str, on_bell: Callable[[], None]) -> Celery:
    app = Celery("inferbench", broker=broker_url, backend="disabled://", set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_default_queue=queue,
        task_create_missing_queues=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_prefetch_multiplier=1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        broker_transport_options={"socket_timeout": 30, "socket_connect_timeout": 5, "socket_keepalive": True},
    )

    def ring(*_args: object, **_options: object) -> None:
        on_bell()

    app.task(name=TASK, Request=UndatedRequest)(ring)
    return app
