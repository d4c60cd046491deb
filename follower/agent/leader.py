"""The leader as the follower sees it: one method per route, and the tree of errors in place of HTTP's."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import httpx
from pydantic import BaseModel, SecretStr, ValidationError

from shared.errors import (
    Conflict,
    Forbidden,
    InferBenchError,
    InvalidInput,
    NotFound,
    StaleFence,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from shared.wire.assignment import Artifact, Assignment, Claim, LeaseAnswer, LeaseCall, Progress, Result, ResultAnswer
from shared.wire.identity import Heartbeat, Registration, RegistrationAnswer

CALL_TIMEOUT_S: Final = 5.0
UPLOAD_TIMEOUT_S: Final = 60.0  # of silence, not in all
_CHUNK_BYTES: Final = 1024 * 1024
_KEEPALIVE: Final = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
]
"""A leader whose machine is gone is noticed after 5 + 3 * 3 s of silence; a slow one that is there answers probes.
No attempt begins beside an upload, so an upload that waits for nobody would cost the follower its ``UPLOAD_TIMEOUT_S``.
"""

_BY_CODE: Final[dict[str, type[InferBenchError]]] = {
    error.code: error for error in (StaleFence, Conflict, NotFound, TooLarge, Unauthenticated, Forbidden, InvalidInput)
}
_BY_STATUS: Final[dict[int, type[InferBenchError]]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
}
_TRY_AGAIN: Final = frozenset({408, 425, 429})

AnswerT = TypeVar("AnswerT", bound=BaseModel)


class LeaderClient:
    """Calls of one follower. Safe to use from several threads.

    Every method raises ``Unavailable`` where there was no answer or an answer that may be different next time
    (5xx, 429), and otherwise the error that the leader named.
    """

    def __init__(self, url: str, token: SecretStr, follower: str, *, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._follower = f"/api/v1/followers/{follower}"
        self._http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"},
            timeout=timeout_s,
            transport=httpx.HTTPTransport(socket_options=_KEEPALIVE, trust_env=False),
            trust_env=False,
        )

    def close(self) -> None:
        self._http.close()

    def register(self, registration: Registration) -> RegistrationAnswer:
        return parsed(RegistrationAnswer, self._post("/api/v1/followers", registration))

    def heartbeat(self, heartbeat: Heartbeat) -> None:
        self._post(f"{self._follower}/heartbeat", heartbeat)

    def claim(self, claim: Claim) -> Assignment | None:
        """The next run for a slot, or None where there is none."""
        answer = self._post(f"{self._follower}/claim", claim)
        return None if answer.status_code == httpx.codes.NO_CONTENT else parsed(Assignment, answer)

    def renew(self, run_id: str, call: LeaseCall, *, timeout_s: float = CALL_TIMEOUT_S) -> LeaseAnswer:
        return parsed(LeaseAnswer, self._post(f"{self._follower}/runs/{run_id}/lease", call, timeout=timeout_s))

    def progress(self, run_id: str, progress: Progress) -> None:
        self._post(f"{self._follower}/runs/{run_id}/progress", progress)

    def put_artifact(
        self, run_id: str, kind: Literal["samples", "log"], path: Path, *, sha256: str, attempt: int, fence: int
    ) -> Artifact:
        """Stream a file to the leader."""
        query: dict[str, str | int] = {"attempt": attempt, "fence": fence, "sha256": sha256}
        return parsed(Artifact, self._put(f"{self._follower}/runs/{run_id}/artifacts/{kind}", path, query))

    def post_result(self, run_id: str, result: Result) -> ResultAnswer:
        return parsed(
            ResultAnswer, self._post(f"{self._follower}/runs/{run_id}/result", result, timeout=UPLOAD_TIMEOUT_S)
        )

    @contextmanager
    def blob(self, sha256: str) -> Iterator[Iterator[bytes]]:
        """The bytes of a model or dataset, in pieces."""
        try:
            with self._http.stream("GET", f"{self._follower}/blobs/{sha256}", timeout=UPLOAD_TIMEOUT_S) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _error(answer)
                yield answer.iter_bytes(_CHUNK_BYTES)
        except httpx.HTTPError as error:
            raise Unavailable(f"the leader broke off while sending {sha256}: {error!r}") from error

    def _post(self, path: str, body: BaseModel, **options: Any) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return self._send("POST", path, content=body.model_dump_json(), headers=headers, **options)

    def _put(self, path: str, file: Path, query: Mapping[str, str | int]) -> httpx.Response:
        with file.open("rb") as content:
            return self._send(
                "PUT",
                path,
                params=query,
                content=iter(lambda: content.read(_CHUNK_BYTES), b""),
                headers={"Content-Length": str(file.stat().st_size), "Content-Type": "application/octet-stream"},
                timeout=UPLOAD_TIMEOUT_S,
            )

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Unavailable(f"the leader at {self._http.base_url} does not answer: {error!r}") from error
        if not answer.is_success:
            raise _error(answer)
        return answer


def parsed(model: type[AnswerT], answer: httpx.Response) -> AnswerT:
    """The answer's body. Raises Unavailable where it is something else."""
    try:
        return model.model_validate_json(answer.content)
    except ValidationError as error:
        raise Unavailable(f"the leader's answer is not a {model.__name__}: {error.errors()[0]['msg']}") from error


def _error(answer: httpx.Response) -> InferBenchError:
    """The error that an unsuccessful answer stands for; by its problem code where it has one."""
    code, detail = _problem(answer)
    status = answer.status_code
    if status in _TRY_AGAIN or status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Unavailable(f"the leader answered {status}: {detail}")
    return (_BY_CODE.get(code) or _BY_STATUS.get(status) or InvalidInput)(detail)


def _problem(answer: httpx.Response) -> tuple[str, str]:
    try:
        document = answer.json()
    except ValueError:
        return "", answer.text[:200]
    if not isinstance(document, dict):
        return "", str(document)[:200]
    return str(document.get("code", "")), str(document.get("detail", answer.status_code))
