"""HTTP to the leader: what goes wrong on the way comes out as a leaf of the error tree."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import httpx
from pydantic import ValidationError

from cli.connection import Connection
from cli.errors import NoLeader
from shared.errors import AttemptFailed, InferBenchError, Unavailable
from shared.wire.views import ProblemDocument, View

CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 60.0  # a stream of events gives a sign of life more often than this

ViewT = TypeVar("ViewT", bound=View)


def _leaves(error: type[InferBenchError]) -> Iterator[type[InferBenchError]]:
    yield error
    for leaf in error.__subclasses__():
        yield from _leaves(leaf)


def error_of(status: int, body: bytes) -> InferBenchError:
    """The error that an answer describes: by its code, else by its status, else the root."""
    known = [leaf for leaf in _leaves(InferBenchError) if leaf is not AttemptFailed]
    try:
        problem = ProblemDocument.model_validate_json(body)
    except ValidationError:
        by_status: dict[int, type[InferBenchError]] = {leaf.status: leaf for leaf in reversed(known)}
        return by_status.get(status, InferBenchError)(f"the leader answered HTTP {status} without saying why")
    leaf = next((leaf for leaf in known if leaf.code == problem.code), None)
    if leaf is None:
        return InferBenchError(f"{problem.detail} ({problem.code})", problems=problem.problems)
    return leaf(problem.detail, problems=problem.problems)


class Transport:
    """One HTTP connection pool to one leader. Close it, or use it as a context."""

    def __init__(self, connection: Connection) -> None:
        self.url = connection.url
        self._http = httpx.Client(
            base_url=connection.url,
            headers={"Authorization": f"Bearer {connection.token}", "User-Agent": "inferbench-cli"},
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            trust_env=False,  # a proxy variable must not send a token for the loopback address elsewhere
        )

    def close(self) -> None:
        self._http.close()

    def send(self, method: str, path: str, **request: Any) -> httpx.Response:
        """The answer, which is a success.

        Raises:
            InferBenchError: what the leader says is wrong, as the leaf of its code.
            NoLeader: nothing listens at the address.
            Unavailable: the connection broke, or the answer did not come in time.
        """
        with self._translated():
            answer = self._http.request(method, path, **request)
        if not answer.is_success:
            raise error_of(answer.status_code, answer.content)
        return answer

    def fetch_object(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The answer's body as a JSON object; raises what ``send`` raises.

        Raises:
            Unavailable: the body is none.
        """
        answer = self.send(method, path, **request)
        try:
            return dict(answer.json())
        except (ValueError, TypeError) as error:
            raise Unavailable(f"what {self.url} answered to {method} {path} is not a JSON object") from error

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """A success whose body is read as it comes; raises what ``send`` raises, also while it is read."""
        with self._translated(), self._http.stream("GET", path, headers=dict(headers or {})) as answer:
            if not answer.is_success:
                raise error_of(answer.status_code, answer.read())
            yield answer

    def fetch(self, shape: type[ViewT], method: str, path: str, **request: Any) -> ViewT:
        """The answer's body as a view; raises what ``send`` raises.

        Raises:
            Unavailable: the body is not what this command line knows under that name.
        """
        answer = self.send(method, path, **request)
        try:
            return shape.model_validate_json(answer.content)
        except ValidationError as error:
            raise Unavailable(
                f"what {self.url} answered to {method} {path} is not a {shape.__name__}; is it an InferBench leader of "
                f"this version? First fault: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}"
            ) from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError as error:
            raise NoLeader(f"no leader answers at {self.url}: {error}; is it running?") from error
        except httpx.TimeoutException as error:
            raise Unavailable(f"the leader at {self.url} did not answer in time ({type(error).__name__})") from error
        except httpx.TransportError as error:
            raise Unavailable(f"the connection to the leader at {self.url} broke: {error}") from error
        except httpx.InvalidURL as error:
            raise NoLeader(f"{self.url} is not an address: {error}") from error
