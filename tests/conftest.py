"""Nothing of the developer's own settings may leak into a test, and no test may wait for another's devices."""

import os
import secrets
import signal

import pytest

pytest_plugins = ["support.mongo_servers", "support.container_engine"]

KEPT = {"INFERBENCH_TEST_MONGO_URL"}

signal.signal(signal.SIGINT, signal.default_int_handler)
"""A shell has what it starts in the background ignore Ctrl-C, and so would every program that a test sends one."""


@pytest.fixture(autouse=True)
def _without_own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each test starts without INFERBENCH_* variables, save those that choose test servers.

    Its followers lock the machine's cores for themselves alone: beside a developer's own stack, and beside a stack that
    other tests share.
    """
    for name in os.environ:  # noqa: TID251 - removes settings, reads none
        if name.startswith("INFERBENCH_") and name not in KEPT:
            monkeypatch.delenv(name)
    own_locks = tmp_path_factory.getbasetemp() / "slots" / secrets.token_hex(8)
    monkeypatch.setenv("INFERBENCH_SLOT_LOCK_DIR", str(own_locks))
