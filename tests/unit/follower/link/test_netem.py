"""What a netem link tells ``ip`` and ``tc``, word by word, and when a follower takes it for its links."""

from collections.abc import Sequence

import pytest

from follower.link import netem
from follower.link.drivers import DRIVERS, Driver, DriverName, choose, networks
from follower.link.netem import Runner, address, commands, device_name, obstacle, qdisc, unfit
from shared.errors import NotAvailable
from shared.jobs.network import PROFILES, NetworkLink

LOSSY = NetworkLink(delay_ms=20, jitter_ms=2, rate_mbit=50, loss_pct=0.1)
FAST = NetworkLink(delay_ms=1, rate_mbit=4000)


def table(why_not: str | None, *, no_device: str | None = None) -> dict[DriverName, Driver]:
    """The project's own, of a follower that is root: with netem or without, and the same of TUN devices."""
    tried: dict[DriverName, Driver] = {
        "tun": Driver(DRIVERS["tun"].carries, lambda: no_device),
        "netem": Driver(DRIVERS["netem"].carries, lambda: why_not, unfit),
    }
    return {name: tried.get(name, driver) for name, driver in DRIVERS.items()}


def scripted(*answers: str | None) -> tuple[Runner, list[str]]:
    """A runner that gives these answers in turn, and what it was asked to run."""
    left, asked = list(answers), list[str]()

    def run(argv: Sequence[str]) -> str | None:
        asked.append(" ".join(argv))
        return left.pop(0)

    return run, asked


def test_the_plan_of_a_link_to_the_last_word() -> None:
    """One pair of devices, then the same four steps on each end, each in its own namespace."""
    plan = [f"{step.side}: {' '.join(step.argv)}" for step in commands(LOSSY, 3, "/proc/7/fd/5")]
    queue = "netem limit 1109 delay 19900us 2000us distribution normal loss random 0.1% rate 50000000bit -14"
    assert plan == [
        (
            "near: ip link add ibnetem3 address 02:00:00:00:00:01 type veth"
            " peer name ibnetem3 address 02:00:00:00:00:02 netns /proc/7/fd/5"
        ),
        "near: ip address add 198.18.0.13/30 dev ibnetem3",
        "near: ip link set ibnetem3 mtu 1500 gso_max_segs 1 up",
        "near: ip neighbour replace 198.18.0.14 lladdr 02:00:00:00:00:02 dev ibnetem3 nud permanent",
        f"near: tc qdisc add dev ibnetem3 root {queue}",
        "far: ip address add 198.18.0.14/30 dev ibnetem3",
        "far: ip link set ibnetem3 mtu 1500 gso_max_segs 1 up",
        "far: ip neighbour replace 198.18.0.13 lladdr 02:00:00:00:00:01 dev ibnetem3 nud permanent",
        f"far: tc qdisc add dev ibnetem3 root {queue}",
    ]


@pytest.mark.parametrize(
    ("link", "words"),
    [
        (NetworkLink(), "netem limit 1000"),
        (PROFILES["lan"], "netem limit 1009 rate 1000000000bit -14"),
        (PROFILES["wifi"], "netem limit 1035 delay 3900us 1000us distribution normal rate 60000000bit -14"),
        (PROFILES["lte"], "netem limit 1044 delay 34900us 3000us distribution normal rate 12000000bit -14"),
        (NetworkLink(loss_pct=0.001), "netem limit 1000 loss random 0.001%"),
        (
            NetworkLink(delay_ms=5, jitter_ms=1),
            "netem limit 7667 delay 4900us 1000us distribution normal rate 100000000000bit",
        ),
        (FAST, "netem limit 1334 delay 900us rate 4000000000bit -42 1472 28"),
    ],
)
def test_a_link_in_the_words_of_the_kernels_emulator(link: NetworkLink, words: str) -> None:
    """What the path takes by itself is off the delay; the queue holds 1000 packets beside those on their way.

    The rate of what only varies is none that limits: it keeps packets in order.
    """
    assert " ".join(qdisc(link)) == words


