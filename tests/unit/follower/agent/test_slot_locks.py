"""Locks on devices: who gets them, who is refused and how, and what may not lie in their place."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from follower.agent.lock_file import Busy, Holder, lock_file
from follower.agent.slot_locks import LOOK_EVERY_S, SlotLocks
from follower.inventory.devices import Device, devices_of
from shared.errors import Conflict, InvalidInput
from shared.wire.identity import Gpu, Slot

FIRST = Holder(pid=4711, follower="first", work_dir="/work/first", incarnation="i-1")
SECOND = Holder(pid=4712, follower="second", work_dir="/work/second", incarnation="i-2")


def cores(*numbers: int, slot: str = "cpu") -> tuple[Device, ...]:
    """The devices of a slot that serves on these cores."""
    return devices_of(Slot(name=slot, device="cpu", server_cores=numbers, client_cores=(0,)), ())


def gpus(*indices: int) -> tuple[Device, ...]:
    """The devices of a slot with these GPUs, whose UUIDs are GPU-a, GPU-b, ..."""
    there = [Gpu(index=n, name="x", memory_bytes=1, driver="1", uuid=f"GPU-{'abcd'[n]}") for n in range(4)]
    return devices_of(Slot(name="cuda", device="cuda", server_cores=(0, 1), client_cores=(2,), gpus=indices), there)


class Waiting:
    """A sleep that takes no time, is counted, and during which something may happen."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.slept_s = 0.0
        self._then = then

    def __call__(self, seconds: float) -> None:
        self.slept_s += seconds
        self._then()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the locks will lie; not made yet."""
    return tmp_path / "slots"


@pytest.fixture
def agent(place: Path) -> Iterator[Callable[..., SlotLocks]]:
    """Makes agents that find each other's locks, and ends them all."""
    made: list[SlotLocks] = []

    def make(sleep: Callable[[float], None] | None = None) -> SlotLocks:
        made.append(SlotLocks(place, sleep=sleep or Waiting()))
        return made[-1]

    yield make
    for locks in made:
        locks.release()


@pytest.mark.parametrize(
    ("ours", "theirs", "together"),
    [
        (cores(1), cores(1), False),
        (cores(1, 2), cores(2, 3), False),
        (cores(1, 2, 3), cores(2), False),
        (cores(1, 2), cores(3), True),
        (gpus(0), gpus(0), False),
        (gpus(0, 1), gpus(1, 2), False),
        (gpus(0), gpus(1), True),
        (gpus(0), cores(0, 1), True),
    ],
)
def test_two_agents_have_no_device_in_common(
    agent: Callable[..., SlotLocks], ours: tuple[Device, ...], theirs: tuple[Device, ...], *, together: bool
) -> None:
    """Overlapping sets exclude each other, not only equal ones; a slot with a GPU is known by its GPU."""
    agent().take(ours, FIRST)
    if together:
        agent().take(theirs, SECOND)
        return
    with pytest.raises(Conflict):
        agent().take(theirs, SECOND)


def test_the_refusal_says_who_has_what_and_what_to_do(agent: Callable[..., SlotLocks], place: Path) -> None:
    """Slot, device, holder and setting."""
    agent().take(cores(1, 2, 3), FIRST)
    with pytest.raises(Conflict) as caught:
        agent().take(cores(2, 3, 4, slot="cpu-b"), SECOND)
    said = caught.value.detail
    assert "slot 'cpu-b' needs core 2, core 3, which another has: follower 'first', pid 4711, in /work/first" in said
    assert "core 4" not in said
    assert f"INFERBENCH_SLOT_LOCK_DIR (now {place})" in said


def test_a_refused_agent_holds_nothing(agent: Callable[..., SlotLocks]) -> None:
    """Not even what was free of what it wanted."""
    agent().take(cores(2), FIRST)
    with pytest.raises(Conflict):
        agent().take(cores(1, 2, 3), SECOND)
    agent().take(cores(1, 3), SECOND)


