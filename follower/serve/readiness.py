"""A cold start as a state: what has been reached, what comes next, how long it took. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from follower.serve.status import StatusEvent
from shared.errors import AttemptFailed
from shared.jobs.lifecycle import Cause
from shared.measure.record import ColdStart

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000


class Step(StrEnum):
    """What to do next; the value says what the start is waiting for."""

    AWAIT_PORT = "its port to open"
    AWAIT_MODEL = "its model to be loaded"
    ASK_READY = "it to report that it is ready"
    INFER = "its first inference to be answered"
    DONE = "nothing"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """When each phase was reached (CLOCK_MONOTONIC)."""

    started_ns: int  # the decision to start
    spawned_ns: int
    port: int | None = None
    port_open_ns: int | None = None
    model_loaded_ns: int | None = None
    ready_ns: int | None = None
    first_inference_ns: int | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)  # known once the model is loaded

    def after(self, events: Iterable[StatusEvent]) -> "Progress":
        """With what the server reported; what is known already stays as it is."""
        progress = self
        for event in events:
            if event.name == "listening" and progress.port_open_ns is None:
                progress = replace(progress, port=event.port, port_open_ns=event.at_ns)
            elif event.name == "model-loaded" and progress.model_loaded_ns is None:
                progress = replace(progress, model_loaded_ns=event.at_ns, facts=event.facts or {})
        return progress

    @property
    def next_step(self) -> Step:
        """Phases are reached in order."""
        if self.port_open_ns is None:
            return Step.AWAIT_PORT
        if self.model_loaded_ns is None:
            return Step.AWAIT_MODEL
        if self.ready_ns is None:
            return Step.ASK_READY
        return Step.INFER if self.first_inference_ns is None else Step.DONE

    def cold_start(self) -> ColdStart:
        """Each phase in ms since the decision to start; None for what was not reached."""
        return ColdStart(
            spawned_ms=(self.spawned_ns - self.started_ns) / _NS_PER_MS,
            port_open_ms=self._since_start_ms(self.port_open_ns),
            model_loaded_ms=self._since_start_ms(self.model_loaded_ns),
            ready_ms=self._since_start_ms(self.ready_ns),
            first_inference_ms=self._since_start_ms(self.first_inference_ns),
        )

    def _since_start_ms(self, at_ns: int | None) -> float | None:
        return None if at_ns is None else (at_ns - self.started_ns) / _NS_PER_MS


def not_ready(progress: Progress, timeout_ns: int, last_answer: str, log_tail: str) -> AttemptFailed:
    """What a start that took too long ends with: the phase that it waited for, and the last answer if there was one."""
    last = f"; last answer: {last_answer}" if last_answer else ""
    detail = f"not ready within {timeout_ns / _NS_PER_S:g} s, still waiting for {progress.next_step}{last}"
    return AttemptFailed(Cause.SERVER_NOT_READY, detail, log_tail=log_tail)
