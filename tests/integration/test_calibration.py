"""Self-calibration with the real sender and the real null server, against golden servers of known behaviour."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.sending import Rig, target_of

from follower.calibrate.cache import CalibrationCache
from follower.calibrate.calibrate import Calibrator
from follower.calibrate.null_process import CalibrationFailed
from follower.calibrate.shape import Host
from follower.load.dialects import DIALECTS
from follower.load.encode import InputTensor
from follower.load.process_sender import ProcessSender
from follower.load.protocol import LiveRows, LoadOutcome, LoadRequest, Sender
from shared.clock import SystemClock
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.testing.behaviour import Behaviour
from shared.testing.golden_server import golden_server

HOST = Host(boot_id="b", kernel="k", cpu_model="c", governor=None, versions={})
CLOSED = {"pattern": "closed", "concurrency": 2, "duration": "1s"}
SLOW = Behaviour(service_ms=50, filler_bytes=3_000)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Runs senders in a directory of its own."""
    return Rig(tmp_path)


def calibrator(folder: Path, sender: Sender | None = None, check: Callable[[], None] = lambda: None) -> Calibrator:
    """Of a host that does not change."""
    return Calibrator(
        sender=sender or ProcessSender(),
        cache=CalibrationCache(folder, HOST),
        server_cores=[max(os.sched_getaffinity(0))],
        clock=SystemClock(),
        check=check,
    )


class Failing:
    """A sender that does not get as far as to send."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def run(
        self,
        request: LoadRequest,  # noqa: ARG002 - the protocol's
        *,
        on_start: Callable[[int, Sequence[int], LiveRows], None],  # noqa: ARG002
        keep_going: Callable[[], None],  # noqa: ARG002
    ) -> LoadOutcome:
        raise self.error


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_clients_own_part_is_found_whatever_the_service_takes(rig: Rig, tmp_path: Path, protocol: str) -> None:
    """The service takes 50 ms for 40 requests a second; the client alone is far quicker, and far from instant."""
    with golden_server(SLOW, protocol=protocol) as server:  # type: ignore[arg-type]
        request = rig.request(target_of(server), CLOSED)
        found = calibrator(tmp_path).calibrate(request)
        asked = len(server.journal())
    assert found.ceiling_rps > 500
    assert 5 < found.added_p50_us < 20_000
    assert found.added_p50_us <= found.added_p99_us
    assert found.lateness_p50_us <= found.lateness_p99_us
    assert (found.protocol, found.connections, found.workers) == (protocol, 2, 1)
    assert found.request_bytes == len(request.encoded[0])
    assert found.response_bytes > 3_000
    assert not found.reused
    assert asked == 1  # the service is asked once, and not loaded


def test_a_second_run_of_the_shape_measures_nothing(rig: Rig, tmp_path: Path) -> None:
    """It takes what is known, and says so."""
    with golden_server(Behaviour(service_ms=0)) as server:
        request = rig.request(target_of(server), CLOSED)
        first = calibrator(tmp_path).calibrate(request)
        again = calibrator(tmp_path, Failing(AssertionError("nothing is to be sent"))).calibrate(request)
    assert again == first.model_copy(update={"reused": True})


def test_what_is_found_on_a_busy_host_is_not_kept(rig: Rig, tmp_path: Path) -> None:
    """It would mark later runs for a client that was slow once."""
    with golden_server(Behaviour(service_ms=0)) as server:
        found = replace(calibrator(tmp_path), keeps=False).calibrate(rig.request(target_of(server), CLOSED))
    assert found.ceiling_rps > 0
    assert list(tmp_path.iterdir()) == []


def test_it_takes_about_a_second_and_leaves_nothing(rig: Rig, tmp_path: Path) -> None:
    """Two loads of half a second, and the starts of three processes on a machine that may be busy."""
    with golden_server(Behaviour(service_ms=0)) as server:
        request = rig.request(target_of(server), {"pattern": "poisson", "rate": 100, "duration": "1s"})
        before = {child.pid for child in psutil.Process().children()}
        began_s = time.monotonic()
        found = calibrator(tmp_path).calibrate(request)
        took_s = time.monotonic() - began_s
        assert {child.pid for child in psutil.Process().children()} <= before
    assert took_s < 10
    assert found.connections == 16
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


def test_a_service_that_is_not_there_gives_no_figures(rig: Rig, tmp_path: Path) -> None:
    """And the reason names the service, not us."""
    with golden_server(Behaviour(service_ms=0)) as server:
        request = rig.request(target_of(server), CLOSED)
    with pytest.raises(CalibrationFailed, match="did not answer"):
        calibrator(tmp_path).calibrate(request)


def test_a_sender_that_fails_costs_the_figures_only(rig: Rig, tmp_path: Path) -> None:
    """Its own complaint is the reason; nothing is kept."""
    failing = Failing(AttemptFailed(Cause.FOLLOWER_ERROR, "no port is left"))
    with golden_server(Behaviour(service_ms=0)) as server, pytest.raises(CalibrationFailed, match="no port is left"):
        calibrator(tmp_path, failing).calibrate(rig.request(target_of(server), CLOSED))
    assert list(tmp_path.iterdir()) == []


def test_an_attempt_whose_time_is_up_is_over(rig: Rig, tmp_path: Path) -> None:
    """The alarm may ring during the calibration."""
    alarm = Failing(AttemptFailed(Cause.TIMED_OUT, "too long"))
    with golden_server(Behaviour(service_ms=0)) as server, pytest.raises(AttemptFailed, match="too long"):
        calibrator(tmp_path, alarm).calibrate(rig.request(target_of(server), CLOSED))


def test_a_service_that_dies_meanwhile_ends_the_run(rig: Rig, tmp_path: Path) -> None:
    """With the service's own cause."""

    def gone() -> None:
        raise AttemptFailed(Cause.SERVER_DIED, "the server ended with 1")

    with golden_server(Behaviour(service_ms=0)) as server, pytest.raises(AttemptFailed) as caught:
        calibrator(tmp_path, check=gone).calibrate(rig.request(target_of(server), CLOSED))
    assert caught.value.cause is Cause.SERVER_DIED


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_large_requests_and_answers_pass(rig: Rig, tmp_path: Path, protocol: str) -> None:
    """Of many frames and several socket buffers each, in both directions."""
    tensor = InputTensor(name="x", datatype="FP32", array=np.zeros((1, 300_000), dtype=np.float32))
    with golden_server(Behaviour(service_ms=0, filler_bytes=2_000_000), protocol=protocol) as server:  # type: ignore[arg-type]
        request = rig.request(target_of(server), CLOSED)
        large = DIALECTS[request.target.dialect].encode(request.target, [tensor])
        found = calibrator(tmp_path).calibrate(replace(request, encoded=(large,)))
    assert found.request_bytes > 1_200_000
    assert found.response_bytes > 2_000_000
    assert found.ceiling_rps > 10
