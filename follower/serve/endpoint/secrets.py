"""Secrets of the follower's operator: a file that says which header, for which hosts. A job only names one.

```toml
[triton-lab]                    # the name that jobs have
value = "Bearer eyJhbGciOi..."  # the header's whole value
header = "Authorization"        # this, unless said otherwise
hosts = ["triton.lab:8443"]     # it is sent nowhere else
```
"""

import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from follower.serve.secure import SecretHeader
from shared.errors import InvalidInput, Problem
from shared.jobs.endpoint_address import HostPort, check_entry, is_allowed
from shared.jobs.endpoint_api import (
    HEADER_NAME_PATTERN,
    HEADER_VALUE_PATTERN,
    NOT_A_JOBS_TO_SET,
    SECRET_NAME_PATTERN,
)

MAX_FILE_BYTES: Final = 1 << 20
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_SHORTEST: Final = 8
"""Characters of a value; a shorter one could not be told from ordinary words in what a service says."""


class EndpointSecret(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    value: SecretStr
    header: Annotated[str, Field(pattern=HEADER_NAME_PATTERN)] = "Authorization"
    hosts: tuple[str, ...] = Field(min_length=1)

    @field_validator("value")
    @classmethod
    def _can_be_a_headers_value(cls, value: SecretStr) -> SecretStr:
        if len(value) < _SHORTEST or not re.fullmatch(HEADER_VALUE_PATTERN, value.get_secret_value()):
            raise ValueError(f"must be {_SHORTEST} to 1,000 printable ASCII characters without spaces at its ends")
        return value

    @field_validator("header")
    @classmethod
    def _does_not_frame(cls, name: str) -> str:
        if name.lower() in NOT_A_JOBS_TO_SET:
            raise ValueError(f"{name} follows from the request and cannot carry a secret")
        return name

    @field_validator("hosts")
    @classmethod
    def _are_entries(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(check_entry(host) for host in hosts)


def read_secrets(path: Path | None) -> Mapping[str, EndpointSecret]:
    """All secrets of the file, by name; none without a file.

    Raises:
        InvalidInput: the file cannot be read, others may read it, or it is not what it has to be; no message holds a
            value.
    """
    if path is None:
        return {}
    document = _document(path)
    secrets, problems = dict[str, EndpointSecret](), list[Problem]()
    for name, entry in document.items():
        try:
            secrets[name] = EndpointSecret.model_validate(entry)
        except ValidationError as error:
            problems += [_problem(name, fault["loc"], fault["msg"]) for fault in error.errors(include_input=False)]
    problems += [_problem(name, (), "is not a name") for name in document if not _is_name(name)]
    if problems:
        raise InvalidInput(f"secrets file {path}: {'; '.join(map(str, problems))}", problems=problems)
    return secrets


def header_for(name: str, named: HostPort, path: Path | None) -> SecretHeader:
    """The header for an endpoint, where the operator lets it have the secret ``name``.

    Raises:
        InvalidInput: there is no such secret here, it is not for that host, or nothing would keep it private.
    """
    secrets = read_secrets(path)
    if name not in secrets:
        known = ", ".join(sorted(secrets)) or "none"
        raise InvalidInput(f"service.endpoint.secret: this follower has no secret {name}; it has {known}")
    secret = secrets[name]
    if not is_allowed(named, secret.hosts):
        raise InvalidInput(f"service.endpoint.secret: {name} is for {', '.join(secret.hosts)}, and not for {named}")
    if not named.tls:
        raise InvalidInput(f"service.endpoint.secret: {name} is sent over https:// only")
    return SecretHeader(name=secret.header, value=secret.value.get_secret_value())


def _document(path: Path) -> Mapping[str, Any]:
    try:
        found = path.stat()
        if stat.S_IMODE(found.st_mode) & _OTHERS:
            raise InvalidInput(f"secrets file {path} can be read by others; take that right away (chmod 600)")
        if found.st_size > MAX_FILE_BYTES:
            raise InvalidInput(f"secrets file {path} has {found.st_size} bytes; at most {MAX_FILE_BYTES} are read")
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise InvalidInput(f"secrets file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # whose words could hold a part of a value
        raise InvalidInput(f"secrets file {path} is not TOML in UTF-8") from None


def _is_name(name: str) -> bool:
    return re.fullmatch(SECRET_NAME_PATTERN, name) is not None


def _problem(name: str, loc: tuple[int | str, ...], message: str) -> Problem:
    return Problem(path=".".join(map(str, (name, *loc))), message=message.removeprefix("Value error, "))
