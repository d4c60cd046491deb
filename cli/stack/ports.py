"""Loopback ports: free ones, and who has a taken one."""

import socket

from cli.errors import PortTaken
from cli.stack.plan import Ports
from cli.stack.readiness import LOOPBACK


def choose_ports(leader: int) -> Ports:
    """The leader's port as asked (0: a free one), free ones for the rest.

    Raises:
        PortTaken: the leader's port is not free.
    """
    if leader:
        _require_free(leader)
    free = _free_ports(3)
    return Ports(leader=leader or free[0], database=free[1], broker=free[2])


def _free_ports(count: int) -> list[int]:
    """Different free ports: all are held until all are known."""
    holders = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    try:
        return [int(holder.getsockname()[1]) for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def _require_free(port: int) -> None:
    try:
        socket.create_server((LOOPBACK, port)).close()
    except OSError as error:
        raise PortTaken(
            f"port {port} on {LOOPBACK} cannot be had ({error.strerror}): {_holder_of(port)}; "
            "choose another one with --port or INFERBENCH_PORT, or 0 for any free one"
        ) from error


def _holder_of(port: int) -> str:
    """Who listens there, as far as this user may know."""
    import psutil  # noqa: PLC0415 - only on this path

    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            return f"{psutil.Process(connection.pid).name()} (pid {connection.pid}) listens there"
    return f"`ss -ltnp 'sport = :{port}'` shows who listens there"
