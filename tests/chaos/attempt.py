"""Stands in for ``python -m follower.attempt``: a real process with a child, and a script in the run's model seed.

Run as ``python -I -S attempt.py STAMPS LOCKS RECORD DIRECTORY``: only the standard library, so that it starts in no
time. It tells of itself in the file STAMPS (see ``chaos.occupancy``), one line for one write, so that a line is whole
whatever is killed. It takes the device's lock in the folder LOCKS, and its child holds it too: the kernel drops it
when both are gone, and never sooner. Whoever finds it taken has found two attempts on one device.
"""

import fcntl
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, NoReturn

DEEDS = ("succeed", "invalid", "fail", "crash", "poison")
STEP_S = 0.1
LONGEST_LIFE_S = 900.0
"""Of a child that nobody ends: the check for orphans comes long before."""
POISON_ACTS_AFTER_S = 0.2
_MS_PER_SEED = 1_000_000


def seed_of(deed: str, duration_s: float) -> int:
    """The script as the seed of a generated model: what a job file carries to the attempt unchanged."""
    return DEEDS.index(deed) * _MS_PER_SEED + round(duration_s * 1000)


def script_of(seed: int) -> tuple[str, float]:
    """What to do and for how many seconds."""
    deed, duration_ms = divmod(seed, _MS_PER_SEED)
    return DEEDS[deed], duration_ms / 1000


class Stamps:
    """Lines in the occupancy log, each with the clock that leases are counted on."""

    def __init__(self, path: Path, order: dict[str, Any]) -> None:
        assignment = order["assignment"]
        self.device = f"{order['follower']}/{order['slot']['name']}"
        self._who = f"{self.device} {assignment['run_id']} {assignment['attempt']} {assignment['fence']} {os.getpid()}"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, kind: str) -> None:
        """One whole line."""
        line = f"{time.clock_gettime_ns(time.CLOCK_BOOTTIME)} {kind} {self._who} {os.getpid()}\n"
        os.write(self._file, line.encode())


def occupy(locks: Path, stamps: Stamps) -> IO[bytes]:
    """Take the device; the lock must be kept open. As long as it is another's, that is written down again and again."""
    stamps.note("begin")
    lock = (locks / stamps.device.replace("/", ".")).open("wb")
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stamps.note("contended")
            time.sleep(STEP_S)
        else:
            stamps.note("hold")
            return lock


def start_child(stamps: Stamps) -> int:
    """A process of a session of its own that outlives us unless somebody ends it, as a server might."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    for _ in range(round(LONGEST_LIFE_S / STEP_S)):
        stamps.note("child")
        time.sleep(STEP_S)
    os._exit(1)


def tell(n: int, kind: str) -> None:
    """One line of the attempt's story."""
    event = {"n": n, "at": datetime.now(UTC).isoformat(), "kind": kind, "message": "scripted"}
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def kill_the_follower() -> None:
    """SIGKILL for the agent, and through the kernel for us; for nobody else, should the agent be gone already."""
    parent = os.getppid()
    command = Path(f"/proc/{parent}/cmdline").read_bytes()
    if b"chaos/agent.py" in command:
        os.kill(parent, signal.SIGKILL)


def outcome_of(deed: str, order: dict[str, Any], record: Path) -> dict[str, Any]:
    """A whole record of this attempt, or a failure of the run's own."""
    if deed == "fail":
        return {"kind": "failure", "cause": "server-died", "detail": "scripted", "log_tail": ""}
    assignment = order["assignment"]
    own = {name: assignment[name] for name in ("run_id", "job_id", "attempt")}
    measured = json.loads(record.read_text())
    measured |= own | {"follower": order["follower"], "slot": order["slot"]["name"]}
    if deed == "invalid":
        measured["verdict"] |= {"kind": "invalid", "reasons": ["scripted"]}
    return {"kind": "success", "record": measured}


def live(stamps: Stamps, until_s: float) -> None:
    """Be there, and say so."""
    while (left_s := until_s - time.monotonic()) > 0:
        stamps.note("alive")
        time.sleep(min(STEP_S, left_s))


def main(stamps_path: Path, locks: Path, record: Path, root: Path) -> NoReturn:
    """Act out the script of the order in ``root``."""
    order = json.loads((root / "assignment.json").read_text())
    deed, duration_s = script_of(order["assignment"]["spec"]["model"]["generate"]["seed"])
    stamps = Stamps(stamps_path, order)
    began_s = time.monotonic()
    lock = occupy(locks, stamps)
    child = start_child(stamps)
    tell(1, "measuring")
    if deed == "poison":
        live(stamps, began_s + POISON_ACTS_AFTER_S)
        kill_the_follower()
    live(stamps, began_s + duration_s)
    if deed == "crash":
        os._exit(9)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    tell(2, "collecting")
    (root / "samples.parquet").write_bytes(root.name.encode())
    (root / "outcome.partial").write_text(json.dumps(outcome_of(deed, order, record)))
    stamps.note("end")
    (root / "outcome.partial").rename(root / "outcome.json")
    lock.close()
    sys.exit(0)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
