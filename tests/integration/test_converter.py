"""Converters as real processes beside a real leader: what they make, whom they do not disturb, and how they die."""

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from support.api_client import LeaderProcess, leader_process
from support.converters import (
    ask,
    converter,
    converting_child,
    import_model,
    look,
    wait_for,
    wait_for_state,
)
from support.valkey import running_valkey

from follower.agent.lock_file import Holder
from follower.agent.measuring import marked
from follower.inventory.devices import Device
from leader.auth.roles import Role

LEASE_S = "4"
DEVICES = (Device("cpu-0", "core-0.lock", "core 0"),)
HOLDER = Holder(pid=7, follower="f1", work_dir="/work", incarnation="i-1")

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def leader(mongo_url: str, tmp_path: Path) -> Iterator[LeaderProcess]:
    """A leader with short leases and one packaged model."""
    with leader_process(mongo_url, tmp_path, LEASE_S=LEASE_S, POLL_S="0.5") as running:
        import_model(running, "ppocr-cls")
        yield running


@pytest.fixture
def client(leader: LeaderProcess) -> Iterator[httpx.Client]:
    """An administrator."""
    with leader.client() as opened:
        yield opened


@pytest.fixture
def token_file(leader: LeaderProcess) -> Path:
    """What lets a converter in."""
    return leader.token_dir / f"{Role.FOLLOWER}.token"


@pytest.fixture
def slots(tmp_path: Path) -> Path:
    """Where the machine's locks lie."""
    return tmp_path / "slots"


def test_a_packaged_model_is_converted_in_the_background(
    leader: LeaderProcess, client: httpx.Client, token_file: Path, tmp_path: Path, slots: Path
) -> None:
    """Queued before there is a converter; the result has its lineage. A wrong wish fails with a cause."""
    good, bad = ask(client, "ppocr-cls", "int8-calibrated"), ask(client, "ppocr-cls", "fp16", dataset="nowhere")
    assert look(client, good)["waiting"] == "no converter has taken it yet"
    with converter(leader.url, token_file, tmp_path / "w1", "w1", slots) as process:
        assert wait_for(lambda: psutil.Process(process.pid).nice()) == 19
        ended = wait_for_state(client, good, "succeeded", "failed")
        assert (ended["state"], ended["converter"], ended["attempt"]) == ("succeeded", "w1", 1), ended
        refused = wait_for_state(client, bad, "succeeded", "failed")
        assert refused["state"] == "failed"
        assert "nowhere" in refused["cause"]
        assert list((tmp_path / "w1" / "conversions").glob("conversion-*")) == []
    new = client.get(ended["links"]["result"]).json()
    lineage = new["card"]["lineage"]
    assert (new["name"], new["state"], new["sha256"]) == (
        "ppocr-cls-int8-calibrated", "ready", ended["result"]["sha256"],
    )  # fmt: skip
    assert (lineage["conversion"], lineage["source"]["name"]) == ("int8-calibrated", "ppocr-cls")
    assert lineage["check"]["accuracy_before"] == 1


def test_a_converter_that_is_killed_in_the_middle_costs_an_attempt(
    leader: LeaderProcess, client: httpx.Client, token_file: Path, tmp_path: Path, slots: Path
) -> None:
    """Its child dies with it; after the lease another converter does the work, once."""
    conversion = ask(client, "ppocr-cls", "int8")
    with converter(leader.url, token_file, tmp_path / "w1", "w1", slots) as doomed:
        child = wait_for(lambda: converting_child(doomed))
        with marked(slots, DEVICES, HOLDER):  # it stands still: this is the middle
            wait_for(lambda: child.status() == psutil.STATUS_STOPPED)
            doomed.kill()
            doomed.wait(timeout=10)
        assert psutil.wait_procs([child], timeout=10)[1] == []
    assert look(client, conversion)["state"] == "running"
    with converter(leader.url, token_file, tmp_path / "w2", "w2", slots):
        ended = wait_for_state(client, conversion, "succeeded", "failed", "cancelled")
    assert (ended["state"], ended["attempt"], ended["converter"]) == ("succeeded", 2, "w2"), ended
    found = client.get("/api/v1/models", params={"text": "ppocr-cls-int8"}).json()["items"]
    assert [(one["version"], one["state"]) for one in found] == [(1, "ready")]


