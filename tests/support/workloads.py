"""Workloads as a job file would give them: one of each pattern, and any that the schema allows."""

from typing import Any

from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.jobs.workload import WorkloadSpec

_SPEC: TypeAdapter[WorkloadSpec] = TypeAdapter(WorkloadSpec)


def workload(**fields: Any) -> WorkloadSpec:
    """A workload of 1 s warm-up and 4 s window, unless told otherwise."""
    return _SPEC.validate_python({"warmup": "1s", "duration": "4s", **fields})


EVERY_PATTERN: dict[str, dict[str, Any]] = {
    "closed": {"concurrency": 3, "think_time": "5ms"},
    "constant": {"rate": 50},
    "poisson": {"rate": 50},
    "gamma": {"rate": 50, "cv": 2},
    "mmpp": {"rate": 50, "burst_ratio": 8, "burst_share": 0.2, "burst_length": "300ms"},
    "ramp": {"from_rate": 20, "to_rate": 80},
    "step": {"rates": [20, 80, 40]},
    "spike": {"rate": 30, "spike_rate": 200, "spike_at": "1s", "spike_duration": "500ms"},
    "sine": {"rate": 50, "amplitude": 0.8, "period": "2s"},
    "trace": {"trace": "june", "speed": 2.0},
    "offline": {"requests": 100, "max_in_flight": 8},
    "mlperf": {"scenario": "server", "rate": 50},
}
"""Every pattern that can be planned, with keys of its own."""

_RATES = st.floats(1e-9, 2_000)
_CAPS = st.none() | st.integers(1, 100)
_LAWS = st.sampled_from(["poisson", "constant"])


def _ns(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).map(lambda ns: f"{ns}ns")


_KEYS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "closed": {"concurrency": st.integers(1, 200), "think_time": _ns(0, 10**9)},
    "constant": {"rate": _RATES, "max_in_flight": _CAPS},
    "poisson": {"rate": _RATES, "max_in_flight": _CAPS},
    "gamma": {"rate": _RATES, "cv": st.floats(0.05, 20), "max_in_flight": _CAPS},
    "mmpp": {
        "rate": _RATES,
        "burst_ratio": st.floats(1, 1_000, exclude_min=True),
        "burst_share": st.floats(0, 1, exclude_min=True, exclude_max=True),
        "burst_length": _ns(10**5, 10**11),
    },
    "ramp": {"from_rate": _RATES, "to_rate": _RATES, "arrivals": _LAWS, "max_in_flight": _CAPS},
    "step": {"rates": st.lists(_RATES, min_size=1, max_size=9), "arrivals": _LAWS},
    "spike": {
        "rate": _RATES,
        "spike_rate": _RATES,
        "spike_at": _ns(0, 400_000),
        "spike_duration": _ns(1, 500_000),
        "arrivals": _LAWS,
    },
    "sine": {
        "rate": _RATES,
        "amplitude": st.floats(0, 1, exclude_min=True),
        "period": _ns(1, 10**10),
        "arrivals": _LAWS,
    },
    "trace": {"trace": st.just("june"), "speed": st.floats(1e-6, 10_000)},
    "offline": {"requests": st.integers(1, 2_000), "max_in_flight": st.integers(1, 100)},
    "mlperf": {"scenario": st.sampled_from(["single-stream", "multi-stream", "offline"])},
}


@st.composite
def workloads(draw: st.DrawFn) -> WorkloadSpec:
    """Any workload that can be planned, of at most 6 s."""
    pattern = draw(st.sampled_from(sorted(_KEYS)))
    return workload(
        pattern=pattern,
        seed=draw(st.integers(0, 2**63 - 1)),
        warmup=draw(_ns(0, 10**9)),
        duration=draw(_ns(1_000_000, 5 * 10**9)),
        **{key: draw(values) for key, values in _KEYS[pattern].items()},
    )
