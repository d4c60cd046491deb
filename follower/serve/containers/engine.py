"""This machine's container engine, through the docker SDK: the one module that knows it.

The SDK is imported when the engine is first asked: it takes a quarter of a second, which hosts without one need not
spend. Only an engine on this host will do, at its usual socket: models are mounted, addresses are the host's own.
"""

import os
import signal
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from follower.serve.containers.network import BRIDGE, NETWORK, network_settings
from shared.errors import AttemptFailed, NotAvailable
from shared.jobs.lifecycle import Cause

if TYPE_CHECKING:
    from docker import APIClient

SOCKET: Final = Path("/var/run/docker.sock")
TIMEOUT_S: Final = 30
"""For one call; more than any of them takes where the disk is slow, and less than a person waits for."""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that the engine has."""

    name: str  # as it was asked for
    id: str
    digest: str | None  # as the registry knows it; None: built here
    labels: Mapping[str, str] = field(default_factory=dict)  # what whoever built it says of it


@dataclass(frozen=True, kw_only=True)
class State:
    """A container now."""

    running: bool
    pid: int  # of its first process, on the host; 0 once it has ended
    exit_code: int
    oom_killed: bool  # the kernel killed one of its processes because of its memory limit
    address: str  # on NETWORK; "" once it has ended


REMOVED: Final = State(running=False, pid=0, exit_code=128 + signal.SIGKILL, oom_killed=False, address="")


class Engine:
    """A connection to the engine. Every method raises AttemptFailed (FOLLOWER_ERROR) where the engine refuses."""

    def __init__(self, api: "APIClient") -> None:
        self._api = api

    @classmethod
    def connect(cls, path: Path = SOCKET) -> Self:
        """The engine at this socket.

        Raises:
            NotAvailable: none answers there.
        """
        _require_listener(path)
        from docker import APIClient  # noqa: PLC0415 - see above
        from docker.errors import DockerException  # noqa: PLC0415 - the same

        try:
            return cls(APIClient(base_url=f"unix://{path}", version="auto", timeout=TIMEOUT_S))
        except DockerException as error:
            raise NotAvailable(f"the container engine at {path} does not answer: {error}") from error

    @cached_property
    def version(self) -> str:
        """The engine's version."""
        with _told("say its version"):
            return str(self._api.version()["Version"])

    def image(self, name: str) -> Image:
        """What the engine has under this name.

        Raises:
            NotAvailable: nothing; nothing is fetched while a run waits for it.
        """
        from docker.errors import ImageNotFound  # noqa: PLC0415 - see above

        with _told(f"look for image {name}"):
            try:
                found = self._api.inspect_image(name)  # type: ignore[no-untyped-call]
            except ImageNotFound as error:
                raise NotAvailable(
                    f"image {name!r} is not on this machine: build it with `make images`, fetch it with"
                    f" `docker pull {name}`, or name another one in INFERBENCH_IMAGES"
                ) from error
        digests, labels = found.get("RepoDigests") or [], found["Config"].get("Labels") or {}
        return Image(name=name, id=found["Id"], digest=digests[0] if digests else None, labels=labels)

    def holds(self, image: Image, paths: Iterable[Path], labels: Mapping[str, str]) -> frozenset[Path]:
        """Which of these files it has: looked at in a container that carries ``labels`` and is never started."""
        with _told(f"look into image {image.name}"):
            made = self._api.create_container(image.id, command=["true"], labels=dict(labels))
            try:
                return frozenset(path for path in paths if self._has(made["Id"], path))
            finally:
                self._api.remove_container(made["Id"], v=True)

    def _has(self, container: str, path: Path) -> bool:
        # asked for its head only: the SDK's own call would fetch the file
        url = f"{self._api.base_url}/v{self._api.api_version}/containers/{container}/archive"
        answer = self._api.head(url, params={"path": str(path)}, timeout=TIMEOUT_S)
        if answer.status_code != HTTPStatus.NOT_FOUND:
            answer.raise_for_status()
        return answer.status_code == HTTPStatus.OK

    def prepare_network(self) -> str:
        """The name of the network of served models, made where it is not there."""
        with _told(f"make network {NETWORK} on bridge {BRIDGE}"):
            if not self._api.networks(names=[f"^{NETWORK}$"]):
                self._api.create_network(NETWORK, **network_settings())
        return NETWORK

    def create(self, image: Image, settings: Mapping[str, Any], host_settings: Mapping[str, Any]) -> str:
        """A container that has not been started; its id."""
        with _told(f"make a container of {image.name}"):
            host_config = self._api.create_host_config(**host_settings)
            made = self._api.create_container(image.id, host_config=host_config, use_config_proxy=False, **settings)
        return str(made["Id"])

    def attach(self, container: str) -> socket.socket:
        """A socket to its standard streams: in, and out framed as ``output_of`` reads it."""
        with _told("attach to a container"):
            params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            attached = self._api.attach_socket(container, params=params)
        own = socket.socket(fileno=os.dup(attached.fileno()))  # the SDK's ends with its answer, at some time
        own.settimeout(None)
        attached._response.close()  # noqa: SLF001 - it holds the SDK's, and there is no other way to it
        attached.close()
        return own

    def start(self, container: str) -> None:
        """Have its first process run."""
        with _told("start a container"):
            self._api.start(container)

    def state(self, container: str) -> State:
        """How it is; one that somebody removed was killed."""
        from docker.errors import NotFound  # noqa: PLC0415 - see above

        with _told("look at a container"):
            try:
                found = self._api.inspect_container(container)
            except NotFound:
                return REMOVED
        state = found["State"]
        connected = found["NetworkSettings"]["Networks"].get(NETWORK) or {}
        return State(
            running=bool(state["Running"]),
            pid=int(state["Pid"]),
            exit_code=int(state["ExitCode"]),
            oom_killed=bool(state["OOMKilled"]),
            address=str(connected.get("IPAddress") or ""),
        )

    def stop(self, container: str, grace_s: float) -> None:
        """SIGTERM, the grace, SIGKILL. One that has ended, or is gone, is no error."""
        from docker.errors import NotFound  # noqa: PLC0415 - see above

        with _told("stop a container"), suppress(NotFound):
            self._api.stop(container, timeout=round(grace_s))

    def remove(self, container: str) -> None:
        """Make an end of it, by force if it runs. One that is gone is no error."""
        from docker.errors import NotFound  # noqa: PLC0415 - see above

        with _told("remove a container"), suppress(NotFound):
            self._api.remove_container(container, force=True, v=True)

    def labelled(self, label: str) -> Mapping[str, Mapping[str, str]]:
        """Every container that carries this label, ended ones too: id -> its labels."""
        with _told("list its containers"):
            found = self._api.containers(all=True, filters={"label": label})
        return {str(each["Id"]): dict(each["Labels"] or {}) for each in found}

    def close(self) -> None:
        """Let go of the connection."""
        self._api.close()


