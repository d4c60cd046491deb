"""What several integration tests stand on."""

from collections.abc import AsyncIterator

import pytest
from support.desks import Workplace, workplace
from support.links import namespaces, netem_kernel, tun_device
from support.typed_commands import inferbench, leader

__all__ = ["inferbench", "leader", "namespaces", "netem_kernel", "place", "tun_device"]


@pytest.fixture
async def place(mongo_url: str) -> AsyncIterator[Workplace]:
    """The manage layer on an empty database, with one follower, f1, that has one slot."""
    async with workplace(mongo_url) as opened:
        yield opened
