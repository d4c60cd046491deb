"""The rules of the house that a reader can check by eye, checked by machine."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("shared", "model_repo", "leader", "follower", "cli")
MAX_LINES = 400
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager", "managers"}

DRIVERS: dict[str, tuple[str, ...]] = {
    "pymongo": ("leader/perfdb/", "model_repo/gridfs"),
    "gridfs": ("leader/perfdb/", "model_repo/gridfs"),
    "bson": ("leader/perfdb/", "model_repo/gridfs"),
    "docker": ("follower/serve/containers/engine.py",),
    "celery": ("leader/broker/bell.py", "follower/agent/bell.py"),
}


def modules() -> list[Path]:
    """Every product module."""
    return sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def tracked_python() -> list[Path]:
    """Every Python file under version control, tests and benchmarks included."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def imported_names(path: Path) -> Iterator[str]:
    """Top-level names of everything that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", tracked_python(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_stays_readable_at_one_sitting(path: Path) -> None:
    """No Python file is longer than 400 lines."""
    assert len(path.read_text().splitlines()) <= MAX_LINES


def test_no_module_has_a_name_that_says_nothing() -> None:
    """A module is named for what it holds, never utils or manager."""
    parts = {part for path in modules() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not parts & VAGUE


@pytest.mark.parametrize("driver", DRIVERS)
def test_only_named_modules_touch_a_driver(driver: str) -> None:
    """Databases and brokers are imported behind their protocols only."""
    allowed = DRIVERS[driver]
    users = {str(p.relative_to(ROOT)) for p in modules() if driver in imported_names(p)}
    assert {user for user in users if not user.startswith(allowed)} == set()


def test_no_other_distribution_claims_our_import_names() -> None:
    """Plain top-level names are safe only while nobody else installs them here."""
    claims = {
        (distribution.name, name)
        for distribution in distributions()
        if distribution.name != "inferbench"
        for name in {file.parts[0] for file in distribution.files or ()} & {*ROOMS, "tests", "benchmarks"}
    }
    assert claims == set()


def test_the_project_cannot_be_uploaded_to_a_public_index() -> None:
    """The classifier that package indexes refuse is set."""
    assert "Private :: Do Not Upload" in (ROOT / "pyproject.toml").read_text()


def test_imports_point_one_way() -> None:
    """The layered import contract of pyproject.toml holds."""
    ran = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_requirements_are_hashed_and_name_no_registry() -> None:
    """Every pin has hashes, and no file says where packages are to come from."""
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert not re.search(r"https?://|--(extra-)?index-url|--find-links", text), path.name
        pins = re.findall(r"^\S+==\S+", text, flags=re.MULTILINE)
        assert pins
        assert text.count("--hash=sha256:") >= len(pins), path.name


def test_every_test_states_a_behaviour() -> None:
    """Each test function has a sentence as its docstring."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_nothing_is_left_for_later_in_the_code() -> None:
    """No marker of unfinished work stands in product code."""
    unfinished = re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b|NotImplementedError")
    assert [str(p.relative_to(ROOT)) for p in modules() if unfinished.search(p.read_text())] == []
