"""Damage for minutes while work goes on, then quiet, then the reckoning."""

import json
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from chaos.book import Book
from chaos.customers import Customers
from chaos.damage import GRACE_S, NEXT_WITHIN_S, Damage
from chaos.deck import Injection, injections, scripts
from chaos.occupancy import overlaps
from chaos.remains import described, left_in, left_in_work_dirs, marked
from chaos.stack import ChaosStack, chaos_stack, wait_until
from chaos.user import User
from chaos.verdict import late_results, read_ledger, violations

from shared.jobs.lifecycle import FIRST_BACKOFF

QUIET_WITHIN_S: Final = 180.0
IDLE_WITHIN_S: Final = 60.0
GONE_WITHIN_S: Final = 10.0
CANCEL_WITHIN_S: Final = 10.0
LOOK_EVERY_S: Final = 0.02
UNFORESEEN: Final = frozenset({"background.died", "request.crashed"})
"""What the leader writes into its log about an error that nobody thought of."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A storm. ``mean_gap_s`` lies between two injections, of which ``at_once`` may be under way together."""

    seed: int
    injections: int
    lease_s: float = 4.0
    mean_gap_s: float = 0.9
    at_once: int = 8
    live_runs: int = 10
    within_s: float = 540.0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of it."""

    settings: Settings
    took_s: float
    performed: Counter[str]
    missed: Counter[str]  # injections that found nothing to damage
    jobs: int
    ends: Counter[str]
    attempts: int
    starts: dict[str, int]
    cancels: int
    late: int  # results that were kept and not accepted
    overlap_ms: float
    violations: list[str]


def storm(folder: Path, settings: Settings) -> Report:
    """A stack in ``folder``, damaged as the seed says; what was found is in the report, nothing is raised for it."""
    book = Book()
    began_s = time.monotonic()
    with chaos_stack(folder, lease_s=settings.lease_s) as stack:
        with closing(User(stack.leader_url, stack.admin_token, book)) as user:
            damage = Damage(stack, book, user, settings.lease_s)
            with Customers(user, book, scripts(settings.seed), wanted=settings.live_runs):
                performed, missed = _rage(damage, settings)
            found = _come_to_rest(stack, book, user)
        found += _running_orphans(stack)
        ledger = read_ledger(stack.database_url)
    found += [surprise for program in stack.programs for surprise in program.surprises]
    found += _left_behind(folder) + _unforeseen(stack.leader.log)
    stays = stack.occupancy.refresh()
    met = overlaps(stays)
    longest_away_s = 1.2 * settings.lease_s + GRACE_S + FIRST_BACKOFF.total_seconds() + NEXT_WITHIN_S
    found += [str(overlap) for overlap in met]
    found += violations(ledger, book, stays, CANCEL_WITHIN_S + longest_away_s)
    if performed.total() < settings.injections:
        found.append(f"only {performed.total()} injections within {settings.within_s:g} s")
    return Report(
        settings=settings,
        took_s=time.monotonic() - began_s,
        performed=performed,
        missed=missed,
        jobs=len(ledger.jobs),
        ends=Counter(run["status"]["state"] for run in ledger.runs),
        attempts=len(stays),
        starts={program.name: program.starts for program in stack.programs},
        cancels=len(book.cancels),
        late=late_results(ledger),
        overlap_ms=sum(overlap.ns for overlap in met) / 1e6,
        violations=found,
    )


def _rage(damage: Damage, settings: Settings) -> tuple[Counter[str], Counter[str]]:
    """Injections until there were enough, or time is up; how many there were of each kind, and how many missed."""
    performed: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    under_way: dict[Future[bool], Injection] = {}
    deadline = time.monotonic() + settings.within_s
    with ThreadPoolExecutor(settings.at_once, thread_name_prefix="damage") as hands:
        for card in injections(settings.seed, settings.mean_gap_s):
            _collect(under_way, performed, missed)
            while under_way and (
                len(under_way) >= settings.at_once or performed.total() + len(under_way) >= settings.injections
            ):
                time.sleep(LOOK_EVERY_S)
                _collect(under_way, performed, missed)
            if performed.total() >= settings.injections or time.monotonic() > deadline:
                return performed, missed
            time.sleep(card.gap_s)
            under_way[hands.submit(damage.inflict, card)] = card
    return performed, missed


def _collect(under_way: dict[Future[bool], Injection], performed: Counter[str], missed: Counter[str]) -> None:
    for future in [future for future in under_way if future.done()]:
        card = under_way.pop(future)
        (performed if future.result() else missed)[card.kind] += 1


def _come_to_rest(stack: ChaosStack, book: Book, user: User) -> list[str]:
    """Wait until every run has ended and every follower is idle; what does not is told."""

    def all_ended() -> bool:
        for run in book.live():
            user.look(run.run_id)
        return not book.live()

    found = []
    try:
        wait_until(all_ended, "every accepted run has ended", QUIET_WITHIN_S)
    except TimeoutError as error:
        found.append(f"{error}; live: {[(run.run_id, run.state) for run in book.live()]}")
    work = stack.folder / "followers"
    try:
        wait_until(lambda: not left_in_work_dirs(work), "the followers' work directories are empty", IDLE_WITHIN_S)
    except TimeoutError as error:
        found.append(f"{error}: {left_in_work_dirs(work)}")
    return found


def _running_orphans(stack: ChaosStack) -> list[str]:
    """Processes of attempts that are still there although no attempt is."""
    supervised = [program.pid for program in stack.programs if program.pid is not None]
    return [f"orphan: {described(pid)}" for pid in marked(stack.folder, besides=supervised)]


def _left_behind(folder: Path) -> list[str]:
    """What is there although everything was stopped."""
    found = [f"temporary file left: {name}" for name in left_in(folder / "tmp")]
    try:
        wait_until(lambda: not marked(folder), "no process of the stack is left", GONE_WITHIN_S)
    except TimeoutError:
        found += [f"outlived the stack: {described(pid)}" for pid in marked(folder)]
    return found


def _unforeseen(log: Path) -> list[str]:
    """Errors of the leader that no outage explains, by its own log."""
    found: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if not line.startswith("{"):
            continue
        try:
            entry = json.loads(line)
        except ValueError:  # cut off by a SIGKILL
            continue
        if entry.get("event") in UNFORESEEN:
            last = str(entry.get("exception", "")).strip().splitlines()[-1:]
            found[f"the leader logged {entry['event']}: {last}"] += 1
    return [f"{text} ({count} times)" for text, count in found.items()]
