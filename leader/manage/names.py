"""Who may go by a follower's name. Pure."""

from collections.abc import Iterable
from datetime import datetime

from leader.manage.policy import LeasePolicy
from leader.perfdb.entities import Follower
from shared.errors import Conflict
from shared.jobs.lifecycle import Lease
from shared.wire.identity import Registration


def is_same_agent(known: Follower, registration: Registration) -> bool:
    """Whether it is the registered agent, perhaps started anew. Agents of older versions do not say, and are believed.

    One home is held by one agent at a time: the other, of the same home, is dead.
    """
    homes = {known.registration.home, registration.home}
    return len(homes) == 1 or "" in homes


def require_free(
    known: Follower, registration: Registration, leases: Iterable[Lease], now: datetime, policy: LeasePolicy
) -> None:
    """Refuse the name of another agent that may still live; ``leases``: those that are held under the name.

    Raises:
        Conflict: it was heard of within the lease, or may still be executing a run.
    """
    if known.left or is_same_agent(known, registration):
        return
    free_at = max([known.last_seen_at + policy.lease, *(lease.expires_at + policy.grace for lease in leases)])
    if now > free_at:
        return
    raise Conflict(
        f"another agent, on host {known.registration.inventory.hostname!r}, goes by the name"
        f" {registration.name!r}; it was heard {(now - known.last_seen_at).total_seconds():.0f} s ago."
        " Give this one a name of its own (INFERBENCH_FOLLOWER_NAME), or stop the other one;"
        f" if that one is gone for good, its name is free in {(free_at - now).total_seconds():.0f} s"
    )
