"""Links in tests: one emulator around a block, and whether this machine lets us have a device."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from follower.link import tun
from follower.link.emulator import EmulatorOrder
from follower.link.run_link import LinkProcess
from shared.jobs.network import NetworkLink

_WHY_NOT = tun.why_not()
needs_tun = pytest.mark.skipif(_WHY_NOT is not None, reason=str(_WHY_NOT))


@contextmanager
def running_link(driver: str, link: NetworkLink, folder: Path, *ports: int) -> Iterator[LinkProcess]:
    """An emulator before these ports of the loopback address."""
    targets = tuple(("127.0.0.1", port) for port in ports)
    process = LinkProcess(EmulatorOrder(driver=driver, link=link, seed=1, targets=targets), (), folder / "link.log")
    try:
        yield process
    finally:
        process.close()


def devices() -> set[str]:
    """The links' devices that the kernel has now."""
    return {name for _, name in socket.if_nameindex() if name.startswith("iblink")}
