"""One attempt at one conversion: fetch, convert in a child, upload, say how it ended."""

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal, TypeVar

import structlog

from follower.agent.boot_clock import now_ns
from follower.convert.lease import LeaseKeeper
from follower.convert.pace import Pace, step
from follower.convert.queue_client import ConverterClient
from follower.generate.blob_cache import file_sha256
from follower.serve.launch import pinned
from model_repo.convert.child import TIMEOUT_S, ConvertingProcess, timed_out
from model_repo.convert.conversions import ConversionRequest
from model_repo.convert.lineage import SourceModel
from model_repo.convert.task import request_in
from shared.errors import Conflict, InvalidInput, InvalidModel, NotFound, Unavailable
from shared.wire.conversions import ConversionEnd, ConversionOrder, NewResult

LOOK_EVERY_S: Final = 0.2
"""How soon a conversion stands still after an attempt has begun beside it."""

TRY_AGAIN_AFTER_S: Final = 1.0

FOLDER: Final = "conversion-"
"""How the folders of attempts begin."""

Told = Literal["converted", "refused", "stopped", "broken"]
ResultT = TypeVar("ResultT")

log = structlog.get_logger()


class LeaseLost(Exception):
    """The conversion is another's, or nobody's; there is nobody to tell anything."""


class Stopped(Exception):
    """The converter is to stop."""


class ConversionAttempt:
    """Carries out one order, for as long as the lease is kept."""

    def __init__(
        self,
        order: ConversionOrder,
        client: ConverterClient,
        lease: LeaseKeeper,
        place: Path,
        *,
        measuring: Callable[[], str | None],
        stopping: threading.Event,
    ) -> None:
        """``measuring`` says who measures on this machine, if anybody does; ``place`` is ours to work in."""
        self._order = order
        self._client = client
        self._lease = lease
        self._place = place
        self._measuring = measuring
        self._stopping = stopping

    def run(self) -> Told | None:
        """From the order to its end, which the leader is told; None where there was nobody to tell.

        To be called from a thread that lives as long as the converter: the kernel ends the child together with it.
        """
        log.info("conversion-started", conversion=self._order.id, attempt=self._order.attempt, to=self._order.to)
        try:
            outcome, detail = self._outcome()
            self._finish(outcome, detail)
        except (LeaseLost, Conflict) as error:
            log.warning("conversion-dropped", conversion=self._order.id, reason=str(error))
        except (Stopped, Unavailable) as error:  # the lease will run out
            log.warning("conversion-end-not-told", conversion=self._order.id, reason=str(error))
        else:
            log.info("conversion-ended", conversion=self._order.id, outcome=outcome, detail=detail)
            return outcome
        return None

    def _outcome(self) -> tuple[Told, str]:
        try:
            self._convert()
        except Stopped:
            return "stopped", ""
        except (InvalidInput, NotFound) as error:
            return "refused", error.detail
        except OSError as error:
            return "broken", str(error)
        return "converted", ""

    def _convert(self) -> None:
        with TemporaryDirectory(prefix=FOLDER, dir=self._place, ignore_cleanup_errors=True) as folder:
            self._convert_in(Path(folder))

    def _convert_in(self, folder: Path) -> None:
        order = self._order
        source = SourceModel(name=order.source.name, version=order.source.version, sha256=order.source.sha256)
        request = request_in(folder, source, order.source.card, to=order.to, dataset=order.dataset)
        self._patiently(lambda: self._fetch(request.source_path))
        self._deliver(request.target_path, self._card(request, folder))

    def _fetch(self, path: Path) -> None:
        digest = hashlib.sha256()
        with self._client.blob(self._order.source.sha256) as chunks, path.open("wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
                self._go_on()
        if digest.hexdigest() != self._order.source.sha256:
            raise Unavailable(f"bytes with digest {digest.hexdigest()} came for {self._order.source.sha256}")

    def _card(self, request: ConversionRequest, folder: Path) -> Mapping[str, Any]:
        """Of the new model, once the child has made it. Raises InvalidModel, also where it took too long."""
        preamble = (sys.executable, "-I", "-S", pinned.__file__, str(os.getpid()), "", "0")
        process = ConvertingProcess(request, folder, preamble=preamble)
        try:
            self._await(process)
            return process.card()
        finally:
            process.kill()

    def _await(self, process: ConvertingProcess) -> None:
        pace = Pace(looked_at_ns=now_ns())
        while not process.has_ended(LOOK_EVERY_S):
            self._go_on()
            who = self._measuring()
            pace, act = step(pace, now_ns(), int(TIMEOUT_S * 1e9), must_wait=who is not None)
            if act == "give up":
                raise InvalidModel(timed_out())
            if act == "pause":
                process.pause()
            elif act == "resume":
                process.resume()
            self._lease.say(standing_still(who) if who else None)

    def _deliver(self, path: Path, card: Mapping[str, Any]) -> None:
        order, size_bytes = self._order, path.stat().st_size
        new = NewResult(fence=order.fence, sha256=file_sha256(path), size_bytes=size_bytes, card=dict(card))
        self._patiently(lambda: self._client.announce(order.id, new))
        self._patiently(lambda: self._client.upload(order.id, order.fence, path))

    def _finish(self, outcome: Told, detail: str) -> None:
        end = ConversionEnd(fence=self._order.fence, outcome=outcome, detail=detail[:2000])
        if outcome == "stopped":
            self._client.finish(self._order.id, end)  # once: whoever stops us waits
            return
        self._patiently(lambda: self._client.finish(self._order.id, end))

    def _patiently(self, call: Callable[[], ResultT]) -> ResultT:
        """Tries a repeatable call until the leader answers."""
        while True:
            try:
                return call()
            except Unavailable as error:
                log.warning("leader-unavailable", conversion=self._order.id, reason=error.detail)
                self._go_on()
                self._stopping.wait(TRY_AGAIN_AFTER_S)

    def _go_on(self) -> None:
        if self._lease.lost is not None:
            raise LeaseLost(self._lease.lost)
        if self._stopping.is_set():
            raise Stopped


def standing_still(who: str) -> str:
    """What a conversion waits for beside one who measures, in words that fit the message."""
    return f"it stands still while this machine measures for {who}"[:2000]
