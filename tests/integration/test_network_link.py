"""Links for real: what comes out of the emulator, and what is left when it is gone."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process, story_kinds
from support.links import devices, needs_namespaces, needs_tun, running_link

from follower.agent.reap import carriers_of
from follower.link import netem, netem_driver, tun
from follower.link.drivers import choose
from follower.link.measure import Responder, measure
from follower.link.run_link import measured
from follower.link.tun import NEAR, TunLink, wire_bytes
from shared.jobs.network import PROFILES, NetworkLink
from shared.measure.link import link_faults
from shared.measure.samples_file import read_samples

SMALL = NetworkLink(delay_ms=10, rate_mbit=50)
NEEDS = {"netem": "netem_kernel", "tun": "tun_device"}


def ones_complement_sum(address: str) -> int:
    """Of an address's two words, as Internet checksums add them."""
    high, low = struct.unpack("!HH", socket.inet_aton(address))
    return int(high + low) % 0xFFFF


def until_gone(before: set[str]) -> None:
    """The kernel takes a moment to remove a device."""
    deadline_s = time.monotonic() + 5
    while devices() - before:
        assert time.monotonic() < deadline_s, devices() - before
        time.sleep(0.01)


def test_the_near_address_weighs_as_much_as_the_loopback_address() -> None:
    """Otherwise every rewritten packet would need new checksums."""
    assert ones_complement_sum(NEAR) == ones_complement_sum("127.0.0.1")


def test_a_large_packet_is_counted_as_the_packets_that_it_stands_for() -> None:
    """14,480 bytes of payload in segments of 1448 are ten packets of 1500."""
    packet = struct.pack("=BBHHHH", 1, 1, 52, 1448, 0, 0) + bytes(52 + 14_480)
    assert wire_bytes(packet) == 10 * 1500
    assert wire_bytes(struct.pack("=BBHHHH", 0, 0, 0, 0, 0, 0) + bytes(40)) == 40


@pytest.fixture(params=["netem", "tun", "proxy"])
def driver(request: pytest.FixtureRequest) -> str:
    """Each that this machine can have."""
    name = str(request.param)
    if name in NEEDS:
        request.getfixturevalue(NEEDS[name])
    return name


def test_a_link_has_the_round_trip_and_the_rate_that_were_asked_for(driver: str, tmp_path: Path) -> None:
    """By the measurement that every run makes."""
    with Responder() as responder, running_link(driver, SMALL, tmp_path, responder.port) as link:
        found = measured(SMALL, driver, link.reached_at[0])
    assert list(link_faults(found)) == []
    assert found.round_trips >= 20
    assert found.up_mbit == pytest.approx(50, rel=0.05)
    assert found.down_mbit == pytest.approx(50, rel=0.05)


def test_a_client_of_the_proxy_sees_the_segments_of_a_network(tmp_path: Path) -> None:
    """Loopback's own would be acknowledged too seldom, and the end of a stream come 40 ms late at times."""
    with (
        Responder() as responder,
        running_link("proxy", SMALL, tmp_path, responder.port) as link,
        socket.create_connection(link.reached_at[0], timeout=20) as client,
    ):
        assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == 1448


@needs_tun
@pytest.mark.parametrize("profile", ["lan", "wifi", "lte"])
def test_every_profile_is_kept_by_the_device(profile: str, tmp_path: Path) -> None:
    """Delay within 5 % or 0.5 ms, rate within 5 %."""
    asked = PROFILES[profile]  # type: ignore[index]
    assert asked is not None
    with Responder() as responder, running_link("tun", asked, tmp_path, responder.port) as link:
        assert list(link_faults(measured(asked, "tun", link.reached_at[0]))) == []


@needs_tun
def test_lost_packets_are_sent_again_by_tcp_itself(tmp_path: Path) -> None:
    """What was sent arrives whole over a link that loses one packet in fifty."""
    asked, sent = NetworkLink(delay_ms=2, loss_pct=2), os.urandom(1 << 17)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        running_link("tun", asked, tmp_path, server.getsockname()[1]) as link,
        socket.create_connection(link.reached_at[0], timeout=20) as client,
    ):
        service, _ = server.accept()
        with service:
            service.settimeout(20)
            client.sendall(sent)
            received = b""
            while len(received) < len(sent):
                received += service.recv(1 << 16)
    assert received == sent


@needs_tun
def test_a_link_reaches_the_ports_that_it_was_made_for_and_no_others(tmp_path: Path) -> None:
    """It must be no second door to what listens on the loopback address."""
    with (
        socket.create_server(("127.0.0.1", 0)) as wanted,
        socket.create_server(("127.0.0.1", 0)) as other,
        running_link("tun", NetworkLink(), tmp_path, wanted.getsockname()[1]) as link,
    ):
        host, port = link.reached_at[0]
        socket.create_connection((host, port), timeout=5).close()
        with pytest.raises(TimeoutError):
            socket.create_connection((host, other.getsockname()[1]), timeout=0.3)


