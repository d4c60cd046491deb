"""``python -m follower.link.emulator ORDER``: one link, for as long as this process lives.

Says on standard output, in one line of JSON, where the targets are reached through the link. Its parent ties it to
itself and to a core; the device goes with it.
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from pydantic import BaseModel, ConfigDict

from follower.link import netem_driver, proxy_driver, tun_driver
from follower.link.tun import TunLink
from shared.jobs.network import NetworkLink

_PR_SET_TIMERSLACK: Final = 29  # <linux/prctl.h>


class Message(BaseModel):
    """Between the attempt and its emulator."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EmulatorOrder(Message):
    """What to emulate, before which targets (host, port)."""

    driver: str
    link: NetworkLink
    seed: int
    targets: tuple[tuple[str, int], ...]


class EmulatorReady(Message):
    """Where each target is reached through the link, or why it is not."""

    reached_at: tuple[tuple[str, int], ...] = ()
    refused: str | None = None


def main(argument: str) -> int:
    """Returns only where there can be no link."""
    order = EmulatorOrder.model_validate_json(argument)
    _keep_time()
    try:
        _run(order)
    except OSError as error:
        _say(EmulatorReady(refused=str(error)))
    return 1


def _run(order: EmulatorOrder) -> None:
    if order.driver == "proxy":
        proxy_driver.run(order.link, order.seed, order.targets, _say_where)
        return
    if order.driver == "netem":
        netem_driver.run(order.link, order.targets, _say_where)
        return
    device = TunLink(offload=tun_driver.takes_large_packets(order.link))
    ports = frozenset(port for _, port in order.targets)
    _say(EmulatorReady(reached_at=tuple((device.far, port) for _, port in order.targets)))
    tun_driver.run(device, order.link, order.seed, ports)


def _keep_time() -> None:
    """A link does not wait for the CPU: ahead of everything else on the core where that is permitted."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1)
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def _say_where(ends: Sequence[tuple[str, int]]) -> None:
    _say(EmulatorReady(reached_at=tuple(ends)))


def _say(ready: EmulatorReady) -> None:
    sys.stdout.write(ready.model_dump_json() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
