"""The command line's settings: the one place here that reads the environment. No pydantic, so that help stays quick."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_DATA_DIR: Final = Path(".inferbench")
DEFAULT_PORT: Final = 8080
HIGHEST_PORT: Final = 65535


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says; a flag given on the command line goes before it."""

    url: str | None
    token: str | None
    token_file: Path | None
    data_dir: Path
    port: int
    environment: Mapping[str, str]  # all of it, for the stack's plan to choose from


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in ``environ``, by default this process's own.

    Raises:
        InvalidSetting: INFERBENCH_PORT is not a port.
    """
    if environ is None:
        environ = os.environ  # noqa: TID251 - the one reader
    token_file = environ.get("INFERBENCH_TOKEN_FILE")
    return Settings(
        url=environ.get("INFERBENCH_URL") or None,
        token=environ.get("INFERBENCH_TOKEN") or None,
        token_file=Path(token_file) if token_file else None,
        data_dir=Path(environ.get("INFERBENCH_DATA_DIR") or DEFAULT_DATA_DIR),
        port=_port(environ.get("INFERBENCH_PORT") or str(DEFAULT_PORT)),
        environment=dict(environ),
    )


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) <= HIGHEST_PORT:
        return int(text)
    from cli.errors import InvalidSetting  # noqa: PLC0415 - pydantic comes with it, and help can do without

    raise InvalidSetting(f"INFERBENCH_PORT is {text!r}; a port is a number from 0 (any free one) to {HIGHEST_PORT}")
