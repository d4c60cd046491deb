"""``python -m follower.convert.worker``: converts models for the leader's queue, one at a time and with low priority.

It has the settings of a follower, and is let in by a follower's token under the name that the token speaks for. While
an attempt runs on this machine it takes no conversion, and one that it has stands still.
"""

import fcntl
import os
import shutil
import signal
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

import structlog

from follower import logs
from follower.agent.bell import BellListener
from follower.agent.boot_clock import now_ns
from follower.agent.measuring import who_measures
from follower.agent.reap import reap
from follower.convert.attempt import FOLDER, ConversionAttempt
from follower.convert.lease import LeaseKeeper
from follower.convert.queue_client import ConverterClient
from follower.settings import FollowerSettings, read_token
from shared.errors import Conflict, InferBenchError, Unavailable
from shared.wire.conversions import ConversionLeaseCall, ConversionOrder, ConverterAnswer, ConverterClaim

LOWEST_PRIORITY: Final = 19
TRY_AGAIN_AFTER_S: Final = 2.0
BROKEN_REST_S: Final = 30.0
"""After this machine has failed a conversion: a full disk is seldom empty a second later."""
_TOLD_CHARS: Final = 1000

log = structlog.get_logger()


class Converter:
    """Claims, converts, claims again; rests where there is nothing, until the bell or the next poll."""

    def __init__(
        self,
        client: ConverterClient,
        place: Path,
        measuring: Callable[[], str | None],
        *,
        broken_rest_s: float = BROKEN_REST_S,
    ) -> None:
        """``place``: a directory that is ours alone."""
        self._client = client
        self._place = place
        self._measuring = measuring
        self._broken_rest_s = broken_rest_s
        self._incarnation = uuid.uuid4().hex
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._bell: BellListener | None = None

    def stop(self) -> None:
        """Give back what is being converted, and return from ``run``; from any thread or signal handler."""
        self._stopping.set()
        self._woken.set()

    def run(self) -> None:
        """Work until told to stop.

        Raises:
            InferBenchError: the leader refuses this converter, which time does not heal.
            OSError: the place cannot be used.
        """
        while not self._stopping.is_set():
            self._woken.clear()
            rest_s = self._turn()
            if rest_s and not self._stopping.is_set():
                self._woken.wait(rest_s)

    def _turn(self) -> float:
        """One claim and what comes of it; how long to rest afterwards, in seconds."""
        who, asked_at_ns = self._measuring(), now_ns()
        waiting = f"this machine measures for {who}"[:_TOLD_CHARS] if who else None
        try:
            answer = self._client.claim_conversion(ConverterClaim(incarnation=self._incarnation, waiting=waiting))
        except Unavailable as error:
            log.warning("leader-unavailable", reason=error.detail)
            return TRY_AGAIN_AFTER_S
        self._listen(answer)
        if answer.order is None:
            return answer.poll_s
        if self._carry_out(answer.order, answer.lease_s, asked_at_ns) == "broken":
            self._stopping.wait(self._broken_rest_s)  # the bell that rings for it must not wake us
        return 0

    def _listen(self, answer: ConverterAnswer) -> None:
        if answer.broker_url is not None and self._bell is None:
            self._bell = BellListener(answer.broker_url, answer.bell_queue, self._woken.set)
            self._bell.start()

    def _carry_out(self, order: ConversionOrder, lease_s: float, since_ns: int) -> str | None:
        def renew(waiting: str | None) -> None:
            self._client.renew_conversion(order.id, ConversionLeaseCall(fence=order.fence, waiting=waiting))

        with LeaseKeeper(renew, lease_s, since_ns) as lease:
            attempt = ConversionAttempt(
                order, self._client, lease, self._place, measuring=self._measuring, stopping=self._stopping
            )
            return attempt.run()


def take_place(place: Path) -> IO[bytes]:
    """Make the directory ours until the file that is returned is closed, and end what an earlier converter left there.

    Raises:
        Conflict: another converter works there.
        OSError: it cannot be made.
    """
    place.mkdir(parents=True, exist_ok=True)
    lock = (place / "converter.lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise Conflict(f"another converter works in {place}; give this one its own work_dir") from error
    if left := reap(place):
        log.warning("leftover-processes-killed", count=left)
    for folder in place.glob(f"{FOLDER}*"):
        shutil.rmtree(folder, ignore_errors=True)
    return lock


def main() -> int:
    """Work until asked to stop: 0; otherwise the exit code of what went wrong, said in one line."""
    try:
        settings = FollowerSettings.from_environment()
        logs.set_up(settings.log_level)
        _run(settings)
    except InferBenchError as error:
        sys.stderr.write(f"converter: {error.detail}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"converter: {error}\n")
        return 1
    return 0


def _run(settings: FollowerSettings) -> None:
    os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)
    client = ConverterClient(settings.leader_url, read_token(settings.token_file), settings.follower_name)
    place = settings.work_dir.resolve() / "conversions"
    with take_place(place):
        converter = Converter(client, place, lambda: who_measures(settings.slot_lock_dir))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _signal, _frame: converter.stop())
        log.info("converter-started", converter=settings.follower_name, leader=settings.leader_url, place=str(place))
        converter.run()
        log.info("converter-stopped", converter=settings.follower_name)


if __name__ == "__main__":
    sys.exit(main())