@pytest.mark.parametrize("segments", range(1, 46))
def test_a_large_packet_is_counted_as_the_packets_of_the_mtu_that_it_stands_for(segments: int) -> None:
    """By the kernel's formula for cells: so many segments of 1448 bytes behind one header of 66 take 1500 each."""
    overhead, cell, cell_overhead = map(int, qdisc(FAST)[-3:])
    length = 66 + 1448 * segments + overhead
    cells = -(-length // cell)
    assert cells * (cell + cell_overhead) == 1500 * segments
    assert 42 + overhead >= 0  # of the smallest packet: less would be an immense one to the kernel


@pytest.mark.parametrize(("link", "is_cut"), [(LOSSY, True), (FAST, False), (NetworkLink(delay_ms=5), False)])
def test_packets_come_one_by_one_where_each_counts(link: NetworkLink, *, is_cut: bool) -> None:
    """Netem loses a large packet as a whole, and spaces out few large ones coarsely."""
    ups = [step.argv for step in commands(link, 0, "x") if "up" in step.argv]
    assert len(ups) == 2
    assert all(("gso_max_segs" in argv) == is_cut for argv in ups)


def test_no_two_links_share_a_name_or_an_address_nor_take_the_devices_own() -> None:
    """As many as may be at once; the TUN link's near address stays free."""
    numbers = range(netem.MOST_LINKS)
    addresses = {address(number, side) for number in numbers for side in ("near", "far")}
    assert len(addresses) == 2 * netem.MOST_LINKS
    assert "198.18.184.238" not in addresses
    assert len({device_name(number) for number in numbers}) == netem.MOST_LINKS
    assert max(map(len, map(device_name, numbers))) <= 15  # of a device's name, <linux/if.h>


def test_a_kernel_with_both_is_tried_in_namespaces_that_are_thrown_away() -> None:
    """Devices first, then a queue that asks for everything."""
    run, asked = scripted(None, None)
    assert obstacle(run) is None
    assert asked == [
        "unshare --net ip link add ibprobe type veth peer name ibprobe2",
        (
            "unshare --net tc qdisc add dev lo root netem limit 5334 delay 9900us 1000us distribution normal"
            " loss random 0.1% rate 4000000000bit -14"
        ),
    ]


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (["unshare failed: Operation not permitted"], "Operation not permitted"),
        (["failed to execute ip: No such file or directory"], "failed to execute ip"),
        ([None, "failed to execute tc: No such file or directory"], "failed to execute tc"),
        ([None, "Error: Specified qdisc kind is unknown."], "qdisc kind is unknown"),
    ],
)
def test_what_is_missing_is_told_with_what_it_takes(answers: list[str | None], told: str) -> None:
    """And nothing is tried beyond it."""
    run, asked = scripted(*answers)
    reason = obstacle(run)
    assert reason is not None
    assert told in reason
    assert "it takes root, ip and tc, and a kernel with veth and sch_netem" in reason
    assert len(asked) == len(answers)


def test_this_host_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Announcing and choosing ask again and again."""
    run, asked = scripted(None, None)
    monkeypatch.setattr(netem, "ran", run)
    netem.why_not.cache_clear()
    try:
        assert [netem.why_not() for _ in range(3)] == [None] * 3
    finally:
        netem.why_not.cache_clear()
    assert len(asked) == 2


def test_a_command_that_fails_is_told_by_its_first_words_and_its_own() -> None:
    """Whether it ran or is not there."""
    assert netem.ran(("true",)) is None
    assert netem.ran(("sh", "-c", "echo no such thing >&2; exit 2")) == (
        "sh -c echo no such thing >&2; exit 2: no such thing"
    )
    assert netem.ran(("false", "a")) == "false a: status 1"
    assert "no-such-program" in str(netem.ran(("no-such-program",)))


def test_netem_stands_in_where_there_is_no_device() -> None:
    """Every profile, with root; a link that is drawn from the job's seed is preferred."""
    for link in PROFILES.values():
        if link is not None:
            assert choose(link, table(None)) == "tun"
            assert choose(link, table(None, no_device="no /dev/net/tun")) == "netem"


def test_links_beyond_the_device_are_announced_and_carried_by_netem_alone() -> None:
    """Above 2 Gbit/s."""
    assert "custom-fast" in networks(table(None))
    assert choose(FAST, table(None)) == "netem"
    assert "custom-fast" not in networks(table("no sch_netem"))
    with pytest.raises(NotAvailable, match="no sch_netem"):
        choose(FAST, table("no sch_netem"))


def test_a_jitter_that_a_normal_law_cannot_have_is_left_to_the_device() -> None:
    """Its delays would be cut off at 0, and longer on average than asked for."""
    wild = NetworkLink(delay_ms=3, jitter_ms=1.1)
    assert unfit(NetworkLink(delay_ms=3, jitter_ms=1)) is None
    assert "normal law" in str(unfit(wild))
    with pytest.raises(NotAvailable, match="normal law"):
        choose(wild, table(None, no_device="no /dev/net/tun"))
