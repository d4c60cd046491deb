"""The scheduler's figures: exact, seeded simulations of the policies that place real runs."""

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter_ns
from typing import Final

import numpy as np

from benchmarks.figure import Figure
from shared.scheduling.backlog import Backlog, Queued, SlotKey
from shared.scheduling.bounds import batch_optimum_s
from shared.scheduling.decide import Decision, decide, next_for
from shared.scheduling.evaluate import PAPER, SIMPLE, speedup_over
from shared.scheduling.needs import Need, Needs
from shared.scheduling.policy import DEFAULT, SchedulingPolicy, policy_named
from shared.scheduling.simulate import Outcome, Setting, simulate
from shared.scheduling.snapshot import RememberedFits, SlotState, Snapshot
from shared.scheduling.synthetic import LAWS, StreamSpec, batch, draw_stream, flood

SEEDS: Final = range(1, 7)
RUNS: Final = 10_000
SLOTS: Final = {"cpu": 8}
SIGMA: Final = 0.5
PURE: Final = policy_named("late-binding+shortest-first")
FIRST: Final = policy_named("late-binding+first-come")

_OVER_SIMPLE: Final = {"uniform": 1.8, "log-normal": 4.8, "bimodal": 7.2}
_OVER_PAPER: Final = {"uniform": 1.12, "log-normal": 1.25, "bimodal": 1.4}


def _outcomes(
    law: str, policy: SchedulingPolicy, *, load: float = 0.9, sigma: float = SIGMA, duplicates: float = 0.0,
    stop_early: float = 0.0, reuse: bool = False,
) -> list[Outcome]:  # fmt: skip
    """One for each seed."""
    spec = StreamSpec(law=law, runs=RUNS, load=load, slots=SLOTS, duplicates=duplicates)
    setting = Setting(slots=SLOTS, policy=policy, sigma=sigma, reuse=reuse, stop_early=stop_early)
    return [simulate(draw_stream(spec, seed), setting, seed) for seed in SEEDS]


def batch_optimality() -> Iterable[Figure]:
    """Mean completion time of 200 runs that are all there at once, with exact predictions, over the optimum.

    Shortest-first on 4 slots; the worst of the laws. The optimum is Smith's rule in closed form, not a simulation.
    """
    setting = Setting(slots={"cpu": 4}, policy=PURE)
    found = [
        simulate(runs, setting, 1).completion_s.sum() / batch_optimum_s(runs.duration_s, 4)
        for runs in (batch(law, 200, 1) for law in LAWS)
    ]
    yield Figure(
        name="batch: mean completion / optimum", measured=float(max(found)), unit="", low=1 - 1e-9, high=1 + 1e-9
    )


def scheduling_speedup() -> Iterable[Figure]:
    """Mean completion time of round-robin + first-come, and of the paper's scheduler, over that of the default policy.

    8 slots, load 0.9, prediction error 0.5, 10,000 runs for each of 6 seeds from an empty queue; same runs and errors
    for all. Bias: none known; the interval is over seeds. On longer streams the first figure grows.
    """
    for law, least in _OVER_SIMPLE.items():
        ours, pure = _outcomes(law, DEFAULT), _outcomes(law, PURE)
        for name, target in ((SIMPLE, least), (PAPER, _OVER_PAPER[law])):
            usual = _outcomes(law, policy_named(name))
            found, unaged = speedup_over(usual, ours), speedup_over(usual, pure).value
            yield Figure(
                name=f"speed-up over {name}: {law}",
                measured=found.value,
                unit="x",
                low=target,
                detail=f"95 % interval {found.low:.2f} to {found.high:.2f}; without aging {unaged:.3f}",
            )


def scheduling_bound() -> Iterable[Figure]:
    """Total completion time over the certified bound, exact predictions, shortest-first; the worst of three laws.

    The bound is below every schedule, also below any that could exist: the true ratio to the optimum is smaller.
    """
    for load, most in ((0.7, 1.12), (0.9, 1.5)):
        by_law = {
            law: float(np.mean([o.ratio_to_bound for o in _outcomes(law, PURE, load=load, sigma=0.0)]))
            for law in _OVER_SIMPLE
        }
        yield Figure(
            name=f"ratio to the certified bound at load {load}",
            measured=max(by_law.values()),
            unit="x",
            high=most,
            detail=", ".join(f"{law} {ratio:.3f}" for law, ratio in by_law.items()),
        )


def scheduling_reuse() -> Iterable[Figure]:
    """Log-normal runs of which 30 % repeat an earlier one and are reused, the others 30 % shorter, under the default.

    The baselines run everything in full. A duplicate of a run that has not ended waits for it. Load 0.9 is what all
    runs in full would need.
    """
    ours = _outcomes("log-normal", DEFAULT, duplicates=0.3, reuse=True, stop_early=0.3)
    for name, target in ((SIMPLE, 10.0), (PAPER, 3.0)):
        found = speedup_over(_outcomes("log-normal", policy_named(name), duplicates=0.3), ours)
        yield Figure(
            name=f"with reuse and early stopping: over {name}",
            measured=found.value,
            unit="x",
            low=target,
            detail=f"95 % interval {found.low:.2f} to {found.high:.2f}",
        )


