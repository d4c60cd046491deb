"""An endpoint that somebody else runs, as a service: nothing of it is started, pinned, watched or stopped."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from follower.load.ask import NoAnswer
from follower.load.encode import MalformedAnswer
from follower.load.tls import is_untrusted
from follower.serve.endpoint.apis import api_of
from follower.serve.endpoint.resolve import Resolved
from follower.serve.model_client import RefusedByServer, Unreachable
from follower.serve.openinference.tensors import ModelMetadata
from follower.serve.protocol import Endpoint, ServeRequest
from follower.serve.secure import SecretHeader, Tls
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.measure.record import ColdStart

LOG_FILE: Final = "server.log"
_ASK_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.1
_REFUSED_FOR_GOOD: Final = range(300, 500)
_REDIRECTS: Final = range(300, 400)
_ASKS_WHO_WE_ARE: Final = frozenset({401, 403})


class EndpointService:
    """Implements ``follower.serve.protocol.Service``."""

    def __init__(
        self, request: ServeRequest, resolved: Resolved, tls: Tls | None = None, secret: SecretHeader | None = None
    ) -> None:
        self._request = request
        self._resolved = resolved
        self._tls = tls
        self._secret = secret
        self._api = api_of(request)
        self._metadata: ModelMetadata | None = None
        self._log = request.workdir / LOG_FILE
        request.workdir.mkdir(parents=True, exist_ok=True)
        self._log.write_text(f"endpoint {resolved.named}, at {resolved.address}; its log is not ours to read\n")

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(
            host=self._resolved.address,
            port=self._resolved.named.port,
            model_name=self._request.model_name,
            dialect=self._api.dialect,
            authority=str(self._resolved.named),
            template=self._api.template,
            tls=self._tls,
            secret=self._secret,
        )

    @property
    def log_path(self) -> Path:
        return self._log

    def wait_ready(self, timeout_ns: int) -> ColdStart:
        """How long the first answer took, and no other phase: nothing was started."""
        began_ns = time.monotonic_ns()
        while True:
            left_s = (began_ns + timeout_ns - time.monotonic_ns()) / 1e9
            wait_s = max(left_s, _POLL_S)
            try:
                self._metadata = self._described(min(_ASK_TIMEOUT_S, wait_s))
                self._inferred(self._metadata, wait_s)
            except (NoAnswer, Unreachable, MalformedAnswer) as error:
                if left_s <= _POLL_S:
                    detail = f"endpoint {self._resolved.named} gave no usable answer within {timeout_ns / 1e9:g} s"
                    raise AttemptFailed(Cause.SERVER_NOT_READY, f"{detail}; the last: {self._told(error)}") from None
                time.sleep(_POLL_S)
            else:
                took_ms = (time.monotonic_ns() - began_ns) / 1e6
                return ColdStart(
                    spawned_ms=0.0, port_open_ms=None, model_loaded_ms=None, ready_ms=None, first_inference_ms=took_ms
                )

    def metadata(self) -> ModelMetadata:
        return self._metadata or self._described(_ASK_TIMEOUT_S)

    def facts(self) -> Mapping[str, Any]:
        named = self._resolved.named
        spoken = {"dialect": self._api.dialect, "tls": self._tls is not None}
        return {"engine": "endpoint", "endpoint": str(named), "address": self._resolved.address, **spoken}

    def statistics(self) -> None:
        """Not asked: it may serve others, too."""

    def request_stages(self) -> None:
        """Where the answers carry them, they do."""

    def pids(self) -> tuple[int, ...]:
        """None of ours."""
        return ()

    def check(self) -> None:
        """Never probed while it is measured: an endpoint that goes away shows as failed requests."""

    def stop(self) -> None:
        """It runs on."""

    def _described(self, timeout_s: float) -> ModelMetadata:
        """Raises NoAnswer, Unreachable or MalformedAnswer; AttemptFailed where asking again cannot help."""
        with self._final():
            return self._api.describe(self.endpoint, timeout_s)

    def _inferred(self, metadata: ModelMetadata, timeout_s: float) -> None:
        try:
            with self._final():
                self._api.infer(self.endpoint, metadata, timeout_s)
        except KeyError as error:
            detail = f"endpoint {self._resolved.named}: datatype {error} cannot be sent"
            raise AttemptFailed(Cause.MODEL_LOAD_FAILED, detail) from error

    @contextmanager
    def _final(self) -> Iterator[None]:
        """Raises AttemptFailed for a refusal that stays, NoAnswer for any other; the rest passes through."""
        try:
            yield
        except (NoAnswer, RefusedByServer, Unreachable) as error:
            if is_untrusted(error.__cause__):
                detail = f"endpoint {self._resolved.named} is not trusted: {self._told(error)}"
                raise AttemptFailed(Cause.SERVER_NOT_READY, detail) from None
            status = 0 if isinstance(error, Unreachable) else error.status
            self._give_up_on(status, self._told(error))
            raise NoAnswer(self._told(error), status) from None

    def _told(self, error: Exception) -> str:
        """What went wrong, without what nobody may read; nor is the error itself passed on."""
        return str(error) if self._secret is None else self._secret.hidden_in(str(error))

    def _give_up_on(self, status: int, said: str) -> None:
        """Raises AttemptFailed where the answer is one that stays."""
        if status not in _REFUSED_FOR_GOOD:
            return
        redirects = "; it redirects, and redirects are not followed: name the address itself"
        hint = redirects if status in _REDIRECTS else ""
        if status in _ASKS_WHO_WE_ARE:
            named = self._secret is not None
            hint = (
                f"; it {'does not take that secret' if named else 'asks for one: name it in service.endpoint.secret'}"
            )
        raise AttemptFailed(
            Cause.MODEL_LOAD_FAILED,
            f"endpoint {self._resolved.named} does not serve model {self._request.model_name}"
            f" over {self.endpoint.dialect}: {said}{hint}",
        ) from None
