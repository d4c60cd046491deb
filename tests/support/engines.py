"""Tests that need an engine say so here."""

import os

import pytest

from follower.engines.folder import installed_version


def require(available: bool, reason: str) -> None:
    """Skips the test where something is not to be had; where CI promises it, that is a failure."""
    if available:
        return
    if os.environ.get("CI") == "true":  # noqa: TID251 - the one thing that the suite asks its surroundings
        pytest.fail(f"CI has to have it: {reason}")
    pytest.skip(reason)


def require_engine(name: str) -> None:
    """Skips the test where the engine is not installed."""
    require(installed_version(name) is not None, f"engine {name} is not installed: inferbench platforms install {name}")