def test_a_device_that_is_let_go_of_in_time_is_had(agent: Callable[..., SlotLocks]) -> None:
    """As that of an agent that was killed just now; the wait is no longer than it must be."""
    first = agent()
    first.take(cores(1, 2), FIRST)
    looks = iter(range(100))
    waiting = Waiting(lambda: first.release() if next(looks) == 3 else None)
    agent(waiting).take(cores(1, 2), SECOND, wait_s=1.0)
    assert waiting.slept_s == pytest.approx(4 * LOOK_EVERY_S)


def test_the_wait_has_an_end(agent: Callable[..., SlotLocks]) -> None:
    """After the time that was given."""
    agent().take(cores(1), FIRST)
    waiting = Waiting()
    with pytest.raises(Conflict):
        agent(waiting).take(cores(1), SECOND, wait_s=2.0)
    assert waiting.slept_s == pytest.approx(2.0)


def test_slots_of_one_agent_may_share_a_core(agent: Callable[..., SlotLocks]) -> None:
    """It excludes others, not itself; both slots' attempts hold the one lock."""
    locks = agent()
    locks.take((*cores(1, 2), *cores(2, 3, slot="b")), FIRST)
    assert len(locks.inherited(cores(1, 2))) == 2
    assert set(locks.inherited(cores(1, 2))) & set(locks.inherited(cores(2, 3, slot="b")))


def test_the_holder_is_written_into_the_file(agent: Callable[..., SlotLocks], place: Path) -> None:
    """The last one only, however long the one before had written."""
    first = agent()
    first.take(cores(1), Holder(pid=1, follower="f" * 60, work_dir="/" + "d" * 900, incarnation="i"))
    first.release()
    agent().take(cores(1), SECOND)
    assert json.loads((place / "core-1.lock").read_text()) == {
        "pid": 4712, "follower": "second", "work_dir": "/work/second", "incarnation": "i-2",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "does not say who it is"),
        (b"[1]", "does not say who it is"),
        (b"\xff\xfe{", "does not say who it is"),
        (json.dumps({"pid": "\x1b[2J", "follower": "a\nb", "work_dir": "/" + "x" * 9000}).encode(), "does not say"),
        (json.dumps({"pid": "\x1b[2J", "follower": "a\nb" * 50}).encode(), "pid ?[2J"),
    ],
)
def test_what_others_wrote_cannot_break_the_message(
    agent: Callable[..., SlotLocks], place: Path, content: bytes, said: str
) -> None:
    """Everybody may write into the file: nothing of it is believed, and nothing unprintable is shown."""
    agent().take(cores(1), FIRST)
    (place / "core-1.lock").write_bytes(content)
    with pytest.raises(Conflict) as caught:
        agent().take(cores(1), SECOND)
    assert said in caught.value.detail
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) < 1500


def test_every_user_may_lock_and_none_may_remove(agent: Callable[..., SlotLocks], place: Path) -> None:
    """Whatever the umask: a sticky directory for all, files for all to write."""
    before = os.umask(0o077)
    try:
        agent().take(cores(1), FIRST)
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.stat().st_mode) == 0o1777
    assert stat.S_IMODE((place / "core-1.lock").stat().st_mode) == 0o666


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o722])
def test_a_directory_whose_files_others_can_replace_is_refused(
    agent: Callable[..., SlotLocks], place: Path, mode: int
) -> None:
    """A lock on a file that is swapped locks nothing; sticky is what makes a shared directory safe."""
    place.mkdir()
    place.chmod(mode)
    with pytest.raises(InvalidInput, match="chmod 1777"):
        agent().take(cores(1), FIRST)
    place.chmod(0o1000 | mode)
    agent().take(cores(1), FIRST)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_strangers_directory_is_refused_unless_it_is_sticky(agent: Callable[..., SlotLocks], place: Path) -> None:
    """Its owner could swap the files."""
    place.mkdir(0o755)
    os.chown(place, 12345, 12345)
    with pytest.raises(InvalidInput, match="owner 12345"):
        agent().take(cores(1), FIRST)
    place.chmod(0o1777)
    agent().take(cores(1), FIRST)


def _link(path: Path) -> None:
    (path.parent.parent / "precious").write_text("precious")
    path.symlink_to(path.parent.parent / "precious")


