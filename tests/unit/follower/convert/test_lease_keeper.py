"""How a converter keeps its lease, and when it knows that it has lost it."""

import threading

import pytest

from follower.convert.lease import LeaseKeeper
from shared.errors import InferBenchError, NotFound, StaleFence, Unavailable


class Scripted:
    """A leader that answers as told, and a clock."""

    def __init__(self, *answers: InferBenchError | None) -> None:
        self.answers = list(answers)
        self.told: list[str | None] = []
        self.now_ns = 0
        self.asked = threading.Event()

    def renew(self, waiting: str | None) -> None:
        self.told.append(waiting)
        self.asked.set()
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer

    def keeper(self, lease_s: float = 15.0) -> LeaseKeeper:
        return LeaseKeeper(self.renew, lease_s, 0, clock=lambda: self.now_ns)


@pytest.mark.parametrize("refusal", [StaleFence("superseded"), NotFound("gone")])
def test_a_refusal_is_the_end_of_the_lease(refusal: InferBenchError) -> None:
    """Whatever its kind."""
    leader = Scripted(refusal)
    keeper = leader.keeper()
    keeper.renew_once()
    assert keeper.lost == refusal.detail


def test_silence_is_outlived_for_less_than_the_lease() -> None:
    """Counted from when the last renewal that was answered was asked for, with 3 s to spare."""
    leader = Scripted(None, Unavailable("away"), Unavailable("away"), None, Unavailable("away"), Unavailable("away"))
    keeper = leader.keeper()
    for now_s, lost in ((5, False), (10, False), (16.9, False), (16.95, False), (28.9, False), (28.96, True)):
        leader.now_ns = int(now_s * 1e9)
        keeper.renew_once()
        assert (keeper.lost is not None) is lost, now_s


def test_what_it_stands_still_for_is_told_at_once() -> None:
    """And once; the thread ends with the block."""
    leader = Scripted()
    with leader.keeper(lease_s=600) as keeper:
        keeper.say("another measures")
        assert leader.asked.wait(10)
        keeper.say("another measures")
    assert leader.told == ["another measures"]
    assert keeper.lost is None