def scheduling_aging() -> Iterable[Figure]:
    """What aging costs in mean completion time, and the longest wait over first-come's; the worst of three laws.

    8 slots, load 0.9, prediction error 0.5; late binding in all three. Longest waits are means over seeds.
    """
    cost: dict[str, float] = {}
    longest: dict[str, float] = {}
    for law in _OVER_SIMPLE:
        aged, pure, first = (_outcomes(law, policy) for policy in (DEFAULT, PURE, FIRST))
        cost[law] = 100 * (speedup_over(aged, pure).value - 1)
        longest[law] = _longest_s(aged) / _longest_s(first)
    yield Figure(
        name="aging: cost in mean completion", measured=max(cost.values()), unit="%", high=5, detail=_told(cost)
    )
    yield Figure(
        name="aging: longest wait / first-come's", measured=max(longest.values()), unit="x", high=3.5,
        detail=_told(longest),
    )  # fmt: skip


def _longest_s(outcomes: Sequence[Outcome]) -> float:
    return float(np.mean([outcome.wait_s.max() for outcome in outcomes]))


def _told(by_law: dict[str, float]) -> str:
    return ", ".join(f"{law} {value:.2f}" for law, value in by_law.items())


def scheduling_flood() -> Iterable[Figure]:
    """One team submits 480 runs at once; p99 of the other teams' waits, and the mean of all over pure shortest-first.

    8 slots; four teams together at load 0.35 for about 32 h, prediction error 0.5; the flood comes after two hours.
    All seeds' waits together; the worse of two laws.
    """
    waits_min: dict[str, float] = {}
    means: dict[str, float] = {}
    told: list[str] = []
    for law in ("uniform", "log-normal"):
        found = {policy.order: _flooded(law, policy) for policy in (DEFAULT, PURE, FIRST)}
        waits_min[law] = found[DEFAULT.order][0]
        means[law] = found[DEFAULT.order][1] / found[PURE.order][1]
        first, pure = found[FIRST.order][0], found[PURE.order][0]
        told.append(f"{law} {waits_min[law]:.0f} (first-come {first:.0f}, shortest-first {pure:.0f})")
    yield Figure(
        name="flood: other teams' p99 wait", measured=max(waits_min.values()), unit="min", high=60,
        detail=", ".join(told),
    )  # fmt: skip
    yield Figure(
        name="flood: mean completion / shortest-first's", measured=max(means.values()), unit="x", high=1.12,
        detail=_told(means),
    )  # fmt: skip


def _flooded(law: str, policy: SchedulingPolicy) -> tuple[float, float]:
    """Other teams' p99 wait in minutes, and the mean completion time of all runs in seconds."""
    spec = StreamSpec(law=law, runs=350, load=0.35, slots=SLOTS, teams=("w", "x", "y", "z"))
    setting = Setting(slots=SLOTS, policy=policy, sigma=SIGMA)
    waits_s, means_s = [], []
    for seed in SEEDS:
        outcome = simulate(flood(spec, seed, team="flood", runs=480, at_s=7200.0), setting, seed)
        waits_s.append(outcome.wait_s[np.array(outcome.stream.team) != "flood"])
        means_s.append(outcome.completion_s.mean())
    return float(np.quantile(np.concatenate(waits_s), 0.99)) / 60, float(np.mean(means_s))


def decision_time() -> Iterable[Figure]:
    """One decision with 10,000 runs queued and 100 followers: for one claim, and for all 100 slots free at once.

    20 teams, 50 models, every slot warm for one; median of 20 rounds. In memory: the database is not in it.
    """
    snapshot = _crowd()
    ways: dict[str, Callable[[], Decision]] = {
        "one claim": lambda: next_for(snapshot, snapshot.slots[0].key),
        "100 free slots": lambda: decide(snapshot),
    }
    for name, way in ways.items():
        spent_ms = []
        for _ in range(20):
            began_ns = perf_counter_ns()
            way()
            spent_ms.append((perf_counter_ns() - began_ns) / 1e6)
        yield Figure(
            name=f"decision at 10,000 queued, 100 followers: {name}", measured=float(np.median(spent_ms)), unit="ms",
            high=10, detail=f"longest {max(spent_ms):.1f} ms",
        )  # fmt: skip


def _crowd() -> Snapshot:
    random = np.random.default_rng(1)
    needs = tuple((Need("service.device", "cpu"), Need("service.platform", f"p{number}")) for number in range(8))
    backlog = Backlog.of(
        Queued(
            run_id=f"run-{number}", team=f"team-{number % 20}", predicted_s=float(random.lognormal(6, 1)),
            submitted_s=float(number), seq=number, needs=needs[number % 8], affinity=f"model-{number % 50}", setup_s=5,
        )
        for number in range(10_000)
    )  # fmt: skip
    slots = [
        SlotState(key=SlotKey(f"follower-{number}", "0"), warm=frozenset({f"model-{number % 50}"}))
        for number in range(100)
    ]
    return Snapshot(now_s=2e4, backlog=backlog, slots=slots, fits=RememberedFits(_most_can))


def _most_can(needs: Needs, slot: SlotState) -> bool:
    """Six in seven."""
    return len(needs[1].value + slot.key.follower) % 7 != 0
