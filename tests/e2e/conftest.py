"""One stack for all end-to-end tests: what a team would have running."""

import os
from collections.abc import Iterator

import pytest
from support.running_stack import RunningStack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The embedded stack, running."""
    environment = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 - hands PATH and HOME on
        if not name.startswith("INFERBENCH_")
    }
    folder = tmp_path_factory.mktemp("stack")
    environment["INFERBENCH_SLOT_LOCK_DIR"] = str(folder / "slots")
    environment["INFERBENCH_INVALID_BUSY_SHARE"] = "1"  # others may use this machine: that is not what is tried here
    with running_stack(folder / "data", environment) as running:
        yield running