def test_a_converter_takes_nothing_and_stands_still_while_its_machine_measures(
    leader: LeaderProcess, client: httpx.Client, token_file: Path, tmp_path: Path, slots: Path
) -> None:
    """It says so, keeps its lease meanwhile, and goes on afterwards."""
    first = ask(client, "ppocr-cls", "optimized")
    with converter(leader.url, token_file, tmp_path / "w1", "w1", slots) as process:
        child = wait_for(lambda: converting_child(process))
        with marked(slots, DEVICES, HOLDER):
            wait_for(lambda: child.status() == psutil.STATUS_STOPPED)
            wait_for(lambda: "stands still" in (look(client, first)["waiting"] or ""))
            assert "follower 'f1'" in look(client, first)["waiting"]
            spent_s, renewed_at = child.cpu_times().user, look(client, first)["updated_at"]
            wait_for(lambda: look(client, first)["updated_at"] != renewed_at)
            assert child.cpu_times().user == spent_s
        assert wait_for_state(client, first, "succeeded", "failed")["attempt"] == 1
        with marked(slots, DEVICES, HOLDER):
            second = ask(client, "ppocr-cls", "fp16")
            wait_for(lambda: "converter w1: this machine measures" in look(client, second)["waiting"])
            assert look(client, second)["state"] == "queued"
        assert wait_for_state(client, second, "succeeded", "failed")["state"] == "succeeded"


def test_a_converter_that_is_stopped_gives_back_what_it_has(
    leader: LeaderProcess, client: httpx.Client, token_file: Path, tmp_path: Path, slots: Path
) -> None:
    """At once, and it ends well; its child is gone."""
    conversion = ask(client, "ppocr-cls", "int8")
    with converter(leader.url, token_file, tmp_path / "w1", "w1", slots) as process:
        child = wait_for(lambda: converting_child(process))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
        assert not child.is_running()
    view = look(client, conversion)
    assert (view["state"], view["cause"]) == ("queued", "converter w1 was stopped")


def test_cancelling_ends_the_child_and_frees_the_converter(
    leader: LeaderProcess, client: httpx.Client, token_file: Path, tmp_path: Path, slots: Path
) -> None:
    """Though it stands still; the next conversion is taken."""
    cancelled = ask(client, "ppocr-cls", "int8")
    with converter(leader.url, token_file, tmp_path / "w1", "w1", slots) as process:
        child = wait_for(lambda: converting_child(process))
        with marked(slots, DEVICES, HOLDER):
            wait_for(lambda: child.status() == psutil.STATUS_STOPPED)
            view = client.delete(f"/api/v1/conversions/{cancelled}").json()
            assert (view["state"], view["cause"]) == ("cancelled", "cancelled by admin")
            assert psutil.wait_procs([child], timeout=15)[1] == []
        after = ask(client, "ppocr-cls", "optimized")
        assert wait_for_state(client, after, "succeeded", "failed")["state"] == "succeeded"
    assert client.get("/api/v1/conversions", params={"state": "cancelled"}).json()["items"][0]["id"] == cancelled


def test_a_second_converter_in_one_folder_is_refused(
    leader: LeaderProcess, token_file: Path, tmp_path: Path, slots: Path
) -> None:
    """It would end the first one's children as leftovers."""
    with converter(leader.url, token_file, tmp_path / "w", "w1", slots):
        wait_for((tmp_path / "w" / "conversions" / "converter.lock").exists)
        with converter(leader.url, token_file, tmp_path / "w", "w2", slots) as second:
            assert second.wait(timeout=30) == 1
    assert "another converter works in" in (tmp_path / "w" / "converter.log").read_text()


def test_the_bell_wakes_a_converter_long_before_its_next_look(mongo_url: str, tmp_path: Path, slots: Path) -> None:
    """Over Celery and the broker, as for followers."""
    with (
        running_valkey() as broker,
        leader_process(mongo_url, tmp_path, POLL_S="60", BROKER_URL=broker) as leader,
        leader.client() as client,
        converter(leader.url, leader.token_dir / f"{Role.FOLLOWER}.token", tmp_path / "w1", "w1", slots) as process,
    ):
        import_model(leader, "ppocr-cls")
        wait_for(lambda: psutil.Process(process.pid).num_threads() > 1)  # its bell's; it has looked once
        conversion = ask(client, "ppocr-cls", "optimized")
        assert wait_for_state(client, conversion, "succeeded", "failed", timeout_s=60)["state"] == "succeeded"
