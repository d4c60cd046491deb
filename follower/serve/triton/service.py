"""Triton while it runs, seen from the follower."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psutil

from follower.load.ask import NoAnswer
from follower.load.encode import MalformedAnswer
from follower.serve.first_inference import infer_zeros
from follower.serve.launch.exits import allocation_failed, explain
from follower.serve.launch.log import tail
from follower.serve.launch.process import kernel_oom_kills
from follower.serve.launch.protocol import Exit
from follower.serve.model_client import RefusedByServer, Unreachable
from follower.serve.openinference.tensors import ModelMetadata
from follower.serve.protocol import Endpoint, RequestStages, ServeRequest, ServerStatistics
from follower.serve.readiness import Progress, Step, not_ready
from follower.serve.triton.control import TritonControl
from follower.serve.triton.failures import load_failure
from follower.serve.triton.layout import BackEndName, Layout, remove_shared_memory, samples_executed
from follower.serve.triton.ports import taken_address
from follower.serve.triton.server import Server
from follower.serve.triton.statistics import statistics_of
from follower.serve.triton.trace import request_stages
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.measure.record import ColdStart

MOST_STARTS: Final = 3
"""How often the server is started where somebody was quicker at one of its ports."""

_POLL_S: Final = 0.005
_PROBE_S: Final = 1.0
_NS_PER_S: Final = 1_000_000_000


class TritonService:
    """Implements ``follower.serve.protocol.Service``."""

    def __init__(
        self,
        request: ServeRequest,
        layout: Layout,
        back_end: BackEndName,
        launch: Callable[[], Server],
        started_ns: int,
    ) -> None:
        self._request = request
        self._layout = layout
        self._back_end = back_end
        self._launch = launch
        self._oom_kills_before = kernel_oom_kills()
        self._server = launch()
        self._starts = 1
        self._progress = Progress(started_ns=started_ns, spawned_ns=time.monotonic_ns())
        self._last_refusal = ""
        self._model_processes: list[psutil.Process] = []

    @property
    def endpoint(self) -> Endpoint:
        if self._progress.port_open_ns is None:
            raise AttemptFailed(Cause.SERVER_NOT_READY, "the service has not opened its port yet")
        return self._endpoint

    @property
    def _endpoint(self) -> Endpoint:
        is_grpc = self._request.service.protocol == "grpc"
        return Endpoint(
            host=self._server.launched.address,
            port=self._server.ports.grpc if is_grpc else self._server.ports.http,
            model_name=self._request.model_name,
            dialect="openinference-grpc" if is_grpc else "openinference-http",
            numbered=self._request.request_stages,
        )

    @property
    def log_path(self) -> Path:
        return self._layout.log

    def wait_ready(self, timeout_ns: int) -> ColdStart:
        deadline_ns = time.monotonic_ns() + timeout_ns
        while self._progress.next_step is not Step.DONE:
            self._start_again_or_check()
            remaining_s = (deadline_ns - time.monotonic_ns()) / _NS_PER_S
            if remaining_s <= 0:
                raise not_ready(self._progress, timeout_ns, self._last_refusal, self._tail())
            try:
                self._advance(remaining_s)
            except Unreachable as error:
                self._last_refusal = str(error)
                time.sleep(min(_POLL_S, remaining_s))
        return self._progress.cold_start()

    def metadata(self) -> ModelMetadata:
        try:
            return self._control.metadata()
        except (Unreachable, RefusedByServer) as error:
            self.check()
            detail = f"Triton runs but does not describe its model: {error}"
            raise AttemptFailed(Cause.SERVER_DIED, detail, log_tail=self._tail()) from error

    def facts(self) -> Mapping[str, Any]:
        try:
            server, config = self._control.server(), self._control.config()
        except (Unreachable, RefusedByServer) as error:
            self.check()
            raise AttemptFailed(Cause.SERVER_DIED, f"Triton says nothing of itself: {error}") from error
        return {
            "engine": "triton",
            "version": server["version"],
            **self._executor(config["backend"]),
            "instances": sum(group["count"] for group in config["instance_group"]),
            "max_batch_size": config["max_batch_size"],
            "dynamic_batching": config.get("dynamic_batching"),
            "traces_requests": self._request.request_stages,
            "counts": "samples" if self._counts_samples else "requests",
            "launch": dict(self._server.launched.facts()),
        }

    def _executor(self, back_end: str) -> dict[str, Any]:
        """What executes the model: the model program tells it; of the native back end Triton tells the name only."""
        if self._back_end != "python":
            return {"back_end": back_end}
        told = json.loads(self._layout.engine.read_text(encoding="utf-8"))
        return {"back_end": f"{back_end}+{told['engine']} {told['version']}", "providers": told["providers"]}

    def statistics(self) -> ServerStatistics | None:
        try:
            counted = statistics_of(self._control.statistics())
        except (Unreachable, RefusedByServer, ValueError):
            self.check()
            return None
        if self._request.service.batching.max_batch_size > 1:
            return counted
        # Triton knows of no batch then, and takes each request for one sample
        inferences = samples_executed(self._layout) if self._counts_samples else counted.inferences
        return replace(counted, inferences=inferences, batches={})

    def request_stages(self) -> RequestStages | None:
        if not self._request.request_stages:
            return None
        try:
            self._control.stop_tracing()
            return request_stages(self._layout.trace.read_bytes())
        except (Unreachable, RefusedByServer, FileNotFoundError):
            self.check()
            return None

    def pids(self) -> tuple[int, ...]:
        return self._server.launched.pids()

    def check(self) -> None:
        exit_ = self._server.launched.poll()
        if exit_ is not None:
            raise explain(exit_, self._tail())
        if any(not _runs(process) for process in self._model_processes):
            # Triton would start another one and go on; what is measured then is not one service any more
            kills = self._oom_kills()
            if kills:
                raise explain(Exit(returncode=-9, oom_kills=kills), self._tail())
            raise AttemptFailed(Cause.SERVER_DIED, "a process of the model ended", log_tail=self._tail())

    def stop(self) -> None:
        self._server.launched.stop()
        remove_shared_memory(self._layout)

    def _start_again_or_check(self) -> None:
        """A server that found its port taken is started with others; any other end is the news."""
        exit_ = self._server.launched.poll()
        address = None if exit_ is None else taken_address(self._tail())
        if address is None:
            self.check()
            return
        if self._starts == MOST_STARTS:
            detail = f"port in use: somebody else had {address}, and other ports in {MOST_STARTS - 1} starts before"
            raise AttemptFailed(Cause.SERVER_DIED, detail, log_tail=self._tail())
        self._starts += 1
        self._server.launched.stop()
        self._layout.log.rename(self._layout.log.with_suffix(f".{self._starts - 1}.log"))
        remove_shared_memory(self._layout)
        self._server = self._launch()

    def _advance(self, remaining_s: float) -> None:
        """Does the next step.

        Raises:
            Unreachable: not yet.
            AttemptFailed: it never will.
        """
        match self._progress.next_step:
            case Step.AWAIT_PORT:
                self._find_server(min(remaining_s, _PROBE_S))
                self._progress = replace(self._progress, port=self._endpoint.port, port_open_ns=time.monotonic_ns())
            case Step.AWAIT_MODEL:
                self._load(remaining_s)
                self._progress = replace(self._progress, model_loaded_ns=time.monotonic_ns())
            case Step.ASK_READY:
                self._ask_ready(min(remaining_s, _PROBE_S))
                self._progress = replace(self._progress, ready_ns=time.monotonic_ns())
            case _:
                self._infer(remaining_s)
                self._progress = replace(self._progress, first_inference_ns=time.monotonic_ns())

    def _find_server(self, timeout_s: float) -> None:
        try:
            name = self._control.server(timeout_s).get("name")
        except RefusedByServer as error:
            raise Unreachable(str(error)) from error
        if name != self._server.server_id:
            raise Unreachable("somebody else's server answers at the port")

    def _load(self, timeout_s: float) -> None:
        try:
            self._control.load(timeout_s)
        except RefusedByServer as error:
            raise load_failure(str(error), self._tail(), oom_kills=self._oom_kills()) from error

    def _ask_ready(self, timeout_s: float) -> None:
        try:
            self._control.is_ready(timeout_s)
            self._control.model_is_ready(timeout_s)
        except RefusedByServer as error:
            raise Unreachable(str(error)) from error

    def _infer(self, timeout_s: float) -> None:
        try:
            infer_zeros(self._endpoint, self._control.metadata(), timeout_s, self._request.example_shapes)
        except (NoAnswer, MalformedAnswer) as error:
            if isinstance(error, NoAnswer) and not error.status:
                raise Unreachable(str(error)) from error
            raise AttemptFailed(
                Cause.SERVER_OUT_OF_MEMORY if allocation_failed(str(error)) else Cause.MODEL_LOAD_FAILED,
                f"the model was loaded, but its first inference, of zeros, failed: {error}",
                log_tail=self._tail(),
            ) from error
        self._model_processes = [psutil.Process(pid) for pid in self.pids()[1:]]

    @property
    def _control(self) -> TritonControl:
        return TritonControl(
            host=self._server.launched.address, port=self._server.ports.http, model=self._request.model_name
        )

    @property
    def _counts_samples(self) -> bool:
        """The native back end has no program of ours that could, where Triton itself knows of no batch."""
        return self._back_end == "python" or self._request.service.batching.max_batch_size > 1

    def _oom_kills(self) -> int:
        return kernel_oom_kills() - self._oom_kills_before

    def _tail(self) -> str:
        return tail(self._layout.log)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
