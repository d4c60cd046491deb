"""Carries out what the shapers decide, packet by packet, on a TUN device."""

import select
import time
from typing import Final

from follower.link.delay_line import DelayLine, both_ways
from follower.link.shaping import shape_of
from follower.link.tun import TunLink, wire_bytes
from shared.jobs.network import COARSE_RATE_MBIT, NetworkLink

PATH_NS: Final = 100_000
"""One way, by measurement: two wake-ups, and the kernel's path through the device."""
_BURST: Final = 64  # packets read before what is due is looked at again


def takes_large_packets(link: NetworkLink) -> bool:
    """Whether packets may come in one piece of up to 64 KiB.

    Not where each packet may be lost by itself, nor where the rate is so low that such a piece would take long.
    """
    return not link.loss_pct and (link.rate_mbit is None or link.rate_mbit >= COARSE_RATE_MBIT)


def run(device: TunLink, link: NetworkLink, seed: int, ports: frozenset[int]) -> None:
    """Until the process ends."""
    up: DelayLine[bytes]
    down: DelayLine[bytes]
    up, down = both_ways(shape_of(link, PATH_NS), seed)
    while True:
        _wait(device, up, down)
        for _ in range(_BURST):
            try:
                packet = device.read()
            except BlockingIOError:
                break
            turned = device.turn(packet, ports)
            if turned is not None:
                line = up if turned[1] else down
                line.enter(time.monotonic_ns(), turned[0], wire_bytes(packet))
        for line in (up, down):
            while (due := line.leave(time.monotonic_ns())) is not None:
                device.write(due)


def _wait(device: TunLink, up: DelayLine[bytes], down: DelayLine[bytes]) -> None:
    dues = [due_ns for line in (up, down) if (due_ns := line.next_due_ns) is not None]
    timeout_s = max(0, min(dues) - time.monotonic_ns()) / 1e9 if dues else None
    select.select([device.fd], [], [], timeout_s)
