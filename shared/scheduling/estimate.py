"""How long a run will take: what the job file says, plus what such runs took beside their window.

    predicted = set-up + warm-up + duration + collection

and of a cold-start run, which calibrates no client and starts the service ``repeats`` times:

    predicted = repeats * (set-up - calibration + steady run) + collection

Warm-up and duration are exact, because the window ends by the clock whatever the server does; the drain of late
requests is bounded by the request timeout but short in every healthy run, so it is left out. Set-up and collection
are learnt: ``shared.scheduling.setup_times``.
"""

from typing import Final

from shared.jobs.spec import RunSpec
from shared.jobs.workload import ColdStartWorkload
from shared.scheduling.setup_times import CALIBRATION_S, Quantiles, SetupTimes, served_of

STEADY_RUN_S: Final = 1.0
"""Seconds of the inferences after a cold start and of stopping the service: a prior; it is not learnt."""

SHORTEST_START_S: Final = 0.2
"""Seconds of one start at least: a set-up that was learnt may hold less calibration than its prior."""

_NS_PER_S: Final = 1e9
_NOTHING_LEARNT: Final = SetupTimes()


def window_s(spec: RunSpec) -> float:
    """Seconds of load, warm-up and all; none of a cold start."""
    return spec.workload.load_ns / _NS_PER_S


def predict(spec: RunSpec, learnt: SetupTimes = _NOTHING_LEARNT, follower: str | None = None) -> Quantiles:
    """Seconds that a follower's slot will be taken by the run.

    The p90 adds the p90 of both learnt parts: too large a little, never too small, where they do not vary together.
    """
    served = served_of(spec)
    load_s = window_s(spec)
    setup, collection = learnt.setup(served, follower), learnt.collection(served.platform)
    if isinstance(spec.workload, ColdStartWorkload):
        starts = Quantiles(*(_starts_s(spec.workload, s) for s in (setup.p50_s, setup.p90_s)))
        return Quantiles(starts.p50_s + collection.p50_s, starts.p90_s + collection.p90_s)
    return Quantiles(setup.p50_s + load_s + collection.p50_s, setup.p90_s + load_s + collection.p90_s)


def _starts_s(workload: ColdStartWorkload, setup_s: float) -> float:
    return workload.repeats * (max(SHORTEST_START_S, setup_s - CALIBRATION_S) + STEADY_RUN_S)


def predicted_s(spec: RunSpec, learnt: SetupTimes = _NOTHING_LEARNT) -> float:
    """The median of ``predict``."""
    return predict(spec, learnt).p50_s
