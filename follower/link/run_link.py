"""The link of one run: opened before the service once that is ready, measured while idle, closed with the attempt."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pydantic import ValidationError

from follower.link.drivers import DriverName, choose
from follower.link.emulator import EmulatorOrder, EmulatorReady
from follower.link.measure import Responder, measure
from follower.serve.launch import pinned
from follower.serve.protocol import Endpoint
from shared.errors import AttemptFailed, NotAvailable
from shared.jobs.lifecycle import Cause
from shared.jobs.network import NetworkLink
from shared.measure.link import LinkReading, link_faults

MOST_MEASUREMENTS: Final = 3
_OPEN_TIMEOUT_S: Final = 20.0
_LOG_TAIL: Final = 2000
_LOOPBACK: Final = "127.0.0.1"  # where the device leads; a service that is elsewhere is reached by a splice there
_NO_LINK: Final = NetworkLink()


class LinkProcess:
    """The emulator, in a process of its own. It dies with the thread that started it."""

    def __init__(self, order: EmulatorOrder, cores: Sequence[int], log: Path) -> None:
        """Starts it and waits until the link is there.

        Raises:
            AttemptFailed: FOLLOWER_ERROR where there can be no such link.
        """
        with log.open("wb") as errors:
            self._process = subprocess.Popen(_argv(order, cores), stdout=subprocess.PIPE, stderr=errors)
        self.pid = self._process.pid
        try:
            self.reached_at = self._await_ready(log)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends it, and with it the link's device or ports."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _await_ready(self, log: Path) -> tuple[tuple[str, int], ...]:
        assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
        line = b""
        if select.select([self._process.stdout], [], [], _OPEN_TIMEOUT_S)[0]:
            line = self._process.stdout.readline()
        try:
            ready = EmulatorReady.model_validate_json(line)
        except ValidationError:
            ready = EmulatorReady(refused="the emulator ended" if line == b"" else "the emulator spoke nonsense")
        if ready.refused is not None:
            tail = log.read_text(errors="replace")[-_LOG_TAIL:]
            raise AttemptFailed(
                Cause.FOLLOWER_ERROR, f"the network link cannot be opened: {ready.refused}", log_tail=tail
            )
        return ready.reached_at


@dataclass
class RunLink:
    """What an attempt holds: nothing at all for ``network: none``. Leaving the context closes the link."""

    asked: NetworkLink | None = None
    seed: int = 0
    client_cores: Sequence[int] = ()  # the slot's
    folder: Path = Path()  # for the emulator's log
    tell: Callable[..., None] | None = None  # Story.tell
    reading: LinkReading | None = None
    _processes: list[LinkProcess] = field(default_factory=list, repr=False)
    _leads_to: tuple[str, int] | None = None
    _reached_at: tuple[str, int] = ("", 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def emulator_cores(self) -> tuple[int, ...]:
        """The last of the client's cores, which the senders then leave alone if there is another."""
        return tuple(self.client_cores[-1:]) if self.asked else ()

    def sender_cores(self, client_cores: Sequence[int]) -> Sequence[int]:
        """The client's cores without the emulator's, or all where there is one only."""
        return client_cores[:-1] if self.asked and self.leaves_cores_alone else client_cores

    @property
    def leaves_cores_alone(self) -> bool:
        """Whether the senders have their cores for themselves."""
        return self.asked is None or len(self.client_cores) > 1

    def require(self) -> DriverName | None:
        """What will carry the link; None for no link.

        Raises:
            AttemptFailed: FOLLOWER_ERROR where nothing can, before anything is fetched or started for it.
        """
        if self.asked is None:
            return None
        try:
            return choose(self.asked)
        except NotAvailable as error:
            raise AttemptFailed(Cause.FOLLOWER_ERROR, error.detail) from error

    def through(self, endpoint: Endpoint) -> Endpoint:
        """The service's endpoint as it is reached through the link, which is opened and measured if it is not yet.

        Raises:
            AttemptFailed: FOLLOWER_ERROR where the link cannot be opened, or nothing comes through it.
        """
        driver = self.require()
        if self.asked is None or driver is None:
            return endpoint
        before = (endpoint.host, endpoint.port)
        if not self._processes or self._leads_to != before:
            self._open(self.asked, driver, before)
            self._leads_to = before
        host, port = self._reached_at
        return replace(endpoint, host=host, port=port)

    def _open(self, asked: NetworkLink, driver: DriverName, service: tuple[str, int]) -> None:
        with Responder() as responder:
            self._close()
            targets = (service, ("127.0.0.1", responder.port))
            if driver == "tun" and service[0] != _LOOPBACK:
                targets = self._start("splice", EmulatorOrder(driver="proxy", link=_NO_LINK, seed=0, targets=targets))
            order = EmulatorOrder(driver=driver, link=asked, seed=self.seed, targets=targets)
            self._reached_at, far_end = self._start("link", order)
            try:
                self.reading = measured(asked, driver, far_end)
            except OSError as error:
                detail = f"nothing comes through the network link ({driver}): {error}"
                raise AttemptFailed(Cause.FOLLOWER_ERROR, detail) from error
        if self.tell is not None:
            self.tell("link", line_of(self.reading), **self.reading.model_dump())

    def _start(self, name: str, order: EmulatorOrder) -> tuple[tuple[str, int], tuple[str, int]]:
        process = LinkProcess(order, self.emulator_cores, self.folder / f"{name}.log")
        self._processes.append(process)
        service, far_end = process.reached_at
        return service, far_end

    def _close(self) -> None:
        while self._processes:
            self._processes.pop().close()


def measured(link: NetworkLink, driver: str, address: tuple[str, int]) -> LinkReading:
    """The reading; taken again, twice at most, where it is off: what disturbs a moment is not the link.

    Raises:
        OSError: nothing comes through.
    """
    for _ in range(MOST_MEASUREMENTS - 1):
        reading = measure(link, driver, address)
        if not any(link_faults(reading)):
            return reading
    return measure(link, driver, address)


def line_of(reading: LinkReading) -> str:
    """The figures as people read them."""
    rates = [f"{found:.4g}" for found in (reading.up_mbit, reading.down_mbit) if found is not None]
    rate = f", {' and '.join(rates)} Mbit/s there and back ({reading.rate_mbit:g} asked)" if rates else ""
    return (
        f"{reading.driver}: round trip {reading.round_trip_ms:.2f} ms ({2 * reading.delay_ms:g} asked)"
        f" over {reading.round_trips} messages{rate}"
    )


def _argv(order: EmulatorOrder, cores: Sequence[int]) -> list[str]:
    pin = [sys.executable, "-I", "-S", pinned.__file__, str(os.getpid()), ",".join(map(str, cores)), "0"]
    text = json.dumps(order.model_dump(mode="json"))
    return [*pin, sys.executable, "-P", "-m", "follower.link.emulator", text]
