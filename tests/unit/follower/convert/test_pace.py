"""When a conversion goes and when it stands still."""

from hypothesis import given
from hypothesis import strategies as st

from follower.convert.pace import Pace, step

CAP_NS = 1000
looks = st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=40)


@given(looks)
def test_it_stands_still_exactly_while_it_must_wait_and_no_time_is_spent_then(looks: list[tuple[int, bool]]) -> None:
    """Against a plain sum over the same looks; nothing is paused or resumed twice."""
    pace, now_ns, ran_ns, stands = Pace(looked_at_ns=0), 0, 0, False
    for passed_ns, must_wait in looks:
        now_ns += passed_ns
        ran_ns += 0 if stands else passed_ns
        pace, act = step(pace, now_ns, CAP_NS, must_wait=must_wait)
        assert pace.spent_ns == ran_ns
        if ran_ns > CAP_NS:
            assert act == "give up"
            return
        assert act == {(False, True): "pause", (True, False): "resume"}.get((stands, must_wait), "nothing")
        stands = must_wait


def test_one_that_stands_still_for_ever_is_never_given_up() -> None:
    """The cap is on what it runs, not on what it waits."""
    pace, act = step(Pace(looked_at_ns=0), 10, CAP_NS, must_wait=True)
    assert act == "pause"
    pace, act = step(pace, 10**15, CAP_NS, must_wait=False)
    assert (act, pace.spent_ns) == ("resume", 10)
