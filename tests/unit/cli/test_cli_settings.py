"""Which leader the command line talks to, and as whom."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.connection import Connection, resolve
from cli.errors import InvalidSetting, NoLeader, NoToken
from cli.settings import Settings, read_settings
from cli.stack.files import StackFile, read_stack_file, write_stack_file

STACK_URL = "http://127.0.0.1:41234"


@pytest.fixture
def stack_dir(tmp_path: Path) -> Path:
    """The data folder of a stack that runs."""
    (tmp_path / "admin.token").write_text("stack-token\n")
    write_stack_file(
        tmp_path / "stack.json",
        StackFile(
            url=STACK_URL, pid=os.getpid(), admin_token_file=str(tmp_path / "admin.token"), follower_token_file="",
            children={"leader": 1},
        ),
    )  # fmt: skip
    return tmp_path


def settings(data_dir: Path, **environ: str) -> Settings:
    """What the environment says, with this data folder."""
    return read_settings({"INFERBENCH_DATA_DIR": str(data_dir), **environ})


def test_nothing_set_means_the_defaults() -> None:
    """The folder beneath the current one, port 8080."""
    bare = read_settings({})
    assert (bare.url, bare.token, bare.token_file) == (None, None, None)
    assert (bare.data_dir, bare.port) == (Path(".inferbench"), 8080)


def test_an_empty_variable_counts_as_unset() -> None:
    """As in a compose file that passes everything through."""
    assert read_settings({"INFERBENCH_URL": "", "INFERBENCH_PORT": "", "INFERBENCH_TOKEN": ""}).url is None


@pytest.mark.parametrize("port", ["http", "-1", "65536", "8080.0", "²"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    """The message names variable, value and range."""
    with pytest.raises(InvalidSetting, match=r"INFERBENCH_PORT.*65535"):
        read_settings({"INFERBENCH_PORT": port})


def test_the_running_stack_is_found(stack_dir: Path) -> None:
    """After ``up`` nothing need be said."""
    assert resolve(settings(stack_dir)) == Connection(STACK_URL, "stack-token")


def test_a_flag_goes_before_the_environment_and_that_before_the_stack(stack_dir: Path) -> None:
    """Address and token are each taken from the nearest place."""
    (stack_dir / "flag.token").write_text("flag-token")
    said = settings(stack_dir, INFERBENCH_URL="http://env:1", INFERBENCH_TOKEN="env-token")
    assert resolve(said) == Connection("http://env:1", "env-token")
    flags = resolve(said, url="http://flag:1/", token_file=stack_dir / "flag.token")
    assert flags == Connection("http://flag:1", "flag-token")


def test_the_stacks_token_is_not_sent_to_another_leader(stack_dir: Path) -> None:
    """An admin token must not leave for an address that merely was typed."""
    with pytest.raises(NoToken):
        resolve(settings(stack_dir), url="http://elsewhere:8080")
    assert resolve(settings(stack_dir), url=STACK_URL).token == "stack-token"


def test_a_killed_stack_is_told_from_none(stack_dir: Path) -> None:
    """SIGKILL leaves stack.json behind; its supervisor is looked up."""
    found = json.loads((stack_dir / "stack.json").read_text())
    (stack_dir / "stack.json").write_text(json.dumps(found | {"pid": 2**22 + 1}))
    with pytest.raises(NoLeader, match="was killed"):
        resolve(settings(stack_dir))
    with pytest.raises(NoLeader, match="inferbench up"):
        resolve(settings(stack_dir / "nothing-here"))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"url": "x"}', '{"url": "x", "extra": 1}'])
def test_a_damaged_stack_file_is_no_stack(tmp_path: Path, content: str) -> None:
    """Half a file is not believed."""
    (tmp_path / "stack.json").write_text(content)
    assert read_stack_file(tmp_path / "stack.json") is None


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"INFERBENCH_TOKEN_FILE": "/no/such/token"}, "/no/such/token"),
        ({"INFERBENCH_TOKEN_FILE": os.devnull}, "is empty"),
        ({}, "INFERBENCH_TOKEN"),
    ],
)
def test_a_missing_token_names_where_it_was_sought(tmp_path: Path, environ: Mapping[str, Any], said: str) -> None:
    """No token, an unreadable file and an empty file are three different messages."""
    with pytest.raises(NoToken, match=said):
        resolve(settings(tmp_path, INFERBENCH_URL="http://env:1", **environ))


def test_an_address_without_scheme_is_refused(tmp_path: Path) -> None:
    """``localhost:8080`` is a common slip."""
    with pytest.raises(InvalidSetting, match="http://"):
        resolve(settings(tmp_path, INFERBENCH_TOKEN="t"), url="localhost:8080")
