"""The server's life: open the port, load the model beside it, serve, end with a code that says why."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn
import uvloop

from follower.serve.launch import exit_codes
from follower.serve.onnxruntime.server.app import create_app
from follower.serve.onnxruntime.server.batcher import Batcher
from follower.serve.onnxruntime.server.batching import BatchPolicy
from follower.serve.onnxruntime.server.model import LoadedModel, load
from follower.serve.onnxruntime.server.options import ServerOptions
from follower.serve.onnxruntime.server.refusal import LoadFailed, OutOfMemory
from follower.serve.onnxruntime.server.serving import Serving, ServingModel
from follower.serve.onnxruntime.status import StatusFile

_log = logging.getLogger("server")  # not structlog, whose import would be a tenth of every cold start

_NS_PER_MS: Final = 1_000_000
_DRAIN_S: Final = 1
_OK: Final = 0


def run(options: ServerOptions) -> int:
    """Serves until told to stop; answers the exit status."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Lifetime(options).run())


class _Server(uvicorn.Server):
    """uvicorn, but it says when it listens and leaves signals alone."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Lifetime:
    """One server from start to end."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._status = StatusFile(options.status)
        self._serving = Serving(options.name)
        self._socket = _bind(options.host)
        self._server = _Server(_config(self._serving), self._listening)
        self._exit_code = _OK
        self._reason = ""

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, _OK, "told to stop")
        await self._server.serve(sockets=[self._socket])
        if self._serving.loaded:
            self._serving.loaded.batcher.close()
        _log.warning("%s", self._reason)  # the last line: see exit_codes
        return self._exit_code

    def _listening(self) -> None:
        self._status.report("listening", port=self._socket.getsockname()[1])
        asyncio.get_running_loop().run_in_executor(None, self._load).add_done_callback(self._loaded)

    def _load(self) -> LoadedModel:
        return load(self._options, cores=len(os.sched_getaffinity(0)))

    def _loaded(self, done: asyncio.Future[LoadedModel]) -> None:
        try:
            model = done.result()
        except LoadFailed as error:
            self._end(exit_codes.MODEL_LOAD_FAILED, str(error))
        except OutOfMemory as error:
            self._end(exit_codes.OUT_OF_MEMORY, str(error))
        else:
            self._serve(model)

    def _serve(self, model: LoadedModel) -> None:
        loop = asyncio.get_running_loop()

        def out_of_memory(reason: str) -> None:
            with suppress(RuntimeError):  # the loop has ended already
                loop.call_soon_threadsafe(self._end, exit_codes.OUT_OF_MEMORY, reason)

        batcher = Batcher(model.runs, _policy(self._options), on_out_of_memory=out_of_memory)
        self._serving.loaded = ServingModel(metadata=model.metadata, batched=model.batched, batcher=batcher)
        gc.collect()
        gc.freeze()  # what start-up made lives on; looking through it again would only pause requests
        self._status.report("model-loaded")

    def _end(self, exit_code: int, reason: str) -> None:
        if not self._reason:
            self._exit_code, self._reason = exit_code, reason
        self._server.should_exit = True


def _policy(options: ServerOptions) -> BatchPolicy:
    return BatchPolicy(max_batch_size=options.max_batch_size, max_delay_ns=round(options.max_delay_ms * _NS_PER_MS))


def _bind(host: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((host, 0))
    return listener


def _config(serving: Serving) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(serving),
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_DRAIN_S,
    )
