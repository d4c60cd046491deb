"""The follower's settings: the one place of this room that reads the environment."""

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.errors import InvalidInput, Problem
from shared.jobs.endpoint_address import check_entry
from shared.jobs.formats import PlatformName
from shared.jobs.spec import NAME_PATTERN

PREFIX: Final = "INFERBENCH_"
ATTEMPT_MARK: Final = PREFIX + "ATTEMPT_DIR"
"""Carried by every process of an attempt; by it, and by nothing else, leftovers are recognised."""
SLOT_LOCK_DIR: Final = Path("/tmp/inferbench-slots")  # noqa: S108 - shared on purpose, and guarded by its users
"""One for the machine: not below TMPDIR, which differs from user to user and from stack to stack."""


def _host_name() -> str:
    """This host's name as a follower's name: lower case, odd characters as dashes."""
    return re.sub(r"[^a-z0-9._-]+", "-", socket.gethostname().lower()).strip("-._")[:64] or "follower"


class FollowerSettings(BaseSettings):
    """How one follower runs. Built once, in main, and never changed."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    leader_url: str = Field("http://127.0.0.1:8080", description="Where the leader answers.")
    token_file: Path = Field(Path(".inferbench/follower.token"), description="File with the follower token.")
    follower_name: str = Field(default_factory=_host_name, pattern=NAME_PATTERN, description="Name at the leader.")
    work_dir: Path = Field(Path(".inferbench/follower"), description="Attempts, results not yet sent, fetched models.")
    slot_lock_dir: Path = Field(
        SLOT_LOCK_DIR,
        description="Where the locks on this machine's devices lie; only agents of one directory exclude each other.",
    )
    labels: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict, description="What jobs may require of this follower: zone=lab-2,rack=7."
    )
    preflight: Literal["mark", "refuse", "off"] = Field("mark", description="What a busy host means for a run.")
    max_busy_share: float = Field(0.25, gt=0, le=1, description="Use of the slot's cores by others that is too much.")
    invalid_busy_share: float = Field(
        0.6, gt=0, le=1, description="Use of the slot's cores by others, in the window, that makes a run invalid."
    )
    images: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict,
        description="Container image of a platform, in place of its own: onnxruntime=registry.lab/server@sha256:...",
    )
    endpoint_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="What platform endpoint may load: host, host:port or 10.1.0.0/16, with commas; empty: nothing."
    )
    endpoint_ca_file: Path | None = Field(
        None, description="Authorities (PEM) that platform endpoint trusts for https beside the system's."
    )
    endpoint_secrets: Path | None = Field(
        None, description="File (TOML, readable by its owner alone) with the secrets that jobs for endpoints may name."
    )
    max_cache_bytes: int = Field(20 * 1024**3, ge=0, description="Fetched models and datasets kept for the next run.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe event logged.")

    @field_validator("leader_url")
    @classmethod
    def _is_an_http_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("endpoint_hosts", mode="before")
    @classmethod
    def _are_endpoints(cls, value: Any) -> Any:
        entries = [entry for entry in value.split(",") if entry.strip()] if isinstance(value, str) else value
        return tuple(check_entry(entry) for entry in entries)

    @field_validator("labels", "images", mode="before")
    @classmethod
    def _are_pairs(cls, value: Any, info: ValidationInfo) -> Any:
        return _parse_pairs(value, str(info.field_name)) if isinstance(value, str) else value

    @field_validator("images")
    @classmethod
    def _are_of_platforms(cls, value: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(value.keys() - set(get_args(PlatformName))):
            raise ValueError(f"unknown platform {unknown[0]!r}; there are {', '.join(get_args(PlatformName))}")
        return value

    @field_validator("work_dir", "token_file", "slot_lock_dir", "endpoint_ca_file", "endpoint_secrets")
    @classmethod
    def _is_absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else value.absolute()

    @model_validator(mode="after")
    def _limits_are_in_order(self) -> Self:
        if self.invalid_busy_share < self.max_busy_share:
            raise ValueError(
                f"invalid_busy_share ({self.invalid_busy_share:g}) must not be below"
                f" max_busy_share ({self.max_busy_share:g})"
            )
        return self

    @classmethod
    def from_environment(cls) -> Self:
        """Read ``INFERBENCH_*``.

        Raises:
            InvalidInput: values are wrong; all problems at once.
        """
        try:
            return cls()
        except ValidationError as error:
            problems = [_as_problem(entry["loc"], entry["msg"]) for entry in error.errors()]
            raise InvalidInput(
                "the follower's settings are wrong: " + "; ".join(map(str, problems)), problems=problems
            ) from error


def read_token(path: Path) -> SecretStr:
    """The follower token.

    Raises:
        InvalidInput: the file is missing, unreadable or empty.
    """
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise InvalidInput(f"no follower token at {path}: {error.strerror}") from error
    if not token:
        raise InvalidInput(f"the follower token at {path} is empty")
    return SecretStr(token)


def child_environment(attempt_dir: Path) -> dict[str, str]:
    """The environment of an attempt and of all that it starts: ours without our settings, plus the mark."""
    inherited = os.environ  # noqa: TID251 - the one reader
    kept = {name: value for name, value in inherited.items() if not name.startswith(PREFIX)}
    return kept | {ATTEMPT_MARK: str(attempt_dir)}


def _parse_pairs(text: str, what: str) -> dict[str, str]:
    pairs = [pair.strip() for pair in text.split(",") if pair.strip()]
    bad = [pair for pair in pairs if not re.fullmatch(r"[^=\s]+=[^=\s]+", pair)]
    if bad:
        raise ValueError(f"{what} are name=value, separated by commas; found {bad[0]!r}")
    return dict(pair.split("=") for pair in pairs)


def _as_problem(loc: tuple[int | str, ...], message: str) -> Problem:
    name = str(loc[0]) if loc else "max_busy_share"  # what speaks of two settings is told of the first
    return Problem(path=PREFIX + name.upper(), message=message.removeprefix("Value error, "))
