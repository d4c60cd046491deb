"""Links in tests: one emulator around a block, and whether this machine lets us have what drives it."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.engines import require

from follower.link import netem, tun
from follower.link.emulator import EmulatorOrder
from follower.link.run_link import LinkProcess
from shared.jobs.network import NetworkLink

TUN_FILE = Path("/dev/net/tun")

needs_tun = pytest.mark.usefixtures("tun_device")
needs_namespaces = pytest.mark.usefixtures("namespaces")


def require_tun(*, is_root: bool, device: Path, why_not: str | None) -> None:
    """Skips the test where the machine cannot have a device. Where it could and has none, that fails under CI."""
    if not is_root:
        pytest.skip("only root may have a TUN device")
    if not device.exists():
        pytest.skip(f"the kernel has no {device}")
    require(why_not is None, str(why_not))


@pytest.fixture(scope="session")
def tun_device() -> None:
    """Asked for by ``needs_tun``."""
    require_tun(is_root=os.geteuid() == 0, device=TUN_FILE, why_not=tun.why_not())


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Asked for by ``needs_namespaces``: two of them, joined by a pair of devices."""
    if os.geteuid() != 0:
        pytest.skip("only root may make network namespaces")
    reason = netem.ran(netem.TRIED_FIRST)
    require(reason is None, str(reason))


@pytest.fixture(scope="session")
def netem_kernel() -> None:
    """No CI promises a kernel with it."""
    if (reason := netem.why_not()) is not None:
        pytest.skip(reason)


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
    return {name for _, name in socket.if_nameindex() if name.startswith(("iblink", "ibnetem"))}
