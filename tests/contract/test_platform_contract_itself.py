"""The platform contract held against a server that breaks one obligation: the suite has to notice each breach."""

from collections.abc import Callable
from pathlib import Path

import pytest
from contract import test_platform_contract as contract
from support.scripted_engine import BREACHES
from support.scripted_platform import ScriptedPlatform, script
from support.serving import ready, serve_request

from follower.serve.protocol import Service

PLATFORM = ScriptedPlatform()
CASE = contract.Case(platform="scripted", make=script)

Obligation = Callable[[contract.Serve, Path], None]


def running(check: Callable[[Service], None]) -> Obligation:
    """A test of the contract that takes a service that is ready."""

    def held(serve: contract.Serve, _folder: Path) -> None:
        with ready(PLATFORM, serve("run")) as service:
            check(service)

    return held


def answers(serve: contract.Serve, folder: Path) -> None:
    """The one that takes a folder beside it."""
    running(lambda service: contract.test_answers_equal_those_of_the_model_run_in_process(service, folder))(
        serve, folder
    )


NOTICED: dict[str, Obligation] = {
    "wrong answers": answers,
    "mixed-up answers": running(contract.test_concurrent_clients_each_get_their_own_answers),
    "other metadata": running(contract.test_metadata_comes_from_the_running_service),
    "counts twice": running(contract.test_a_service_tells_what_it_really_is),
    "leaves a file": lambda *given: contract.test_stop_leaves_nothing_and_may_be_repeated(PLATFORM, *given),
    "wrong stamps": lambda serve, _folder: contract.test_a_cold_start_goes_through_its_phases_in_order(
        CASE, PLATFORM, serve
    ),
}
"""Breach -> the test of the contract that has to fail."""


def held(obligation: str, breach: str, folder: Path) -> None:
    """The contract's test for an obligation, on a server that commits this breach."""
    model = script(folder, breach)
    NOTICED[obligation](lambda name: serve_request(model, folder / name), folder)


def test_every_breach_that_the_engine_can_commit_is_looked_for() -> None:
    """None is scripted in vain."""
    assert set(BREACHES) == NOTICED.keys()


@pytest.mark.parametrize("obligation", BREACHES)
def test_a_broken_obligation_fails_the_contract_and_nothing_else_does(obligation: str, tmp_path: Path) -> None:
    """The same server passes the same test when it breaks none."""
    broken, kept = tmp_path / "broken", tmp_path / "kept"
    for folder in (broken, kept):
        folder.mkdir()
    held(obligation, "", kept)
    with pytest.raises(AssertionError):
        held(obligation, obligation, broken)