def _require_listener(path: Path) -> None:
    """Asked before the SDK, which takes longer, and leaves a socket open where nobody listens."""
    if not path.exists():
        raise NotAvailable(f"no container engine answers: there is no socket {path}; install docker, or start it")
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
    except OSError as error:
        raise NotAvailable(f"the container engine at {path} does not answer: {error.strerror}") from error


def output_of(attached: socket.socket) -> Iterator[bytes]:
    """What a container writes, piece by piece, until it ends or the socket is closed.

    The engine frames each piece: stream number, three zero bytes, length in four bytes, big-endian.
    """
    with attached.makefile("rb") as stream:
        while len(header := stream.read(8)) == 8:  # noqa: PLR2004 - see above
            yield stream.read(int.from_bytes(header[4:], "big"))


@contextmanager
def connected(path: Path = SOCKET) -> Iterator[Engine]:
    """The engine at this socket, for a few questions.

    Raises:
        NotAvailable: none answers there.
    """
    engine = Engine.connect(path)
    try:
        yield engine
    finally:
        engine.close()


def missing_images(names: Sequence[str], path: Path = SOCKET) -> Sequence[str]:
    """Those that the engine does not have.

    Raises:
        NotAvailable: no engine answers.
    """
    with connected(path) as engine:
        return [name for name in names if not _has(engine, name)]


def _has(engine: Engine, name: str) -> bool:
    try:
        engine.image(name)
    except NotAvailable:
        return False
    return True


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turns what the SDK raises into a failure that says what the engine was asked to do."""
    from docker.errors import APIError, DockerException  # noqa: PLC0415 - see above
    from requests.exceptions import RequestException  # noqa: PLC0415 - the SDK lets it through

    try:
        yield
    except APIError as error:
        why = error.explanation or error
        raise AttemptFailed(Cause.FOLLOWER_ERROR, f"the container engine refused to {what}: {why}") from error
    except (DockerException, RequestException) as error:
        raise AttemptFailed(Cause.FOLLOWER_ERROR, f"the container engine failed to {what}: {error}") from error
