"""Handing a result over: repeated to the byte, refused with grace, complete without its files where it must be."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from support.assignments import JOB, assignment, inventory, slot
from support.fake_leader import TOKEN, FakeLeader, fake_leader
from support.records import record

from follower.agent.delivery import deliver, read_outcome
from follower.agent.events import AttemptKey
from follower.agent.leader import LeaderClient
from follower.attempt.order import AttemptDir, AttemptOrder
from shared.errors import Unavailable
from shared.jobs.lifecycle import Cause
from shared.wire.assignment import Failure, Success

KEY = AttemptKey(f"{JOB}.0000", 1, 1)
DIED = Failure(cause=Cause.SERVER_DIED, detail="the server exited with status 3")


@pytest.fixture
def leader() -> Iterator[FakeLeader]:
    """A leader that has given the run out."""
    with fake_leader() as running:
        running.fences[KEY.run_id] = KEY.fence
        yield running


@pytest.fixture
def client(leader: FakeLeader) -> Iterator[LeaderClient]:
    """Its follower."""
    talking = LeaderClient(leader.url, SecretStr(TOKEN), "follower-1")
    yield talking
    talking.close()


@pytest.fixture
def directory(tmp_path: Path) -> AttemptDir:
    """What an attempt of incarnation-1 left behind: an order, samples, two logs."""
    found = AttemptDir(tmp_path / "attempt")
    found.server.mkdir(parents=True)
    order = AttemptOrder(
        follower="follower-1",
        incarnation="incarnation-1",
        slot=slot(),
        inventory=inventory(),
        assignment=assignment(),
        leader_url="http://127.0.0.1:9",
        token_file=tmp_path / "token",
        cache_dir=tmp_path / "cache",
        max_cache_bytes=1,
        preflight="off",
        max_busy_share=1.0,
        invalid_busy_share=1.0,
    )
    found.order.write_text(order.model_dump_json())
    found.outcome.write_text(DIED.model_dump_json())
    found.samples.write_bytes(b"samples")
    found.log.write_text("of the attempt\n")
    (found.server / "server.log").write_text("of the server\n")
    return found


def test_everything_arrives_under_the_name_that_the_attempt_was_given_to(
    leader: FakeLeader, client: LeaderClient, directory: AttemptDir
) -> None:
    """Even when a later incarnation delivers it."""
    assert deliver(client, KEY, directory, None, "incarnation-2").accepted
    (_, result, _) = leader.results[0]
    assert result.incarnation == "incarnation-1"
    assert result.outcome == DIED
    assert {artifact.kind for artifact in result.artifacts} == {"samples", "log"}
    log = leader.artifacts[KEY.run_id]["log"].decode()
    assert "==> attempt.log <==\nof the attempt" in log
    assert "==> server/server.log <==\nof the server" in log


def test_a_result_whose_answer_was_lost_is_repeated_to_the_byte(
    leader: FakeLeader, client: LeaderClient, directory: AttemptDir
) -> None:
    """The leader knows a repeat by its digest; by then the run has ended and takes no files."""
    leader.lost_answers.append("result")
    with pytest.raises(Unavailable):
        deliver(client, KEY, directory, None, "incarnation-1")
    leader.fences[KEY.run_id] += 1
    deliver(client, KEY, directory, None, "incarnation-1")
    first, second = (result for _, result, _ in leader.results)
    assert first.model_dump_json() == second.model_dump_json()
    assert leader.calls.count("artifacts") == 2


def test_a_superseded_result_goes_in_as_evidence_without_its_files(
    leader: FakeLeader, client: LeaderClient, directory: AttemptDir
) -> None:
    """A stale fence costs the files, not the outcome."""
    leader.cancel(KEY.run_id)
    assert not deliver(client, KEY, directory, None, "incarnation-1").accepted
    (_, result, _) = leader.results[0]
    assert result.artifacts == ()


def test_a_record_that_the_leader_refuses_becomes_a_failure_that_says_so(
    leader: FakeLeader, client: LeaderClient, directory: AttemptDir
) -> None:
    """Otherwise the run would hang until its lease ends, and nobody would know why."""
    leader.refuses_records = True
    directory.outcome.write_text(Success(record=record()).model_dump_json())
    deliver(client, KEY, directory, None, "incarnation-1")
    (_, result, _) = leader.results[0]
    assert isinstance(result.outcome, Failure)
    assert result.outcome.cause is Cause.FOLLOWER_ERROR
    assert "refused the record" in result.outcome.detail


def test_an_attempt_without_a_directory_can_still_be_told_of(
    leader: FakeLeader, client: LeaderClient, tmp_path: Path
) -> None:
    """A full disk kept its order from being written."""
    full = Failure(cause=Cause.DISK_FULL, detail="no space for the attempt")
    assert deliver(client, KEY, AttemptDir(tmp_path / "never-made"), full, "incarnation-1").accepted
    (_, result, _) = leader.results[0]
    assert (result.incarnation, result.outcome) == ("incarnation-1", full)


@pytest.mark.parametrize(
    ("content", "cause"), [(None, Cause.FOLLOWER_DIED), ("", Cause.FOLLOWER_ERROR), ("{}", Cause.FOLLOWER_ERROR)]
)
def test_an_outcome_that_is_not_there_or_torn_is_a_failure(tmp_path: Path, content: str | None, cause: Cause) -> None:
    """F26: nothing is guessed from half a file."""
    directory = AttemptDir(tmp_path)
    if content is not None:
        directory.outcome.write_text(content)
    outcome = read_outcome(directory)
    assert isinstance(outcome, Failure)
    assert outcome.cause is cause


def test_the_agents_last_word_stands_where_the_attempt_has_none(tmp_path: Path) -> None:
    """Why it was ended is still known at the next start; what the attempt managed to say goes before it."""
    directory = AttemptDir(tmp_path)
    directory.last_word.write_text(Failure(cause=Cause.FOLLOWER_STOPPED, detail="stopped").model_dump_json())
    assert read_outcome(directory) == Failure(cause=Cause.FOLLOWER_STOPPED, detail="stopped")
    directory.outcome.write_text(Failure(cause=Cause.SERVER_DIED, detail="own").model_dump_json())
    assert read_outcome(directory) == Failure(cause=Cause.SERVER_DIED, detail="own")
