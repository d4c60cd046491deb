"""The leader's settings: the one place of this room that reads the environment."""

import difflib
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import InvalidInput, Problem

PREFIX: Final = "INFERBENCH_"
LOOPBACK_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "::1"})

_RESEMBLANCE: Final = 0.8


class LeaderSettings(BaseSettings):
    """How one leader runs. Built once, in main, and never changed."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    mongo_url: SecretStr = Field(description="Address of PerfDB: mongodb://HOST:PORT[/DATABASE].")
    broker_url: SecretStr | None = Field(None, description="Redis address of the doorbell; without it followers poll.")
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    token_dir: Path | None = Field(None, description="Where admin.token and follower.token are kept, made if missing.")
    max_model_bytes: int = Field(2 * 1024**3, ge=1, description="Largest model or dataset that may be uploaded.")
    lease_s: float = Field(15.0, ge=1, le=3600, description="How long a follower holds a run without renewing.")
    poll_s: float = Field(2.0, ge=0.05, le=60, description="How often a follower looks at its list unrung.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe event logged.")

    @field_validator("mongo_url")
    @classmethod
    def _is_a_mongodb_address(cls, value: SecretStr) -> SecretStr:
        return _with_scheme(value, "mongodb://", "mongodb+srv://")

    @field_validator("broker_url")
    @classmethod
    def _is_a_redis_address(cls, value: SecretStr | None) -> SecretStr | None:
        return value and _with_scheme(value, "redis://", "rediss://", "redis+socket://")

    @classmethod
    def from_environment(cls) -> Self:
        """Read ``INFERBENCH_*``.

        Raises:
            InvalidInput: a value is wrong, a required one is missing, or a name is misspelt; all problems at once.
        """
        environment = os.environ  # noqa: TID251 - the one reader
        problems = _misspelt_names(environment)
        try:
            settings = cls()
        except ValidationError as error:
            problems += [_as_problem(entry["loc"], entry["msg"]) for entry in error.errors()]
        if problems:
            raise InvalidInput("the leader's settings are wrong: " + "; ".join(map(str, problems)), problems=problems)
        return settings

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the leader."""
        return self.host in LOOPBACK_HOSTS

    @property
    def lease(self) -> timedelta:
        """``lease_s`` as a duration."""
        return timedelta(seconds=self.lease_s)


def _with_scheme(value: SecretStr, *schemes: str) -> SecretStr:
    if not value.get_secret_value().startswith(schemes):
        raise ValueError("must start with " + " or ".join(schemes))
    return value


def _misspelt_names(environment: Mapping[str, str]) -> list[Problem]:
    """Names that nearly are ours. Other names with the prefix belong to the follower or the command line."""
    known = sorted(LeaderSettings.model_fields)
    problems = []
    for name in sorted(environment):
        own = name.removeprefix(PREFIX).lower()
        nearest = difflib.get_close_matches(own, known, n=1, cutoff=_RESEMBLANCE)
        if name.startswith(PREFIX) and own not in known and nearest:
            problems.append(Problem(path=name, message="no such setting", suggestion=PREFIX + nearest[0].upper()))
    return problems


def _as_problem(loc: tuple[int | str, ...], message: str) -> Problem:
    message = message.removeprefix("Value error, ")
    return Problem(path=PREFIX + str(loc[0]).upper(), message=message[:1].lower() + message[1:])
