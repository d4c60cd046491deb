"""Nothing of the developer's own settings may leak into a test."""

import os

import pytest

pytest_plugins = ["support.mongo_servers"]

KEPT = {"INFERBENCH_TEST_MONGO_URL"}


@pytest.fixture(autouse=True)
def _without_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts without INFERBENCH_* variables, save those that choose test servers."""
    for name in os.environ:  # noqa: TID251 - removes settings, reads none
        if name.startswith("INFERBENCH_") and name not in KEPT:
            monkeypatch.delenv(name)
