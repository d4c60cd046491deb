"""docs/cli.md is what the commands say of themselves."""

import re
from pathlib import Path

import pytest
import typer

from cli.exits import ExitCode
from cli.main import app
from cli.reference import command_names, main, reference_page
from cli.settings import read_settings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "cli.md").read_text()

PROMISED = {
    "up", "demo", "doctor", "validate", "plan", "submit", "run", "list", "get", "watch", "logs", "cancel",
    "leaderboard", "followers", "schema", "version", "samples", "compare", "recompute", "rerun", "simulate", "replay",
    "explain", "cordon", "drain", "uncordon", "scheduling show", "scheduling set",
    *(f"models {verb}" for verb in ("list", "push", "pull", "update", "rm", "convert", "conversions")),
    "models import-packaged",
    *(f"datasets {verb}" for verb in ("list", "push")),
    *(f"tokens {verb}" for verb in ("add", "list", "revoke")),
    *(f"platforms {verb}" for verb in ("install", "list")),
}  # fmt: skip


def test_the_page_is_up_to_date() -> None:
    """If this fails: ``python -m cli.reference``."""
    assert reference_page() == PAGE
    assert main(["--check"]) == 0


def test_every_promised_command_is_there() -> None:
    """The list of commands is part of the public surface."""
    assert set(command_names()) == PROMISED


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_every_option_of_a_command_is_listed_with_its_help(name: str) -> None:
    """No option without a word about it."""
    command = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]  # type: ignore[attr-defined]  # a group has commands
    section = PAGE.split(f"\n### inferbench {name}\n")[1].split("\n### ")[0]
    for parameter in command.params:
        assert parameter.help, f"{name} {parameter.name}"  # type: ignore[attr-defined]  # options and arguments have help
        assert all(option in section for option in parameter.opts if option.startswith("-"))


def test_every_exit_code_is_explained() -> None:
    """One row each."""
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, flags=re.MULTILINE)} == set(ExitCode)


def test_every_variable_that_is_read_is_explained() -> None:
    """The settings' own source names the variables; so does the page."""
    sources = (ROOT / "cli/settings.py", ROOT / "cli/stack/plan.py")
    read = {name for path in sources for name in re.findall(r"INFERBENCH_[A-Z_]+", path.read_text())}
    given_to_children = {"MONGO_URL", "BROKER_URL", "HOST", "TOKEN_DIR", "LEADER_URL", "FOLLOWER_NAME", "WORK_DIR"}
    assert {name for name in read if name not in PAGE} <= {f"INFERBENCH_{name}" for name in given_to_children}
    assert read_settings({}).port == 8080
