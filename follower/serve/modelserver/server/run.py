"""The server's life: open the port, load the model beside it, serve, end with a code that says why."""

import asyncio
import gc
import logging
import os
import signal
import socket
import threading
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import uvloop

from follower.serve.http_server import ListeningServer
from follower.serve.launch import exit_codes
from follower.serve.modelserver.server.app import create_app
from follower.serve.modelserver.server.batcher import Batcher
from follower.serve.modelserver.server.batching import BatchPolicy
from follower.serve.modelserver.server.options import ServerOptions
from follower.serve.modelserver.server.refusal import LoadFailed, OutOfMemory
from follower.serve.modelserver.server.runtimes.protocol import LoadedModel
from follower.serve.modelserver.server.runtimes.table import load
from follower.serve.modelserver.server.serving import Serving, ServingModel
from follower.serve.status import StatusFile

if TYPE_CHECKING:
    from follower.serve.modelserver.server.pipeline import PipelineWorkers

_log = logging.getLogger("server")  # not structlog, whose import would be a tenth of every cold start

_NS_PER_MS: Final = 1_000_000
_OK: Final = 0


def run(options: ServerOptions) -> int:
    """Serves until told to stop; answers the exit status."""
    threading.excepthook = die_by_thread_failure
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Lifetime(options).run())


def die_by_thread_failure(failure: threading.ExceptHookArgs) -> None:
    """A worker that ended by a defect would leave requests without an answer for ever: rather no server."""
    _log.critical("%s failed", failure.thread, exc_info=failure.exc_value)
    os._exit(exit_codes.DEFECT)


class _Lifetime:
    """One server from start to end."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._status = StatusFile(options.status)
        self._serving = Serving(options.name, self._out_of_memory, options.runtime)
        self._socket = _bind(options.host)
        self._opened = asyncio.Event()
        app = create_app(self._serving, pipelined=options.pipeline is not None)
        self._server = ListeningServer(app, self._opened.set)
        self._exit_code = _OK
        self._reason = ""

    async def run(self) -> int:
        """Serves from the start and loads beside it. A defect in loading ends both, with its traceback."""
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._end, _OK, "told to stop")
        async with asyncio.TaskGroup() as tasks:
            loading = tasks.create_task(self._load())
            await self._server.serve(sockets=[self._socket])
            loading.cancel()
        if self._serving.loaded:
            self._serving.loaded.close()
        _log.warning("%s", self._reason)  # the last line: see exit_codes
        return self._exit_code

    async def _load(self) -> None:
        await self._opened.wait()
        self._status.report("listening", port=self._socket.getsockname()[1])
        try:
            model = await asyncio.to_thread(load, self._options, cores=len(os.sched_getaffinity(0)))
            self._serve(model, await asyncio.to_thread(_pipeline, self._options, model))
        except LoadFailed as error:
            self._end(exit_codes.MODEL_LOAD_FAILED, str(error))
        except OutOfMemory as error:
            self._end(exit_codes.OUT_OF_MEMORY, str(error))

    def _serve(self, model: LoadedModel, pipeline: "PipelineWorkers | None") -> None:
        batcher = Batcher(model.runs, _policy(self._options), on_out_of_memory=self._out_of_memory)
        self._serving.loaded = ServingModel(
            metadata=model.metadata, batched=model.batched, batcher=batcher, pipeline=pipeline
        )
        gc.collect()
        gc.freeze()  # what start-up made lives on; looking through it again would only pause requests
        self._status.report("model-loaded", facts={"engine": self._options.runtime, **asdict(model.facts)})

    def _out_of_memory(self, reason: str) -> None:
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._end, exit_codes.OUT_OF_MEMORY, reason)

    def _end(self, exit_code: int, reason: str) -> None:
        if not self._reason:
            self._exit_code, self._reason = exit_code, reason
        self._server.should_exit = True


def _pipeline(options: ServerOptions, model: LoadedModel) -> "PipelineWorkers | None":
    if options.pipeline is None:
        return None
    from follower.serve.modelserver.server.pipeline import load_pipeline  # noqa: PLC0415 - slow to import

    return load_pipeline(options.pipeline, model.metadata.inputs, options.instances)


def _policy(options: ServerOptions) -> BatchPolicy:
    return BatchPolicy(max_batch_size=options.max_batch_size, max_delay_ns=round(options.max_delay_ms * _NS_PER_MS))


def _bind(host: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((host, 0))
    return listener
