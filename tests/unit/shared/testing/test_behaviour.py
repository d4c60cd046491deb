"""The order of faults, and the journal's lines."""

from collections import Counter
from itertools import pairwise

import pytest

from shared.testing.behaviour import Behaviour, every, injector
from shared.testing.journal import NEVER, Journal, read_journal, served_ns


def test_every_nth_request_fails_and_no_other() -> None:
    """The third, the sixth and the ninth."""
    behaviour = Behaviour(faults=every(3, "reset"))
    assert [n for n in range(1, 11) if behaviour.fault_of(n)] == [3, 6, 9]


def test_an_injector_gives_each_fault_its_exact_share() -> None:
    """Five of each in a hundred, whichever hundred; never two faults in a row."""
    behaviour = injector({"reset": 5, "trickle": 5, "http-500": 5}, of=100)
    kinds = [behaviour.fault_of(n) for n in range(1, 301)]
    assert Counter(kinds[100:200]) == {"": 85, "reset": 5, "trickle": 5, "http-500": 5}
    assert not [pair for pair in pairwise(kinds) if all(pair)]


def test_more_faults_than_requests_are_refused() -> None:
    """Rather than injected at another rate than asked for."""
    with pytest.raises(ValueError, match="3 faults do not fit into 2 requests"):
        injector({"reset": 3}, of=2)


def test_the_journal_says_what_became_of_each_request() -> None:
    """Numbers, times and faults in the order of receiving; what was not answered says so."""
    journal = Journal(Behaviour(service_ms=1, faults=("", "hang")))
    journal.open(1_000, 1).answered_ns = 1_002_000
    journal.open(2_000, 2)
    first, second = read_journal(journal.text())
    assert first == (1, 1_000, 1_000, 1_002_000, "", 1)
    assert second == (2, 2_000, 2_000, NEVER, "hang", 2)
    assert served_ns([first, second]).tolist() == [1_001_000]


def test_a_null_server_keeps_no_lines() -> None:
    """Its memory does not grow with what it answers."""
    journal = Journal(Behaviour(keeps_journal=False))
    journal.open(1, 1)
    assert read_journal(journal.text()) == []
