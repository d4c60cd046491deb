"""What a served model may do inside its container. Pure: from a launch request to the engine's parameters.

The model is a program of somebody else's. It gets the cores, the memory and the files of its run, and nothing more;
every limit stands in the record, because some of them cost time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from follower.serve.launch.environment import minimal_environment
from follower.serve.launch.protocol import LaunchRequest

PIDS: Final = 1024
SHM_BYTES: Final = 256 * 1024**2
SCRATCH_BYTES: Final = 256 * 1024**2
SCRATCH: Final = "/tmp"  # noqa: S108 - the container's own, in memory
MEMORY_SHARE: Final = 0.9
"""Of the host's memory, where the request sets no limit: the follower has to survive what it serves."""
ENGINE_LOG_BYTES: Final = 10 * 1024**2
OOM_SCORE: Final = 500  # as pinned's: the server goes before whoever supervises it
NOBODY: Final = 65532
"""The uid and gid of a follower's containers that itself is root; "nonroot" of the distroless images."""

WORKDIR_LABEL: Final = "inferbench.workdir"

_TIED: Final = 'exec 3<&0 </dev/null; { cat <&3 >/dev/null; kill -9 $$; } & exec "$@" 3<&-'
"""Becomes the command, with a child that kills it once standard input ends: when the follower is gone.

The command is not process 1, which no signal of its own namespace could kill; that is the engine's init.
"""


@dataclass(frozen=True, kw_only=True)
class User:
    """Whom the processes of a container run as."""

    uid: int
    gid: int

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"


def user_for(uid: int, gid: int) -> User:
    """The follower's own user, which can read what the follower made; nobody where that is root."""
    return User(uid=uid, gid=gid) if uid else User(uid=NOBODY, gid=NOBODY)


def memory_limit(request: LaunchRequest, host_bytes: int) -> int:
    """Bytes that all processes of the container together may hold, their page cache included; there is no swap."""
    return request.memory_bytes or round(host_bytes * MEMORY_SHARE)


def container_settings(request: LaunchRequest, user: User) -> dict[str, Any]:
    """The engine's parameters beside those of ``host_settings``."""
    environment = minimal_environment(request) | {"TMPDIR": SCRATCH} | dict(request.environment)
    return {
        "command": ["sh", "-c", _TIED, "sh", *request.argv],
        "entrypoint": [],  # the image's own would stand before ours
        "environment": environment,
        "labels": {**request.labels, WORKDIR_LABEL: str(request.workdir)},
        "stdin_open": True,
        "user": str(user),
        "working_dir": str(request.workdir),
    }


def host_settings(request: LaunchRequest, *, memory_bytes: int, network: str) -> dict[str, Any]:
    """The engine's limits. Files keep their paths, so one command line fits inside and outside."""
    limit = memory_limit(request, memory_bytes)
    return {
        "binds": {
            str(request.workdir): {"bind": str(request.workdir), "mode": "rw"},
            **{str(path): {"bind": str(path), "mode": "ro"} for path in request.reads},
        },
        "cap_drop": ["ALL"],
        "cpuset_cpus": ",".join(str(core) for core in request.cores) or None,
        "init": True,
        "ipc_mode": "private",
        "log_config": {"Type": "json-file", "Config": {"max-size": str(ENGINE_LOG_BYTES), "max-file": "1"}},
        "mem_limit": limit,
        "memswap_limit": limit,
        "network_mode": network,
        "oom_score_adj": OOM_SCORE,
        "pids_limit": PIDS,
        "read_only": True,
        "security_opt": ["no-new-privileges"],
        "shm_size": SHM_BYTES,
        "tmpfs": {SCRATCH: f"rw,nosuid,nodev,noexec,size={SCRATCH_BYTES},mode=1777"},
        "ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
    }


def as_facts(request: LaunchRequest, user: User, memory_bytes: int) -> Mapping[str, Any]:
    """The limits that are in force, for the record."""
    return {
        "user": str(user),
        "cores": list(request.cores),
        "memory_bytes": memory_limit(request, memory_bytes),
        "pids": PIDS,
        "shm_bytes": SHM_BYTES,
        "capabilities": [],
        "no_new_privileges": True,
        "read_only_root": True,
    }
