"""The figures of recovery beside their targets, all with the lease that a leader has by default."""

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from chaos import figures
from chaos.figures import CancelSpan
from chaos.site import Site, site
from chaos.stack import Follower

from benchmarks.figure import Figure, percentile
from leader.manage.policy import LeasePolicy

LEASE_S: Final = LeasePolicy().lease.total_seconds()
SELDOM_S: Final = 60.0
"""Polling as seldom as settings allow: what happens sooner was rung for."""
DEATHS: Final = 2
DOWN_S: Final = (0.0, 3.0, 10.0)
CANCELS_EACH: Final = 4
QUEUED: Final = 2000
RESTARTS: Final = 3
RUNNING_S: Final = 45.0


def measured(place: Path) -> list[Figure]:
    """Everything, on stacks in folders below ``place``. What broke counts as missed."""
    return [figure for part in PARTS for figure in _tried(part, place)]


def _tried(part: Callable[[Path], Iterable[Figure]], place: Path) -> list[Figure]:
    sys.stderr.write(f"measuring {part.__name__.strip('_')} ...\n")
    try:
        return list(part(place))
    except (TimeoutError, RuntimeError) as error:
        return [Figure(name=part.__name__.strip("_"), measured=float("nan"), unit="", high=0, detail=f"broke: {error}")]


def _deaths(place: Path) -> Iterator[Figure]:
    with site(place / "deaths", lease_s=LEASE_S) as at:
        spans_s = [span_s for _ in range(DEATHS) for span_s in figures.follower_death(at)]
        yield _worst("follower killed, its run is queued again", spans_s, 45.0)
        yield _kept(at)


def _brokers(place: Path) -> Iterator[Figure]:
    with site(place / "brokers", lease_s=LEASE_S, poll_s=SELDOM_S) as at:
        flushed_s = [figures.flushed_broker(at) for _ in DOWN_S]
        yield _worst("broker flushed, bells work again", flushed_s, 15.0)
        restarted_s = [figures.restarted_broker(at, down_s) for down_s in DOWN_S]
        yield _worst(f"broker killed for {', '.join(f'{s:g}' for s in DOWN_S)} s, bells work again", restarted_s, 15.0)
        yield _kept(at)


def _cancels(place: Path) -> Iterator[Figure]:
    with site(place / "cancels", lease_s=LEASE_S) as at:
        spans = list(_spans(at))
        seconds = [span.seconds for span in spans]
        yield Figure(
            name="cancel to device free, p99",
            measured=percentile(seconds, 0.99),
            unit="s",
            high=10.0,
            detail=f"p50 {percentile(seconds, 0.5):.2f} s, n {len(seconds)}; longest: {_longest(spans)}",
        )
        halves = [figures.cancel_half_open(at, follower).seconds for follower in at.stack.followers]
        yield _worst("cancel to device free, link half-open", halves, LEASE_S)
        yield _kept(at)


def _spans(at: Site) -> Iterator[CancelSpan]:
    """Cancels in every phase, on all followers side by side."""
    rounds: list[Callable[[Follower], CancelSpan]] = [
        lambda follower: figures.cancel_claimed(at, follower),
        lambda follower: figures.cancel_running(at, follower),
        lambda follower: figures.cancel_delivering(at, follower),
    ]
    with ThreadPoolExecutor(len(at.stack.followers)) as hands:
        for cancel in rounds:
            for _ in range(CANCELS_EACH):
                yield from hands.map(cancel, at.stack.followers)
    for _ in range(CANCELS_EACH // 2):
        yield from figures.cancel_without_broker(at, at.stack.followers)


def _longest(spans: list[CancelSpan]) -> str:
    longest: dict[str, float] = {}
    for span in spans:
        longest[span.phase] = max(span.seconds, longest.get(span.phase, 0.0))
    return ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in longest.items())


def _restarts(place: Path) -> Iterator[Figure]:
    with site(place / "restarts", lease_s=LEASE_S) as at:
        restarts, disturbed = figures.leader_restarts(at, queued=QUEUED, times=RESTARTS, running_s=RUNNING_S)
        beside = f"{QUEUED} queued, {len(at.stack.followers)} running"
        cpu = f"of a core it used {max(restart.cpu_s for restart in restarts):.2f} s at most"
        yield _worst(f"leader killed, ready again ({beside})", [restart.ready_s for restart in restarts], 5.0, cpu)
        yield _worst(f"leader killed, a claim answered ({beside})", [restart.claim_s for restart in restarts], 5.0)
        yield Figure(
            name="attempts disturbed by it", measured=len(disturbed), unit="", high=0, detail="; ".join(disturbed)
        )
        yield _kept(at)


PARTS: Final = (_deaths, _brokers, _cancels, _restarts)


def _worst(name: str, spans_s: list[float], high_s: float, besides: str = "") -> Figure:
    detail = f"p50 {percentile(spans_s, 0.5):.2f} s, n {len(spans_s)}" + (f"; {besides}" if besides else "")
    return Figure(name=f"{name}, max", measured=max(spans_s), unit="s", high=high_s, detail=detail)


def _kept(at: Site) -> Figure:
    """Promises that were broken beside."""
    broken = at.book.broken + [surprise for program in at.stack.programs for surprise in program.surprises]
    return Figure(name="  promises broken meanwhile", measured=len(broken), unit="", high=0, detail="; ".join(broken))
