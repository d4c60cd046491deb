"""Whether the simulator tells the truth: the same stream of runs through a real installation, and simulated."""

import math
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from support.live_stream import Scripted, Site, completion_s, live_site, simulated

from benchmarks.figure import Figure

FOLLOWERS: Final = 4
RUNS: Final = 60
LOAD: Final = 0.9
SHORTEST_S: Final = 1.0
LONGEST_S: Final = 12.0
MEDIAN_S: Final = 5.0
SPREAD: Final = 0.7
ERROR: Final = 0.5
ALONE: Final = 8
"""Runs, one at a time, that the fixed cost is measured on."""

POLICIES: Final = (("late-binding", "fair-share"), ("queue-aware", "shortest-first"))


def live_replay() -> Iterable[Figure]:
    """Mean time from submit to end of 60 runs on a real leader, database, broker and 4 followers, over the simulator's.

    The attempts are real processes that sleep for 1 to 12 s (log-normal) and deliver a record; they arrive at load 0.9
    for about two minutes. The simulator gets the arrivals by the leader's clock, the leader's own predictions, the
    policy in force, and the scripted durations, each with the mean cost of a run beside its script (ring, claim, start
    of the process, delivery), measured before on an empty queue. Everything shares this machine's cores: where others
    use them, a run costs more in the stream than before it, and the ratio is too large.
    """
    with (
        tempfile.TemporaryDirectory(prefix="inferbench-live-") as folder,
        live_site(Path(folder) / "site", FOLLOWERS) as site,
    ):
        cost_s = site.fixed_cost_s(ALONE)
        script = drawn(cost_s)
        for placement, order in POLICIES:
            site.schedule_by({"placement": placement, "order": order})
            yield _figure(site, script, cost_s)


def _figure(site: Site, script: list[Scripted], cost_s: float) -> Figure:
    found = site.play(script)
    facts = site.history()[1]
    outcome = simulated(found, script, facts, cost_s)
    live_s = np.array([completion_s(run) for run in found])
    beside_s = float(np.mean([run.duration_s - one.duration_s for run, one in zip(found, script, strict=True)]))
    return Figure(
        name=f"live replay / simulator, mean completion time: {facts.settings.to_policy().name}",
        measured=float(live_s.mean() / outcome.completion_s.mean()),
        unit="x",
        low=0.95,
        high=1.05,
        detail=(
            f"{live_s.mean():.2f} s live, {outcome.completion_s.mean():.2f} s simulated; p95"
            f" {np.quantile(live_s, 0.95):.1f} and {np.quantile(outcome.completion_s, 0.95):.1f} s; fixed cost of a run"
            f" {cost_s:.2f} s, from claim to end {beside_s:.2f} s in the stream"
        ),
    )


def drawn(cost_s: float, runs: int = RUNS, seed: int = 1) -> list[Scripted]:
    """Poisson arrivals scaled to exactly the load; job files that say how long a run takes with a log-normal error."""
    random = np.random.default_rng(seed)
    duration_s = np.clip(random.lognormal(math.log(MEDIAN_S), SPREAD, runs), SHORTEST_S, LONGEST_S)
    window_s = np.maximum(duration_s * random.lognormal(0.0, ERROR, runs), SHORTEST_S)
    at = np.cumsum(random.exponential(1.0, runs))
    at_s = at * float((duration_s + cost_s).sum()) / (LOAD * FOLLOWERS * float(at[-1]))
    return [Scripted(*map(float, one)) for one in zip(at_s, duration_s, window_s, strict=True)]
