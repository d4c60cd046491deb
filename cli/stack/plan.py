"""What the embedded stack consists of: its children, in order, as data. Nothing here starts anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.stack.layout import DataDir
from cli.stack.readiness import LOOPBACK, BrokerAnswers, FollowerAlive, HttpAnswers, PortOpen, Readiness

FOLLOWER_NAME: Final = "local"

_SYSTEM: Final = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
)  # fmt: skip
LEADER_TUNING: Final = (
    "INFERBENCH_LEASE_S", "INFERBENCH_POLL_S", "INFERBENCH_MAX_MODEL_BYTES", "INFERBENCH_LOG_LEVEL",
)  # fmt: skip
FOLLOWER_TUNING: Final = (
    "INFERBENCH_LABELS", "INFERBENCH_PREFLIGHT", "INFERBENCH_MAX_BUSY_SHARE", "INFERBENCH_MAX_CACHE_BYTES",
    "INFERBENCH_LOG_LEVEL", "INFERBENCH_SLOT_LOCK_DIR", "INFERBENCH_INVALID_BUSY_SHARE", "INFERBENCH_ENDPOINT_HOSTS",
    "INFERBENCH_IMAGES", "INFERBENCH_ENDPOINT_CA_FILE", "INFERBENCH_ENDPOINT_SECRETS",
)  # fmt: skip
CONVERTER_TUNING: Final = ("INFERBENCH_SLOT_LOCK_DIR", "INFERBENCH_LOG_LEVEL")


@dataclass(frozen=True, kw_only=True)
class Programs:
    """The programs of this environment."""

    python: str
    database: str  # the nx-27017 script
    broker: str  # the valkey-server binary


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Loopback ports, all known before anything starts."""

    leader: int
    database: int
    broker: int


@dataclass(frozen=True, kw_only=True)
class ChildPlan:
    """One process: how it starts, when it is ready, how long it may take to stop."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Readiness
    ready_within_s: float
    stop_within_s: float


@dataclass(frozen=True, kw_only=True)
class StackPlan:
    """The children in the order in which they start; they stop in the reverse order."""

    data: DataDir
    url: str
    broker_config: str
    children: tuple[ChildPlan, ...]


def plan_stack(
    data: DataDir, ports: Ports, programs: Programs, broker_password: str, environment: Mapping[str, str]
) -> StackPlan:
    """Database, broker, leader, follower, converter, all on loopback and all inside the data folder.

    ``environment`` is the caller's; a child sees only the few names of it that are listed above.
    """
    system = _chosen(environment, _SYSTEM) | {"TMPDIR": str(data.temporary), "PYTHONSAFEPATH": "1"}
    leader = _chosen(environment, LEADER_TUNING)
    follower = _chosen(environment, FOLLOWER_TUNING)
    converter = _chosen(environment, CONVERTER_TUNING)
    return StackPlan(
        data=data,
        url=f"http://{LOOPBACK}:{ports.leader}",
        broker_config=_broker_config(data, ports, broker_password),
        children=(
            _database(data, ports, programs, system),
            _broker(data, ports, programs, broker_password, system),
            _leader(data, ports, programs, broker_password, system | leader),
            _follower(data, ports, programs, system | follower),
            _converter(data, ports, programs, system | converter),
        ),
    )


def _chosen(environment: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: environment[name] for name in names if name in environment}


def _database(data: DataDir, ports: Ports, programs: Programs, system: Mapping[str, str]) -> ChildPlan:
    """NX-27017 has no authentication: loopback and a random port only. Its own log goes where its output goes."""
    argv = (
        programs.database,
        "--host", LOOPBACK,
        "-p", str(ports.database),
        "--data-dir", str(data.database),
        "--pid-file", str(data.database_pid),
        "--log-file", "/dev/null",
    )  # fmt: skip
    return ChildPlan(
        name="database",
        argv=argv,
        environment=system,
        ready=PortOpen(ports.database),
        ready_within_s=30,
        stop_within_s=5,
    )


def _broker(data: DataDir, ports: Ports, programs: Programs, password: str, system: Mapping[str, str]) -> ChildPlan:
    return ChildPlan(
        name="broker",
        argv=(programs.broker, str(data.broker_config)),
        environment=system,
        ready=BrokerAnswers(ports.broker, password),
        ready_within_s=15,
        stop_within_s=5,
    )


def _broker_config(data: DataDir, ports: Ports, password: str) -> str:
    """In a 0600 file, because a command line is for everybody to read."""
    return (
        f"bind {LOOPBACK}\n"
        f"port {ports.broker}\n"
        f"requirepass {password}\n"
        f"dir {_quoted(data.broker)}\n"
        "appendonly yes\n"
        'save ""\n'
        "daemonize no\n"
    )


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _leader(data: DataDir, ports: Ports, programs: Programs, password: str, inherited: Mapping[str, str]) -> ChildPlan:
    own = {
        "INFERBENCH_MONGO_URL": f"mongodb://{LOOPBACK}:{ports.database}/inferbench",
        "INFERBENCH_BROKER_URL": f"redis://:{password}@{LOOPBACK}:{ports.broker}/0",
        "INFERBENCH_HOST": LOOPBACK,
        "INFERBENCH_PORT": str(ports.leader),
        "INFERBENCH_TOKEN_DIR": str(data.root),
    }
    return ChildPlan(
        name="leader",
        argv=(programs.python, "-m", "leader"),
        environment={**inherited, **own},
        ready=HttpAnswers(ports.leader, "/readyz"),
        ready_within_s=60,
        stop_within_s=10,
    )


def _follower(data: DataDir, ports: Ports, programs: Programs, inherited: Mapping[str, str]) -> ChildPlan:
    """It gets the longest time to stop: it ends its attempt and takes the serving platform down first."""
    return ChildPlan(
        name="follower",
        argv=(programs.python, "-m", "follower"),
        environment={**inherited, **_of_leader(data, ports)},
        ready=FollowerAlive(ports.leader, data.admin_token, FOLLOWER_NAME),
        ready_within_s=60,
        stop_within_s=15,
    )


def _converter(data: DataDir, ports: Ports, programs: Programs, inherited: Mapping[str, str]) -> ChildPlan:
    """It speaks for the follower's machine, and nobody waits for it: its work lies in the leader's queue."""
    return ChildPlan(
        name="converter",
        argv=(programs.python, "-m", "follower.convert.worker"),
        environment={**inherited, **_of_leader(data, ports)},
        ready=HttpAnswers(ports.leader, "/readyz"),
        ready_within_s=60,
        stop_within_s=10,
    )


def _of_leader(data: DataDir, ports: Ports) -> dict[str, str]:
    return {
        "INFERBENCH_LEADER_URL": f"http://{LOOPBACK}:{ports.leader}",
        "INFERBENCH_TOKEN_FILE": str(data.follower_token),
        "INFERBENCH_FOLLOWER_NAME": FOLLOWER_NAME,
        "INFERBENCH_WORK_DIR": str(data.work),
    }
