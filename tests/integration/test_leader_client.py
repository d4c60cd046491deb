"""The follower's client: HTTP's answers as the tree of errors, and bytes both ways."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from support.assignments import JOB, assignment
from support.fake_leader import TOKEN, FakeLeader, fake_leader

from follower.agent.leader import LeaderClient
from shared.errors import NotFound, StaleFence, Unauthenticated, Unavailable
from shared.wire.assignment import Claim, LeaseCall

RUN = f"{JOB}.0000"
CALL = LeaseCall(incarnation="i", attempt=1, fence=1)


@pytest.fixture
def leader() -> Iterator[FakeLeader]:
    """A leader on loopback."""
    with fake_leader() as running:
        yield running


@pytest.fixture
def client(leader: FakeLeader) -> Iterator[LeaderClient]:
    """Its follower."""
    talking = LeaderClient(leader.url, SecretStr(TOKEN), "follower-1", timeout_s=1.0)
    yield talking
    talking.close()


def test_no_work_is_none(client: LeaderClient) -> None:
    """204 to a claim."""
    assert client.claim(Claim(incarnation="i", slot="cpu")) is None


def test_an_assignment_comes_back_as_it_was_sent(leader: FakeLeader, client: LeaderClient) -> None:
    """Durations, models and all."""
    leader.submit(assignment())
    assert client.claim(Claim(incarnation="i", slot="cpu")) == assignment()


def test_a_leader_whose_machine_is_gone_is_noticed_while_an_answer_is_waited_for(client: LeaderClient) -> None:
    """The kernel probes the connection from five seconds of silence on: its own table shows the timer (proc(5))."""
    client.claim(Claim(incarnation="i", slot="cpu"))
    port = int(str(client._http.base_url.port))
    timers = [line.split()[5] for line in Path("/proc/net/tcp").read_text().splitlines() if f":{port:04X} 01" in line]
    kinds = [timer.partition(":") for timer in timers]
    keepalive = [int(ticks, 16) for kind, _, ticks in kinds if kind == "02"]
    assert len(keepalive) == 1
    assert 0 < keepalive[0] <= 5 * os.sysconf("SC_CLK_TCK")


def test_a_stale_fence_is_told_apart(leader: FakeLeader, client: LeaderClient) -> None:
    """By its problem code."""
    leader.fences[RUN] = 2
    with pytest.raises(StaleFence):
        client.renew(RUN, CALL)


def test_a_leader_that_breaks_off_is_unavailable(leader: FakeLeader, client: LeaderClient) -> None:
    """Trying again may help."""
    leader.is_down = True
    with pytest.raises(Unavailable):
        client.renew(RUN, CALL)


def test_an_answer_that_takes_too_long_is_none(leader: FakeLeader, client: LeaderClient) -> None:
    """A renewal is given up in time to ask again."""
    leader.fences[RUN] = 1
    leader.slow_s["lease"] = 1.0
    with pytest.raises(Unavailable):
        client.renew(RUN, CALL, timeout_s=0.1)


def test_a_wrong_token_is_told_apart(leader: FakeLeader) -> None:
    """Nothing that time heals."""
    stranger = LeaderClient(leader.url, SecretStr("wrong"), "follower-1")
    with pytest.raises(Unauthenticated):
        stranger.claim(Claim(incarnation="i", slot="cpu"))
    stranger.close()


def test_files_are_streamed_to_the_leader_and_blobs_from_it(
    leader: FakeLeader, client: LeaderClient, tmp_path: Path
) -> None:
    """Byte for byte, more than one piece."""
    content = bytes(range(256)) * 10_000
    (tmp_path / "samples").write_bytes(content)
    leader.fences[RUN] = 1
    digest = hashlib.sha256(content).hexdigest()
    artifact = client.put_artifact(RUN, "samples", tmp_path / "samples", sha256=digest, attempt=1, fence=1)
    assert (artifact.sha256, artifact.size_bytes) == (digest, len(content))
    leader.blobs[digest] = content
    with client.blob(digest) as pieces:
        assert b"".join(pieces) == content


def test_a_missing_blob_is_not_found(client: LeaderClient) -> None:
    """Before a byte of it is used."""
    with pytest.raises(NotFound), client.blob("0" * 64):
        pass


def test_nobody_at_the_address_is_unavailable() -> None:
    """No error of the HTTP library crosses this border."""
    nobody = LeaderClient("http://127.0.0.1:9", SecretStr("x"), "follower-1")
    with pytest.raises(Unavailable, match="does not answer"):
        nobody.claim(Claim(incarnation="i", slot="cpu"))
    nobody.close()
