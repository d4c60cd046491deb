"""When a child counts as ready: what to ask, as data, and asking it once."""

import json
import socket
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

PROBE_TIMEOUT_S: Final = 1.0
LOOPBACK: Final = "127.0.0.1"
_OK: Final = 200


@dataclass(frozen=True)
class PortOpen:
    """Something accepts connections on a loopback port."""

    port: int


@dataclass(frozen=True)
class BrokerAnswers:
    """A server of the Redis protocol takes the password and answers PING: so it is ours."""

    port: int
    password: str


@dataclass(frozen=True)
class HttpAnswers:
    """GET ``path`` answers 200."""

    port: int
    path: str


@dataclass(frozen=True)
class FollowerAlive:
    """The leader lists the follower as alive."""

    port: int
    token_file: Path
    follower: str


Readiness = PortOpen | BrokerAnswers | HttpAnswers | FollowerAlive


def is_ready(probe: Readiness) -> bool:
    """Asks once, for at most a second or so. False while nothing answers, or something else does."""
    try:
        return _ask(probe)
    except (OSError, HTTPException, ValueError, KeyError):
        return False


def _ask(probe: Readiness) -> bool:
    match probe:
        case PortOpen(port):
            with socket.create_connection((LOOPBACK, port), PROBE_TIMEOUT_S):
                return True
        case BrokerAnswers(port, password):
            return _redis_ping(port, password)
        case HttpAnswers(port, path):
            return _get(port, path, {})[0] == _OK
        case FollowerAlive(port, token_file, follower):
            status, body = _get(
                port, "/api/v1/followers", {"Authorization": f"Bearer {token_file.read_text().strip()}"}
            )
            return status == _OK and any(f["name"] == follower and f["alive"] for f in json.loads(body)["items"])


def _redis_ping(port: int, password: str) -> bool:
    with socket.create_connection((LOOPBACK, port), PROBE_TIMEOUT_S) as connection:
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        connection.settimeout(PROBE_TIMEOUT_S)
        answer = connection.makefile("rb")
        return answer.readline() == b"+OK\r\n" and answer.readline() == b"+PONG\r\n"


def _get(port: int, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = HTTPConnection(LOOPBACK, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
