"""Links by the kernel's own emulator: what ``ip`` and ``tc`` are told for a link (pure), and whether they do it here.

A pair of virtual Ethernet devices joins the follower's network namespace to another one that has no name; a netem queue
on each end delays, loses and spaces out what leaves it. Source of words and meanings: tc-netem(8), ip-link(8), and the
kernel's net/sched/sch_netem.c for what the manual does not say.
"""

import math
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address
from typing import Final, Literal

from follower.link.shaping import MTU_BYTES, QUEUE_PACKETS
from shared.jobs.network import FAST_RATE_MBIT, NetworkLink

PATH_US: Final = 100.0
"""One way, by measurement: the devices, and the splice behind the far end with its wake-ups."""
MOST_LINKS: Final = 10_000
"""At once; each has four addresses of 198.18.0.0/15, which RFC 2544 sets aside for benchmarks, below the TUN link's."""
DEVIATIONS: Final = 3
"""Of a normal law that must fit above a delay of 0, where netem cuts it off: 0.13 % are beyond."""
_IN_ORDER_MBIT: Final = 100_000.0
"""A rate that is no limit: netem keeps packets in order only where it has one."""
_FASTEST_MBIT: Final = 10_000.0  # without a limit; for the length of the queue
_FIRST_ADDRESS: Final = IPv4Address("198.18.0.0")
_ETHERNET_BYTES: Final = 14
_SMALLEST_FRAME_BYTES: Final = 42  # of ARP, UDP, ICMP; netem takes less than nothing for a very large packet
_MAC: Final = {"near": "02:00:00:00:00:01", "far": "02:00:00:00:00:02"}
_DEMANDING: Final = NetworkLink(delay_ms=10, jitter_ms=1, rate_mbit=4000, loss_pct=0.1)
_TIMEOUT_S: Final = 10.0
_ELSEWHERE: Final = ("unshare", "--net")
TRIED_FIRST: Final = (*_ELSEWHERE, "ip", "link", "add", "ibprobe", "type", "veth", "peer", "name", "ibprobe2")

Side = Literal["near", "far"]
Runner = Callable[[Sequence[str]], str | None]
"""Runs a command; says what went wrong, or None."""


@dataclass(frozen=True)
class Command:
    """One step, and in which of the two namespaces it is to be taken."""

    side: Side
    argv: tuple[str, ...]


def device_name(number: int) -> str:
    """Of both ends of a link, each in its own namespace."""
    return f"ibnetem{number}"


def address(number: int, side: Side) -> str:
    """Of an end; the two share four addresses with nobody else."""
    return str(_FIRST_ADDRESS + 4 * number + (1 if side == "near" else 2))


def commands(link: NetworkLink, number: int, namespace: str) -> tuple[Command, ...]:
    """All that makes link ``number``, in order; ``namespace`` is the path by which the near side knows the far one."""
    name = device_name(number)
    add = f"ip link add {name} address {_MAC['near']} type veth"
    peer = f"peer name {name} address {_MAC['far']} netns {namespace}"
    return (
        Command("near", tuple(f"{add} {peer}".split())),
        *_end(link, number, "near", "far"),
        *_end(link, number, "far", "near"),
    )


def _end(link: NetworkLink, number: int, side: Side, other: Side) -> tuple[Command, ...]:
    name = device_name(number)
    whole = "" if _takes_large_packets(link) else " gso_max_segs 1"
    lines = (
        f"ip address add {address(number, side)}/30 dev {name}",
        f"ip link set {name} mtu {MTU_BYTES}{whole} up",
        # no question of who has which address, which a link might lose or delay for longer than anyone waits
        f"ip neighbour replace {address(number, other)} lladdr {_MAC[other]} dev {name} nud permanent",
        f"tc qdisc add dev {name} root {' '.join(qdisc(link))}",
    )
    return tuple(Command(side, tuple(line.split())) for line in lines)


def _takes_large_packets(link: NetworkLink) -> bool:
    """Whether the kernel may hand over up to 64 KiB at once, which netem delays and loses as one packet."""
    return not link.loss_pct and (link.rate_mbit is None or link.rate_mbit > FAST_RATE_MBIT)


def qdisc(link: NetworkLink) -> tuple[str, ...]:
    """One direction of a link in the words of tc-netem(8)."""
    words = ["netem", "limit", str(_limit(link))]
    delay_us = max(0.0, 1e3 * link.delay_ms - PATH_US)
    if delay_us:
        words += ["delay", f"{delay_us:.0f}us"]
        if link.jitter_ms:
            words += [f"{1e3 * link.jitter_ms:.0f}us", "distribution", "normal"]
    if link.loss_pct:
        words += ["loss", "random", f"{link.loss_pct:g}%"]
    if link.rate_mbit is not None:
        words += ["rate", f"{1e6 * link.rate_mbit:.0f}bit", *_counted(link)]
    elif link.jitter_ms:
        words += ["rate", f"{1e6 * _IN_ORDER_MBIT:.0f}bit"]
    return tuple(words)


def _counted(link: NetworkLink) -> tuple[str, ...]:
    """How netem is to count a packet's bytes: without its Ethernet header, as packets of the MTU have 1500.

    A large one is counted as those that it would be cut into, by whole cells: it has one header in place of up to 45.
    """
    if not _takes_large_packets(link):
        return (str(-_ETHERNET_BYTES),)
    cell_bytes = MTU_BYTES + _ETHERNET_BYTES - _SMALLEST_FRAME_BYTES
    return (str(-_SMALLEST_FRAME_BYTES), str(cell_bytes), str(MTU_BYTES - cell_bytes))


def _limit(link: NetworkLink) -> int:
    """Packets that the queue may hold: netem counts those on their way, too."""
    longest_s = (link.delay_ms + DEVIATIONS * link.jitter_ms) / 1e3
    under_way_bytes = longest_s * (link.rate_mbit or _FASTEST_MBIT) * 1e6 / 8
    return QUEUE_PACKETS + math.ceil(under_way_bytes / MTU_BYTES)


def unfit(link: NetworkLink) -> str | None:
    """Why netem, wherever it is, does not carry this link."""
    if DEVIATIONS * link.jitter_ms <= link.delay_ms:
        return None
    return f"its delays follow a normal law, so that a jitter above 1/{DEVIATIONS} of the delay would be cut off at 0"


@cache
def why_not() -> str | None:
    """Why there can be no such link here; None if there can be one. Tried once in a process."""
    return obstacle(ran)


def obstacle(run: Runner) -> str | None:
    """What speaks against it, by trying both devices and a queue in network namespaces that are then thrown away."""
    queue = (*_ELSEWHERE, "tc", "qdisc", "add", "dev", "lo", "root", *qdisc(_DEMANDING))
    for tried in (TRIED_FIRST, queue):
        what = run(tried)
        if what is not None:
            return f"netem cannot be had ({what}); it takes root, ip and tc, and a kernel with veth and sch_netem"
    return None


def ran(argv: Sequence[str]) -> str | None:
    """Runs one command; says what went wrong, or None."""
    try:
        ran = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if ran.returncode == 0 else f"{' '.join(argv[:4])}: {ran.stderr.strip() or f'status {ran.returncode}'}"