def _second_name(path: Path) -> None:
    (path.parent.parent / "precious").write_text("precious")
    path.hardlink_to(path.parent.parent / "precious")


@pytest.mark.parametrize("put", [_link, _second_name, Path.mkdir, os.mkfifo], ids=["link", "name", "directory", "pipe"])
def test_only_a_plain_file_is_written(agent: Callable[..., SlotLocks], place: Path, put: Callable[[Path], Any]) -> None:
    """Whatever somebody put at the lock's place: it is refused with its path, at once, and not touched."""
    place.mkdir()
    place.chmod(0o1777)
    put(place / "core-1.lock")
    with pytest.raises(InvalidInput, match=r"core-1\.lock is"):
        agent().take(cores(1), FIRST)
    precious = place.parent / "precious"
    assert not precious.exists() or precious.read_text() == "precious"


@pytest.mark.parametrize("put", [Path.touch, lambda path: path.symlink_to("/tmp")], ids=["file", "link"])  # noqa: S108
def test_the_directory_is_a_directory(
    agent: Callable[..., SlotLocks], place: Path, put: Callable[[Path], object]
) -> None:
    """No file, and no link that somebody could turn round."""
    put(place)
    with pytest.raises(InvalidInput, match=str(place)):
        agent().take(cores(1), FIRST)


def test_a_lock_whose_file_was_removed_is_taken_anew(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between opening and locking, by something that cleans up: a lock on a file without a name is worth nothing."""
    opened = os.open

    def open_and_lose(path: Any, *arguments: Any, **options: Any) -> int:
        file = opened(path, *arguments, **options)
        if path == "core-1.lock":
            (place / "core-1.lock").unlink()
        return file

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", open_and_lose)
        with pytest.raises(Busy, match="removed"):
            lock_file(place, "core-1.lock", FIRST)
    os.close(lock_file(place, "core-1.lock", FIRST))


HEIR = "import sys; sys.stdin.read()"


def test_whoever_inherits_the_lock_holds_it(agent: Callable[..., SlotLocks]) -> None:
    """The agent's end does not free the device; that of the attempt does. Others that it starts inherit nothing."""
    first = agent()
    first.take(cores(1, 2), FIRST)
    heir = subprocess.Popen([sys.executable, "-c", HEIR], stdin=subprocess.PIPE, pass_fds=first.inherited(cores(1)))
    stranger = subprocess.Popen([sys.executable, "-c", HEIR], stdin=subprocess.PIPE)
    try:
        first.release()
        agent().take(cores(2), SECOND)
        with pytest.raises(Conflict, match="needs core 1, which"):
            agent().take(cores(1), SECOND)
        heir.communicate(b"")
        agent().take(cores(1), SECOND)
    finally:
        for process in (heir, stranger):
            process.kill()
            process.communicate()


def test_of_many_agents_that_start_at_once_one_gets_the_devices(place: Path) -> None:
    """Real processes, the directory not even made: one holds all three cores, the others are told who."""
    source = (
        "import os, sys; from pathlib import Path\n"
        "from follower.agent.slot_locks import SlotLocks; from follower.agent.lock_file import Holder\n"
        "from follower.inventory.devices import Device; from shared.errors import Conflict\n"
        "devices = [Device('cpu', f'core-{n}.lock', f'core {n}') for n in (1, 2, 3)]\n"
        "holder = Holder(pid=os.getpid(), follower='f', work_dir='/', incarnation='i')\n"
        "sys.stdin.readline()\n"
        "try: SlotLocks(Path(sys.argv[1])).take(devices, holder, wait_s=0.2); print('mine', flush=True)\n"
        "except Conflict as error: print(error.detail, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", source, str(place)]
    rivals = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    try:
        for rival in rivals:
            assert rival.stdin is not None
            rival.stdin.write("\n")
            rival.stdin.flush()
        said = [rival.stdout.readline() for rival in rivals if rival.stdout is not None]
        winners = [rival.pid for rival, words in zip(rivals, said, strict=True) if words == "mine\n"]
        assert len(winners) == 1, said
        assert sum(f"pid {winners[0]}" in words for words in said) == 5, said
    finally:
        for rival in rivals:
            rival.kill()
            rival.communicate()
