"""Time stamps by the kernel: read from control messages as Linux lays them out, and never a hard dependency."""

import socket
import struct
from pathlib import Path

import numpy as np
import pytest
from support.loop_rig import OK, run_loop, scripted_server
from support.samples import open_plan

from follower.load import kernel_stamps
from follower.load.kernel_stamps import Control, StampedConnection, open_stamping, sent_byte, stamp_ns
from shared.measure.columns import NOT_AVAILABLE

PLAN = open_plan([5.0 * i for i in range(30)], warmup_ms=0, duration_ms=200)


def stamps(seconds: int, nanoseconds: int) -> tuple[int, int, bytes]:
    """SCM_TIMESTAMPING with a software stamp."""
    return (socket.SOL_SOCKET, 37, struct.pack("@6l", seconds, nanoseconds, 0, 0, 0, 0))


def report(*, origin: int = 4, kind: int = 0, byte: int = 405, at: tuple[int, int] = (0, 11)) -> tuple[int, int, bytes]:
    """IP_RECVERR about a sent byte: errno ENOMSG, then origin, type, code, padding, info, data."""
    return (*at, struct.pack("=IBBBBII", 42, origin, 0, 0, 0, kind, byte) + bytes(16))


def test_the_first_of_three_stamps_is_the_softwares() -> None:
    """Seconds and nanoseconds of CLOCK_REALTIME."""
    assert stamp_ns([report(), stamps(1_700_000_000, 123)]) == 1_700_000_000_000_000_123


@pytest.mark.parametrize(
    "control",
    [[], [report()], [stamps(0, 0)], [(socket.SOL_SOCKET, 37, b"short")], [(socket.SOL_SOCKET, 36, bytes(48))]],
)
def test_no_stamp_is_none(control: Control) -> None:
    """Absent, empty, cut off or something else."""
    assert stamp_ns(control) is None


def test_a_report_says_which_byte_was_sent() -> None:
    """Over IPv4 and IPv6."""
    assert sent_byte([stamps(1, 1), report(byte=405)]) == 405
    assert sent_byte([report(byte=2**32 - 1, at=(41, 25))]) == 2**32 - 1


@pytest.mark.parametrize(
    "control", [[], [report(origin=2)], [report(kind=1)], [(0, 11, b"short")], [report(at=(6, 1))]]
)
def test_other_reports_are_about_no_sent_byte(control: Control) -> None:
    """An ICMP error, a stamp of queueing, a cut-off message."""
    assert sent_byte(control) is None


def test_stamping_is_not_tried_unless_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then connections are plain, and there is nothing to say."""
    monkeypatch.setattr(kernel_stamps, "_trial", None)
    with open_stamping(wanted=False) as stamping:
        assert (stamping.connect, stamping.note) == (None, "")


def test_a_refusal_is_a_note_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that filters the option."""

    def refuse(_: socket.socket) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(kernel_stamps, "turn_on", refuse)
    with open_stamping(wanted=True) as stamping:
        assert stamping.connect is None
        assert "wire latency is not available" in stamping.note
        assert "Operation not permitted" in stamping.note


def test_a_kernel_that_stays_silent_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the option and gives no stamps."""
    monkeypatch.setattr(kernel_stamps, "turn_on", lambda _: None)
    monkeypatch.setattr(kernel_stamps, "_TRIAL_S", 0.05)
    with open_stamping(wanted=True) as stamping:
        assert stamping.connect is None
        assert "takes no time stamps" in stamping.note


@pytest.fixture
def stamped() -> type[StampedConnection]:
    """How to make stamped connections, where this kernel takes stamps."""
    with open_stamping(wanted=True) as stamping:
        if stamping.connect is None:
            pytest.skip(stamping.note)
    return StampedConnection


def test_wire_latency_is_shorter_than_the_senders_view_of_the_same_exchange(stamped: type[StampedConnection]) -> None:
    """From the last byte out to the last byte in: longer than nothing, at most the service latency."""
    with open_stamping(wanted=True), scripted_server(lambda *_: OK) as target:
        columns = run_loop(PLAN, target, connect=stamped)
    assert set(columns["error"].tolist()) == {0}
    taken = columns["wire_ns"] != NOT_AVAILABLE
    assert np.count_nonzero(taken) > 25
    service_ns = columns["last_byte_ns"] - columns["send_start_ns"]
    assert (columns["wire_ns"] > 0)[taken].all()
    assert (columns["wire_ns"] <= service_ns)[taken].all()


@pytest.mark.parametrize("step_ns", [-3_600_000_000_000, 3_600_000_000_000])
def test_a_wall_clock_that_steps_leaves_no_wire_latency_and_the_rest_unharmed(
    stamped: type[StampedConnection], monkeypatch: pytest.MonkeyPatch, step_ns: int
) -> None:
    """An hour between the two stamps of every exchange: neither a negative nor an endless latency is written down."""
    readings = [0]

    def stepping(control: Control) -> int | None:
        readings[0] += 1
        found = stamp_ns(control)
        return None if found is None else found + step_ns * readings[0]

    with open_stamping(wanted=True), scripted_server(lambda *_: OK) as target:
        monkeypatch.setattr(kernel_stamps, "stamp_ns", stepping)
        columns = run_loop(PLAN, target, connect=stamped)
    assert readings[0] > 30
    assert set(columns["wire_ns"].tolist()) == {NOT_AVAILABLE}
    assert set(columns["error"].tolist()) == {0}


def test_the_senders_path_reads_no_wall_clock() -> None:
    """No module of the sender asks for the time of day; the kernel's stamps are used as differences only."""
    folder = Path(kernel_stamps.__file__).parent
    wall = ("time.time(", "time_ns(", "datetime", "CLOCK_REALTIME)", "localtime", "gmtime")
    found = {
        f"{path.name}: {line.strip()}"
        for path in folder.rglob("*.py")
        for line in path.read_text().replace("monotonic_ns(", "").splitlines()
        if any(name in line for name in wall)
    }
    assert found == set()
