"""``python -m leader``: one process, one event loop, logs on stderr, an exit code that says why it ended."""

import argparse
import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import Generator
from typing import Final

import structlog
import uvicorn
import uvloop

from leader import logs
from leader.app import create_app
from leader.settings import PREFIX, LeaderSettings
from shared.errors import InferBenchError, InvalidInput, Unavailable

_DRAIN_S: Final = 5
_BACKLOG: Final = 2048
_SWITCH_S: Final = 0.001
"""How long a thread that computes (an explanation, a large job) may keep the event loop from running at a time."""
_COLLECTIONS: Final = (700, 10, 200)
"""The interpreter's thresholds but for the last: a look through everything stops all answers for a tenth of a second
where ten thousand runs wait. What it finds is cyclic, and little: the rest is freed by counting references."""

log = structlog.get_logger("leader")


class LeaderServer(uvicorn.Server):
    """Uvicorn that leaves its process alive to clean up, and ends endless streams when it stops."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event) -> None:
        super().__init__(config)
        self._closing = closing

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """SIGTERM and SIGINT ask the server to stop; a second one cuts open connections."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing.set()
        await super().shutdown(sockets)


def main() -> int:
    """Run until told to stop. Returns 0, or the exit code of what kept the leader from running."""
    argparse.ArgumentParser(prog="python -m leader", description=_usage(), formatter_class=_Verbatim).parse_args()
    try:
        settings = LeaderSettings.from_environment()
        logs.set_up(settings.log_level)
        sys.setswitchinterval(_SWITCH_S)
        uvloop.run(serve(settings))
    except InferBenchError as error:
        sys.stderr.write(f"leader: {error.detail}\n")
        return error.exit_code
    return 0


async def serve(settings: LeaderSettings) -> None:
    """Listen and answer until a signal comes.

    Raises:
        InferBenchError: the port is taken, the database does not answer, or a setting cannot be used.
    """
    with listen(settings.host, settings.port) as listener:
        app = create_app(settings)
        config = uvicorn.Config(
            app,
            lifespan="off",  # entered here, so that what it raises reaches main
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_DRAIN_S,
        )
        async with app.router.lifespan_context(app):
            collect_seldom()
            log.info("leader.listening", url=f"http://{settings.host}:{listener.getsockname()[1]}")
            await LeaderServer(config, app.state.leader.closing).serve(sockets=[listener])
            log.info("leader.stopping")
    log.info("leader.stopped")


def collect_seldom() -> None:
    """What was imported by now is never looked through again; what was read beside it is freed by its references."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        Unavailable: the port is taken.
        InvalidInput: the address is not one of this machine, or not allowed.
    """
    try:
        return socket.create_server((host, port), family=_family(host), backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Unavailable(
                f"port {port} on {host} is taken; stop what listens there or set {PREFIX}PORT (0: any free port)"
            ) from error
        raise InvalidInput(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class _Verbatim(argparse.RawDescriptionHelpFormatter):
    """Keeps the table of settings as it is."""


def _usage() -> str:
    lines = [f"  {PREFIX}{name.upper():<16} {field.description}" for name, field in LeaderSettings.model_fields.items()]
    return "The InferBench leader. All of its settings are environment variables:\n\n" + "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
