"""In which order queued runs are taken: one visible table of policies, each a sort key."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from shared.errors import InvalidInput, Problem
from shared.scheduling.needs import Needs

PRIORITIES: Final[Mapping[str, int]] = {"high": 0, "normal": 1, "low": 2}
"""A job's priority -> rank of its class; every policy takes a lower rank first."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A queued run, as far as scheduling is concerned."""

    run_id: str
    predicted_s: float
    submitted_seq: int  # grows with every run submitted
    needs: Needs
    priority: str = "normal"


T = TypeVar("T")
Policy = Callable[[Candidate], tuple[float, ...]]
"""The sort key of a candidate; the smallest is taken first."""


def _first_come(candidate: Candidate) -> tuple[float, ...]:
    return (candidate.submitted_seq,)


def _shortest_first(candidate: Candidate) -> tuple[float, ...]:
    return (candidate.predicted_s, candidate.submitted_seq)


DEFAULT_POLICY: Final = "shortest-first"
POLICIES: Final[Mapping[str, Policy]] = {"first-come": _first_come, "shortest-first": _shortest_first}
"""Name -> policy."""


def order(candidates: Iterable[Candidate], policy: str = DEFAULT_POLICY) -> list[Candidate]:
    """The candidates as they should be started: priority class, then the policy, then the id so that ties are stable.

    Raises:
        InvalidInput: no such policy, or a priority that is none.
    """
    rank = _known(POLICIES, policy, "policy")
    return sorted(candidates, key=lambda c: (_known(PRIORITIES, c.priority, "priority"), rank(c), c.run_id))


def _known(table: Mapping[str, T], name: str, what: str) -> T:
    if name not in table:
        allowed = ", ".join(table)
        problem = Problem(message=f"there is no {what} {name!r}", path=what, found=name, allowed=allowed)
        raise InvalidInput(f"there is no {what} {name!r}; known: {allowed}", problems=[problem])
    return table[name]