@needs_tun
def test_two_links_at_once_do_not_meet(tmp_path: Path) -> None:
    """Each has a device and an address of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with running_link("tun", SMALL, tmp_path, port) as one, running_link("tun", SMALL, tmp_path, port) as two:
            assert one.reached_at[0][0] != two.reached_at[0][0]
            for link in (one, two):
                socket.create_connection(link.reached_at[0], timeout=5).close()


@needs_tun
def test_the_device_goes_with_its_descriptor() -> None:
    """Nothing has to be cleaned up."""
    before = devices()
    device = TunLink(offload=True)
    assert device.name in devices()
    device.close()
    until_gone(before)


@needs_tun
def test_nothing_is_left_when_the_emulators_parent_is_killed(tmp_path: Path) -> None:
    """Neither a process nor a device, though nobody was there to tidy up."""
    before = devices()
    script = (
        "import sys, time; from pathlib import Path; from support.links import running_link;"
        " from shared.jobs.network import NetworkLink\n"
        f"with running_link('tun', NetworkLink(), Path({str(tmp_path)!r}), 9) as link:\n"
        "    print(link.pid, flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}  # noqa: TID251 - for a child
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    emulator = int(parent.stdout.readline())
    assert devices() - before
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until_gone(before)
    deadline_s = time.monotonic() + 5
    while Path(f"/proc/{emulator}/cmdline").exists() and Path(f"/proc/{emulator}/cmdline").read_bytes():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


UNSHAPED = """
import json, sys
from follower.link import netem, netem_driver
from shared.jobs.network import NetworkLink

def plan(*asked):
    return [step for step in netem.commands(*asked) if step.argv[0] == "ip"]

targets = [("127.0.0.1", int(port)) for port in sys.argv[1:]]
netem_driver.run(NetworkLink(), targets, lambda ends: print(json.dumps(ends), flush=True), plan)
"""


@contextmanager
def unshaped_namespace(*ports: int) -> Iterator[tuple[subprocess.Popen[bytes], list[tuple[str, int]]]]:
    """The netem link's devices, namespace and splice without its queues, which not every kernel has."""
    command = [sys.executable, "-c", UNSHAPED, *map(str, ports)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process, [(host, port) for host, port in json.loads(process.stdout.readline())]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@needs_namespaces
def test_the_far_namespace_is_reached_over_its_devices_and_leaves_nothing_when_killed() -> None:
    """Its round trip without a queue is what the driver takes off the delay."""
    before = devices()
    with Responder() as responder, unshaped_namespace(responder.port) as (_, (far_end,)):
        assert len(devices() - before) == 1
        assert far_end[0].startswith("198.18.")
        found = measure(NetworkLink(), "netem", far_end)
    assert 0 < found.round_trip_ms < 5
    until_gone(before)


@needs_namespaces
def test_two_far_namespaces_at_once_do_not_meet() -> None:
    """Each has devices and addresses of its own, and leads where it should."""
    with Responder() as one, Responder() as two:  # noqa: SIM117 - two links, each before its own
        with unshaped_namespace(one.port, two.port) as (_, first), unshaped_namespace(two.port) as (_, second):
            assert first[0][0] == first[1][0] != second[0][0]
            for end in (*first, *second):
                assert measure(NetworkLink(), "netem", end).round_trip_ms > 0


@needs_namespaces
def test_a_step_that_the_kernel_refuses_is_told_and_leaves_nothing() -> None:
    """A queue of a kind that no kernel has; the devices were there already."""
    before = devices()

    def plan(*asked: Any) -> list[netem.Command]:
        return [
            *netem.commands(*asked)[:4],
            netem.Command("far", ("tc", "qdisc", "add", "dev", "lo", "root", "nosuch")),
        ]

    namespace = netem_driver.Namespace()
    try:
        with pytest.raises(OSError, match="tc qdisc add dev"):
            netem_driver.make(NetworkLink(), namespace, plan)
    finally:
        namespace.close()
    until_gone(before)


@needs_namespaces
def test_without_netem_a_profile_falls_back_to_the_device() -> None:
    """On this machine, whichever it has."""
    lan = PROFILES["lan"]
    assert lan is not None
    if netem.why_not() is None:
        assert choose(lan) == "netem"
    elif tun.why_not() is None:
        assert choose(lan) == "tun"


def test_transmission_is_the_round_trip_and_the_time_on_the_wire(tmp_path: Path) -> None:
    """Some 40 kB at 20 Mbit/s on a link of 30 ms there and back; the service takes next to nothing."""
    before = devices()
    spec = run_spec(
        model={"generate": {"family": "fc", "layers": 1, "width": 256}},
        requests={"distinct": 4, "batch_size": 40},
        workload={"pattern": "closed", "concurrency": 1, "warmup": "500ms", "duration": "2s"},
        network={"delay_ms": 15, "rate_mbit": 20},
    )
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        record = attempt.succeed().record
        assert "link" in story_kinds(attempt)
        assert carriers_of(tmp_path) == ()
    until_gone(before)
    assert record.link is not None
    assert record.link.delay_ms == 15
    assert record.link.round_trip_ms == pytest.approx(30, rel=0.05)
    sent = int(np.median(read_samples(attempt.directory.samples).columns["bytes_sent"]))
    on_the_wire_ms = sent * 1500 / 1448 * 8 / 20e6 * 1e3
    assert on_the_wire_ms > 10
    assert record.stages["transmission"].p50_ms == pytest.approx(30 + on_the_wire_ms, rel=0.1)
    assert not [reason for reason in record.verdict.reasons if "link" in reason]
