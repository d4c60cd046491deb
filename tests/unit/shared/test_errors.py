"""The tree of errors: codes, statuses, exit codes, and what each says."""

from collections.abc import Iterator

import pytest

from shared import errors
from shared.errors import AttemptFailed, InferBenchError, InvalidJobFile, Problem
from shared.jobs.lifecycle import Cause


def leaves(kind: type[InferBenchError] = InferBenchError) -> Iterator[type[InferBenchError]]:
    """Every class of the tree that belongs to the product."""
    yield kind
    for child in kind.__subclasses__():
        yield from leaves(child)


KINDS = [kind for kind in leaves() if kind.__module__ == errors.__name__]


def made(kind: type[InferBenchError]) -> InferBenchError:
    """An instance with no more words than necessary."""
    return AttemptFailed(Cause.SERVER_DIED, "") if kind is AttemptFailed else kind()


def test_codes_are_unique_and_fit_into_an_address() -> None:
    """A code names one error for ever."""
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)
    assert all(code.replace("-", "").isalpha() and code.islower() for code in codes)


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_says_something(kind: type[InferBenchError]) -> None:
    """Even without a detail the title stands, and statuses and exit codes are those of errors."""
    error = made(kind)
    assert str(error) == error.detail == kind.title
    assert 400 <= kind.status < 600
    assert kind.exit_code in {1, 2, 4, 5}


def test_the_command_line_can_tell_the_kinds_apart() -> None:
    """Exit codes as documented: 2 invalid input, 4 authentication, 5 not found, 1 the rest."""
    assert {kind.code: kind.exit_code for kind in KINDS if kind.exit_code != 1} == {
        "invalid-input": 2,
        "invalid-job-file": 2,
        "not-available": 2,
        "invalid-model": 2,
        "too-large": 2,
        "not-found": 5,
        "unauthenticated": 4,
        "forbidden": 4,
    }


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem(message="the file is empty"), "the file is empty"),
        (Problem(message="is required", path="model"), "model: is required"),
        (Problem(message="unknown key", path="a.b", line=3, column=5), "line 3, column 5: a.b: unknown key"),
        (Problem(message="unknown key", suggestion="rate", allowed="rate, seed"), "unknown key; did you mean 'rate'?"),
        (Problem(message="0 is out of range", allowed="from 1 to 4"), "0 is out of range; allowed: from 1 to 4"),
    ],
)
def test_a_problem_reads_as_a_sentence(problem: Problem, text: str) -> None:
    """Where, which key, what is wrong, and the nearest right thing or else all of them."""
    assert str(problem) == text


def test_an_error_keeps_its_problems() -> None:
    """They are what the API and the command line show."""
    problem = Problem(message="x")
    assert InvalidJobFile("y", problems=[problem]).problems == (problem,)


def test_a_failed_attempt_carries_its_cause_and_the_end_of_its_log() -> None:
    """So that nobody has to parse the message."""
    error = AttemptFailed(Cause.SERVER_OUT_OF_MEMORY, "killed", log_tail="last words")
    assert (error.cause, str(error), error.log_tail) == (Cause.SERVER_OUT_OF_MEMORY, "killed", "last words")
