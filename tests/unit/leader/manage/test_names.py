"""Who may go by a follower's name: a restart at once, another agent once nothing of the first can be left."""

from dataclasses import replace
from datetime import timedelta

import pytest
from support.stored_runs import T0, lease, registration

from leader.manage.names import is_same_agent, require_free
from leader.manage.policy import LeasePolicy
from leader.perfdb.entities import Follower
from shared.errors import Conflict
from shared.wire.identity import Registration

POLICY = LeasePolicy()  # a lease of 15 s, a grace of 3 s


def agent(home: str, incarnation: str = "i-1") -> Registration:
    """Follower f1 as the agent of this home announces it."""
    return registration(incarnation=incarnation).model_copy(update={"home": home})


def heard(home: str, seconds_ago: float) -> Follower:
    """f1 as it is known, and when it was last heard of."""
    return Follower(registration=agent(home), last_seen_at=T0 - timedelta(seconds=seconds_ago))


@pytest.mark.parametrize(
    ("known", "new", "same"),
    [("a", "a", True), ("a", "b", False), ("", "b", True), ("a", "", True), ("", "", True)],
)
def test_agents_are_told_apart_by_their_homes(known: str, new: str, *, same: bool) -> None:
    """Older agents have none to tell of, and are taken for a restart, as they always were."""
    assert is_same_agent(heard(known, 1), agent(new, "i-2")) == same


@pytest.mark.parametrize(("seconds_ago", "free"), [(0, False), (14.9, False), (15, False), (15.1, True)])
def test_another_agent_has_the_name_once_the_first_was_silent_for_a_lease(seconds_ago: float, *, free: bool) -> None:
    """By then it has stopped whatever it was executing."""
    known = heard("a", seconds_ago)
    if free:
        require_free(known, agent("b"), [], T0, POLICY)
        return
    with pytest.raises(Conflict):
        require_free(known, agent("b"), [], T0, POLICY)


@pytest.mark.parametrize(("ends_in_s", "free"), [(15, False), (0, False), (-3, False), (-3.1, True)])
def test_a_lease_that_is_still_renewed_keeps_the_name(ends_in_s: float, *, free: bool) -> None:
    """Heartbeats may get lost where renewals do not."""
    held = lease(until=T0 + timedelta(seconds=ends_in_s))
    if free:
        require_free(heard("a", 60), agent("b"), [held], T0, POLICY)
        return
    with pytest.raises(Conflict):
        require_free(heard("a", 60), agent("b"), [held], T0, POLICY)


def test_a_restart_waits_for_nothing() -> None:
    """Its home was locked by the agent before: that one is dead."""
    require_free(heard("a", 0), agent("a", "i-2"), [lease()], T0, POLICY)


def test_who_said_good_bye_has_left_its_name() -> None:
    """At once."""
    require_free(replace(heard("a", 0), left=True), agent("b"), [], T0, POLICY)


def test_the_refusal_says_where_the_other_is_and_what_to_do() -> None:
    """Host, how long ago, the setting, and how long to wait otherwise."""
    with pytest.raises(Conflict) as caught:
        require_free(heard("a", 4), agent("b"), [], T0, POLICY)
    for words in ("on host 'h'", "the name 'f1'", "4 s ago", "INFERBENCH_FOLLOWER_NAME", "free in 11 s"):
        assert words in caught.value.detail
