"""The leader's API as typed calls: views in and out, errors as leaves of the tree."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

from pydantic import ValidationError

from cli.connection import Connection
from cli.errors import NoLeader
from cli.sse import ServerSentEvent, parse_events
from cli.transport import Transport
from shared.errors import Unavailable
from shared.wire.conversions import ConversionView
from shared.wire.history import HEADER, HistoryFacts
from shared.wire.scheduling import ExplainView, SchedulingView
from shared.wire.views import (
    DatasetView,
    EventView,
    FollowerView,
    JobView,
    LeaderboardView,
    ModelView,
    NewTokenView,
    Page,
    PlanView,
    RecordView,
    RunView,
    TokenView,
    View,
)

YAML: Final = "application/yaml"
API: Final = "/api/v1"
_PATIENCE: Final = 6  # attempts in a row that bring nothing
_FIRST_PAUSE_S: Final = 0.2
_UPLOAD_TIMEOUT_S: Final = 600.0  # the leader checks the whole body before it answers

ItemT = TypeVar("ItemT", bound=View)
ResultT = TypeVar("ResultT")


class Client:
    """One leader. Every call raises what ``cli.transport.Transport.send`` raises."""

    def __init__(self, connection: Connection, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._transport = Transport(connection)
        self._sleep = sleep
        self.url = connection.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._transport.close()

    # The service

    def version(self) -> str:
        return str(self._transport.fetch_object("GET", f"{API}/version").get("version", "unknown"))

    def job_schema(self) -> dict[str, Any]:
        """The JSON Schema of a job file."""
        return self._transport.fetch_object("GET", f"{API}/schemas/job")

    def followers(self) -> list[FollowerView]:
        return list(self._pages(Page[FollowerView], "/followers", {}, limit=None))

    # Jobs and runs

    def submit(self, document: bytes, *, idempotency_key: str) -> JobView:
        """Sent again if the answer is lost: the key makes that harmless."""
        headers = {"Content-Type": YAML, "Idempotency-Key": idempotency_key}
        return self._patiently(
            lambda: self._transport.fetch(JobView, "POST", f"{API}/jobs", content=document, headers=headers)
        )

    def validate(self, document: bytes) -> dict[str, Any]:
        """The effective job, with every default written out."""
        headers = {"Content-Type": YAML}
        answer = self._transport.fetch_object("POST", f"{API}/jobs/validate", content=document, headers=headers)
        return dict(answer.get("effective") or {})

    def plan(self, document: bytes) -> PlanView:
        return self._transport.fetch(
            PlanView, "POST", f"{API}/jobs/plan", content=document, headers={"Content-Type": YAML}
        )

    def jobs(self, *, limit: int, **filters: str | None) -> list[JobView]:
        """Newest first. ``filters``: team, name, state."""
        return list(self._pages(Page[JobView], "/jobs", filters, limit=limit))

    def job(self, job_id: str) -> JobView:
        return self._transport.fetch(JobView, "GET", f"{API}/jobs/{_segment(job_id)}")

    def cancel_job(self, job_id: str) -> JobView:
        return self._transport.fetch(JobView, "POST", f"{API}/jobs/{_segment(job_id)}/cancel")

    def run(self, run_id: str) -> RunView:
        return self._transport.fetch(RunView, "GET", f"{API}/runs/{_segment(run_id)}")

    def cancel_run(self, run_id: str) -> RunView:
        return self._transport.fetch(RunView, "POST", f"{API}/runs/{_segment(run_id)}/cancel")

    def record(self, run_id: str) -> RecordView:
        return self._transport.fetch(RecordView, "GET", f"{API}/runs/{_segment(run_id)}/record")

    def events(self, run_id: str) -> Iterator[EventView]:
        """The run's story until it has ended; a broken stream is taken up where it broke.

        Raises:
            Unavailable: the stream broke several times in a row without bringing anything new.
        """
        last_id, fruitless = "", 0
        while fruitless < _PATIENCE:
            try:
                for event in self._stream_events(run_id, last_id):
                    last_id, fruitless = event.id, 0
                    yield _event_view(event)
                if self.run(run_id).state.is_terminal:
                    return
            except Unavailable:
                if fruitless == _PATIENCE - 1:
                    raise
            self._sleep(_FIRST_PAUSE_S * 2**fruitless)
            fruitless += 1
        raise Unavailable(f"the events of {run_id} ended {_PATIENCE} times although the run goes on")

    def _stream_events(self, run_id: str, last_id: str) -> Iterator[ServerSentEvent]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        with self._transport.stream(f"{API}/runs/{_segment(run_id)}/events", headers) as answer:
            yield from parse_events(answer.iter_lines(), last_id)

    def log(self, run_id: str) -> Iterator[bytes]:
        return self._bytes_of(f"{API}/runs/{_segment(run_id)}/log")

    def samples(self, run_id: str, *, attempt: int | None = None) -> Iterator[bytes]:
        """The raw samples, a Parquet file; of the accepted or last attempt, or of ``attempt``."""
        which = "" if attempt is None else f"?attempt={attempt}"
        return self._bytes_of(f"{API}/runs/{_segment(run_id)}/samples{which}")

    def leaderboard(self, **query: str | None) -> LeaderboardView:
        """``query``: metric, key, job_id, model, platform, team, limit."""
        return self._transport.fetch(LeaderboardView, "GET", f"{API}/leaderboard", params=_given(query))

    # Scheduling

    def explain(self, run_id: str) -> ExplainView:
        return self._transport.fetch(ExplainView, "GET", f"{API}/runs/{_segment(run_id)}/explain")

    def scheduling(self) -> SchedulingView:
        return self._transport.fetch(SchedulingView, "GET", f"{API}/scheduling")

    def set_scheduling(self, settings: Mapping[str, Any]) -> SchedulingView:
        return self._transport.fetch(SchedulingView, "PUT", f"{API}/scheduling", json=dict(settings))

    def history(self, *, within_s: float) -> tuple[str, HistoryFacts]:
        """The ended runs as a trace, and what stands beside it.

        Raises:
            Unavailable: the answer is not what this command line knows under that name.
        """
        answer = self._transport.send("GET", f"{API}/history", params={"within_s": f"{within_s:g}"})
        try:
            return answer.text, HistoryFacts.model_validate_json(answer.headers.get(HEADER, ""))
        except ValidationError as error:
            raise Unavailable(
                f"the history that {self.url} answered has no {HEADER} that this version knows"
            ) from error

    def cordon(self, follower: str, *, cordoned: bool) -> FollowerView:
        what = "cordon" if cordoned else "uncordon"
        return self._transport.fetch(FollowerView, "POST", f"{API}/followers/{_segment(follower)}/{what}")

    # Models and datasets

    def models(self, *, text: str = "", limit: int | None = None) -> list[ModelView]:
        return list(self._pages(Page[ModelView], "/models", {"text": text or None}, limit=limit))

    def model(self, name: str, version: int) -> ModelView:
        return self._transport.fetch(ModelView, "GET", _version_path("models", name, version))

    def register_model(self, *, name: str, sha256: str, size_bytes: int, card: Mapping[str, Any]) -> ModelView:
        """A new version of ``name``, waiting for its bytes."""
        body = {"name": name, "sha256": sha256, "size_bytes": size_bytes, "card": dict(card)}
        return self._transport.fetch(ModelView, "POST", f"{API}/models", json=body)

    def upload_model(self, name: str, version: int, content: Iterable[bytes]) -> ModelView:
        return self._upload(ModelView, _version_path("models", name, version), content)

    def download_model(self, name: str, version: int) -> Iterator[bytes]:
        return self._bytes_of(f"{_version_path('models', name, version)}/content")

    def update_model(self, name: str, version: int, card: Mapping[str, Any]) -> ModelView:
        return self._transport.fetch(
            ModelView, "PATCH", _version_path("models", name, version), json={"card": dict(card)}
        )

    def delete_model(self, name: str, version: int) -> None:
        self._transport.send("DELETE", _version_path("models", name, version))

    def create_conversion(self, wish: Mapping[str, Any], *, idempotency_key: str) -> ConversionView:
        """``wish``: the body. Sent again if the answer is lost: the key makes that harmless."""
        headers = {"Idempotency-Key": idempotency_key}
        return self._patiently(
            lambda: self._transport.fetch(
                ConversionView, "POST", f"{API}/conversions", json=dict(wish), headers=headers
            )
        )

    def conversions(self, *, limit: int) -> list[ConversionView]:
        """Newest first."""
        return list(self._pages(Page[ConversionView], "/conversions", {}, limit=limit))

    def conversion(self, conversion_id: str) -> ConversionView:
        return self._transport.fetch(ConversionView, "GET", f"{API}/conversions/{_segment(conversion_id)}")

    def cancel_conversion(self, conversion_id: str) -> ConversionView:
        return self._transport.fetch(ConversionView, "DELETE", f"{API}/conversions/{_segment(conversion_id)}")

    def datasets(self) -> list[DatasetView]:
        return list(self._pages(Page[DatasetView], "/datasets", {}, limit=None))

    def register_dataset(self, *, name: str, sha256: str, size_bytes: int, description: str) -> DatasetView:
        """A new version of ``name``, waiting for its bytes."""
        body = {"name": name, "sha256": sha256, "size_bytes": size_bytes, "description": description}
        return self._transport.fetch(DatasetView, "POST", f"{API}/datasets", json=body)

    def upload_dataset(self, name: str, version: int, content: Iterable[bytes]) -> DatasetView:
        return self._upload(DatasetView, _version_path("datasets", name, version), content)

    # Tokens

    def add_token(self, *, name: str, role: str, follower: str | None) -> NewTokenView:
        """A new token, which the leader shows this once."""
        body = {"name": name, "role": role} | ({} if follower is None else {"follower": follower})
        return self._transport.fetch(NewTokenView, "POST", f"{API}/tokens", json=body)

    def tokens(self) -> list[TokenView]:
        return list(self._pages(Page[TokenView], "/tokens", {}, limit=None))

    def revoke_token(self, name: str) -> None:
        self._transport.send("DELETE", f"{API}/tokens/{_segment(name)}")

    # How

    def _pages(
        self, shape: type[Page[ItemT]], path: str, query: Mapping[str, str | None], *, limit: int | None
    ) -> Iterator[ItemT]:
        """The items of all pages, up to ``limit``."""
        left, cursor = limit, None
        while left is None or left > 0:
            params = _given({**query, "cursor": cursor, "limit": None if left is None else str(min(left, 200))})
            page = self._transport.fetch(shape, "GET", API + path, params=params)
            yield from page.items[:left]
            cursor = page.next_cursor
            if cursor is None:
                return
            left = None if left is None else left - len(page.items)

    def _upload(self, shape: type[ItemT], path: str, content: Iterable[bytes]) -> ItemT:
        headers = {"Content-Type": "application/octet-stream"}
        return self._transport.fetch(
            shape, "PUT", f"{path}/content", content=content, headers=headers, timeout=_UPLOAD_TIMEOUT_S
        )

    def _bytes_of(self, path: str) -> Iterator[bytes]:
        with self._transport.stream(path) as answer:
            yield from answer.iter_bytes()

    def _patiently(self, call: Callable[[], ResultT]) -> ResultT:
        """Tries a repeatable call again while the leader does not answer."""
        for attempt in range(_PATIENCE - 1):
            try:
                return call()
            except NoLeader:
                raise  # nothing was sent: no answer can have been lost
            except Unavailable:
                self._sleep(_FIRST_PAUSE_S * 2**attempt)
        return call()


def _given(query: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value is not None}


def _segment(text: str) -> str:
    """One segment of a path, whatever characters the user typed."""
    return quote(text, safe="")


def _version_path(kind: str, name: str, version: int) -> str:
    return f"{API}/{kind}/{_segment(name)}/versions/{version}"


def _event_view(event: ServerSentEvent) -> EventView:
    try:
        return EventView.model_validate_json(event.data)
    except ValidationError as error:
        raise Unavailable(f"event {event.id} is not one that this version knows: {error.errors()[0]['msg']}") from error


def file_chunks(path: Path, chunk_bytes: int = 1 << 20) -> Iterator[bytes]:
    """A file's bytes, a chunk at a time.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        while chunk := file.read(chunk_bytes):
            yield chunk
