"""The server's life: open both ports, load the model beside them, serve, end with a code that says why."""

import asyncio
import logging
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import uvloop

from follower.serve.http_server import ListeningServer
from follower.serve.launch import exit_codes
from follower.serve.ports import HOST
from follower.serve.status import StatusFile
from follower.serve.tensorflow.batching_file import BatchingParameters, parse
from follower.serve.tensorflow.command_line import ServerOptions
from follower.serve.tensorflow.server.refusal import LoadFailed
from follower.serve.tensorflow.server.rest import RestApp
from follower.serve.tensorflow.server.serving import Serving

_log = logging.getLogger("server")

THREADS: Final = 256
"""Requests that can be in the scheduler at once, for each interface: every one blocks a thread until it is answered."""


def run(options: ServerOptions) -> int:
    """Serves until told to stop; answers the exit status."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Lifetime(options).run())


class _Lifetime:
    """One server from start to end."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._host = options.listen_host or HOST
        self._exit_code, self._reason = 0, ""
        self._opened = asyncio.Event()

    async def run(self) -> int:
        """Serves from the start and loads beside it."""
        loop = asyncio.get_running_loop()
        try:
            version = newest_version(self._options.model_base_path)
            batching = _batching(self._options.batching_parameters_file)
            listener = _bind(self._host, self._options.rest_api_port)
        except (LoadFailed, ValueError, OSError) as error:
            _log.critical("%s", error)
            return exit_codes.MODEL_LOAD_FAILED if isinstance(error, LoadFailed) else 1
        self._serving = Serving(self._options.model_name, version)
        pool = ThreadPoolExecutor(THREADS, thread_name_prefix="rest")
        self._server = ListeningServer(RestApp(self._serving, pool), self._opened.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, 0, "told to stop")
        async with asyncio.TaskGroup() as tasks:
            loading = tasks.create_task(self._load(listener, batching))
            await self._server.serve(sockets=[listener])
            loading.cancel()
        _log.warning("%s", self._reason)  # the last line: see exit_codes
        for handler in logging.getLogger().handlers:
            handler.flush()
        os._exit(self._exit_code)  # threads that wait in the batch scheduler would hold the process back

    async def _load(self, listener: socket.socket, batching: BatchingParameters | None) -> None:
        await self._opened.wait()
        try:
            await asyncio.to_thread(self._open_and_load, listener.getsockname()[1], batching)
        except LoadFailed as error:
            self._end(exit_codes.MODEL_LOAD_FAILED, str(error))
        except MemoryError as error:
            self._end(exit_codes.OUT_OF_MEMORY, f"the model does not fit into memory: {error}")
        except OSError as error:
            self._end(1, str(error))

    def _open_and_load(self, rest_port: int, batching: BatchingParameters | None) -> None:
        """TensorFlow is imported here: it takes seconds, in which the REST port answers already."""
        import tensorflow as tf  # type: ignore[import-untyped]  # noqa: PLC0415 - see above

        from follower.serve.tensorflow.server import grpc_services  # noqa: PLC0415 - imports TensorFlow
        from follower.serve.tensorflow.server.saved_model import ServedModel  # noqa: PLC0415 - the same

        options, serving = self._options, self._serving
        tf.config.threading.set_intra_op_parallelism_threads(options.tensorflow_intra_op_parallelism)
        tf.config.threading.set_inter_op_parallelism_threads(options.tensorflow_inter_op_parallelism)
        self._grpc, grpc_port = grpc_services.start(serving, self._host, options.port, THREADS)
        facts: dict[str, Any] = {"grpc_port": grpc_port}
        status = StatusFile(options.status_file) if options.status_file else None
        if status:
            status.report("listening", port=rest_port, facts=facts)
        path = options.model_base_path / str(serving.version)
        serving.loaded = ServedModel(serving.name, path, batching, serving.counters)
        if status:
            status.report("model-loaded", facts={"version": tf.__version__, "batch_scheduler": _scheduler(batching)})

    def _end(self, exit_code: int, reason: str) -> None:
        if not self._reason:
            self._exit_code, self._reason = exit_code, reason
        self._server.should_exit = True


def _scheduler(batching: BatchingParameters | None) -> str:
    return "tensorflow's in-graph batch function" if batching else "none"


def newest_version(base: Path) -> int:
    """The greatest number that a folder of ``base`` has for a name.

    Raises:
        LoadFailed: none has one.
    """
    versions = [int(path.name) for path in base.glob("*") if path.name.isdecimal() and path.is_dir()]
    if not versions:
        raise LoadFailed(f"{base} holds no folder that is named by a version's number")
    return max(versions)


def _batching(file: Path | None) -> BatchingParameters | None:
    return None if file is None else parse(file.read_text(encoding="ascii"))


def _bind(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: {error}") from error
    return listener
