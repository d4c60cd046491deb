"""Documents that cannot rot: what they name exists, what they show runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)")
PATH_IN_CODE = re.compile(r"`((?:shared|leader|follower|model_repo|cli|tests|docs|examples|requirements)/[\w./-]*)`")
MAKE_TARGET = re.compile(r"\bmake ([a-z-]+)\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """Relative links in a page point to files of the repository."""
    dead = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_named_in_a_page_exists(page: Path) -> None:
    """Paths written as code in a page exist."""
    dead = [path for path in PATH_IN_CODE.findall(page.read_text()) if not (ROOT / path).exists()]
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_make_target_named_in_a_page_exists(page: Path) -> None:
    """A page names only targets that the Makefile has."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {name for code in re.findall(r"`([^`\n]+)`", page.read_text()) for name in MAKE_TARGET.findall(code)}
    assert named <= targets


def test_the_glossary_holds_every_word_that_the_design_fixes() -> None:
    """Each word with one meaning stands in the glossary."""
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    words = (
        "job", "run", "attempt", "fence", "follower", "slot", "platform", "launcher", "workload", "plan",
        "stage", "record", "comparability key", "configuration key", "lease", "bell", "verdict",
    )  # fmt: skip
    assert [word for word in words if f"**{word}**" not in glossary] == []


def test_every_package_is_walked_through_in_the_architecture_page() -> None:
    """docs/architecture.md names each room and each folder inside it."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    folders = {
        str(init.parent.relative_to(ROOT))
        for room in ("shared", "model_repo", "leader", "follower", "cli")
        for init in (ROOT / room).glob("*/__init__.py")
    }
    assert sorted(folder for folder in folders if f"`{folder}/`" not in page) == []
