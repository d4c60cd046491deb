"""Carries out a netem link: a namespace without a name, the devices, and the splice from the far end to the service.

The namespace lives as long as this process holds it, and the kernel removes it with both devices then, whatever ends
the process. A TCP connection ends at the splice in the far namespace, which hands its bytes on over the loopback
address: delay, loss and rate are the kernel's, on a real connection between the sender and the splice.
"""

import ctypes
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from follower.link import netem, proxy_driver
from shared.jobs.network import NetworkLink

_CLONE_NEWNET: Final = 0x40000000  # <linux/sched.h>
_OWN: Final = "/proc/thread-self/ns/net"
_NO_LINK: Final = NetworkLink()

Plan = Callable[[NetworkLink, int, str], Sequence[netem.Command]]


class Namespace:
    """A network namespace of its own, held by this process. Of one thread only.

    Raises:
        OSError: not permitted.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        _require(self._libc.unshare(_CLONE_NEWNET), "unshare")
        self._far = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
        self._enter(self._home)

    @property
    def path(self) -> str:
        """By which other programs find it, as long as this process lives."""
        return f"/proc/{os.getpid()}/fd/{self._far}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What this thread opens or starts here belongs to the namespace."""
        self._enter(self._far)
        try:
            yield
        finally:
            self._enter(self._home)

    def close(self) -> None:
        """Lets it go; the kernel removes it once no socket of it is open."""
        os.close(self._far)
        os.close(self._home)

    def _enter(self, namespace: int) -> None:
        _require(self._libc.setns(namespace, _CLONE_NEWNET), "setns")


def _require(result: int, call: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")


def run(
    link: NetworkLink,
    targets: Sequence[tuple[str, int]],
    opened: Callable[[Sequence[tuple[str, int]]], None],
    plan: Plan = netem.commands,
) -> None:
    """Until the process ends; ``opened`` is told where the link's far ends are.

    Raises:
        OSError: a step of the plan failed.
    """
    namespace = Namespace()
    number = make(link, namespace, plan)
    with namespace.entered():
        listeners = [socket.create_server((netem.address(number, "far"), 0)) for _ in targets]
    proxy_driver.run(_NO_LINK, 0, targets, opened, listeners)


def make(link: NetworkLink, namespace: Namespace, plan: Plan = netem.commands) -> int:
    """Makes the devices under the first number that is free; which one that is.

    Raises:
        OSError: a step of the plan failed, or no number is free.
    """
    for number in range(netem.MOST_LINKS):
        name = netem.device_name(number)
        if name in _devices():
            continue
        add, *rest = plan(link, number, namespace.path)
        if (what := netem.ran(add.argv)) is not None:
            if name in _devices():  # another link was quicker
                continue
            raise OSError(what)
        _take(rest, namespace)
        return number
    raise OSError(f"there are {netem.MOST_LINKS} netem links already")


def _take(steps: Sequence[netem.Command], namespace: Namespace) -> None:
    for step in steps:
        if step.side == "far":
            with namespace.entered():
                what = netem.ran(step.argv)
        else:
            what = netem.ran(step.argv)
        if what is not None:
            raise OSError(what)


def _devices() -> set[str]:
    return {name for _, name in socket.if_nameindex()}
