"""The live view of a run: rows of ended requests in, one line of figures out. Pure.

What it shows is for whoever watches. It is not certified and goes into no record.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from shared.measure.columns import Columns
from shared.measure.histogram import LatencyHistogram
from shared.measure.latency import response_ns, service_ns
from shared.measure.windows import succeeded, window_of
from shared.workload.plan import Plan

_NS_PER_MS: Final = 1e6


@dataclass(kw_only=True)
class LiveView:
    """Folds the rows of a run that is still going on."""

    plan: Plan
    origin_ns: int
    _response: LatencyHistogram = field(default_factory=LatencyHistogram)
    _service: LatencyHistogram = field(default_factory=LatencyHistogram)
    _ended: int = 0  # of the whole run, warm-up included
    _errors: int = 0  # of the window
    _completed: int = 0  # since the last ``figures``
    _since_ns: int | None = None

    def take(self, rows: Columns) -> None:
        """Requests that have ended since the last call, in any order."""
        self._ended += len(rows["due_ns"])
        inside = window_of(self.plan, self.origin_ns).holds(rows["due_ns"])
        ok = succeeded(rows)
        successes = {name: column[inside & ok] for name, column in rows.items()}
        self._response.add(np.maximum(response_ns(successes), 0))
        self._service.add(np.maximum(service_ns(successes), 0))
        self._completed += int(np.count_nonzero(ok))
        self._errors += int(np.count_nonzero(inside & ~ok))

    def figures(self, now_ns: int) -> dict[str, Any]:
        """Rate since the last call, percentiles and errors of the window so far, and what is due but not answered.

        A closed loop always has as many in flight as it was told. None: not known yet.
        """
        elapsed_ns = now_ns - self.origin_ns - self.plan.warmup_ns
        since_ns = self._since_ns if self._since_ns is not None else self.origin_ns
        rate_rps = self._completed * 1e9 / (now_ns - since_ns) if now_ns > since_ns else None
        self._completed, self._since_ns = 0, now_ns
        return {
            "elapsed_s": round(elapsed_ns / 1e9, 1),
            "duration_s": self.plan.duration_ns / 1e9,
            "rate_rps": None if rate_rps is None else round(rate_rps, 1),
            "response_p50_ms": _ms(self._response, 0.5),
            "response_p99_ms": _ms(self._response, 0.99),
            "service_p50_ms": _ms(self._service, 0.5),
            "service_p99_ms": _ms(self._service, 0.99),
            "in_flight": self._in_flight(now_ns),
            "errors": self._errors,
        }

    def _in_flight(self, now_ns: int) -> int:
        if self.plan.concurrency is not None:
            return self.plan.concurrency
        due = int(np.searchsorted(self.plan.due_ns, now_ns - self.origin_ns, side="right"))
        return max(0, due - self._ended)


def line_of(figures: dict[str, Any]) -> str:
    """The figures as people read them."""
    return (
        f"{figures['elapsed_s']:.0f} of {figures['duration_s']:g} s"
        f" · {_shown(figures['rate_rps'], ',.0f')}/s"
        f" · response p50 {_shown(figures['response_p50_ms'], '.3g')} ms,"
        f" p99 {_shown(figures['response_p99_ms'], '.3g')} ms"
        f" · {figures['in_flight']} in flight · {figures['errors']} errors"
    )


def _shown(value: float | None, form: str) -> str:
    return "n/a" if value is None else format(value, form)


def _ms(histogram: LatencyHistogram, q: float) -> float | None:
    quantile_ns = histogram.quantile_ns(q) if histogram.n else None
    return None if quantile_ns is None else round(quantile_ns / _NS_PER_MS, 4)
