"""What an image is made of, worked out without an engine."""

from pathlib import Path

import pytest

from images import debian, model_server
from images.model_server import DOCKERFILE, REQUIREMENTS, ROOT

DEB822 = "Types: deb\n# A comment http://not.this\nURIs: http://mirror.lab/debian\nSuites: bookworm\n"
ONE_LINE = "# deb http://not.this x\ndeb [signed-by=/k.gpg] https://mirror.lab/debian bookworm main\n"


def test_the_image_holds_the_servers_modules_and_not_the_leaders() -> None:
    """Nor anything that is no code."""
    places = {str(path.relative_to(ROOT)) for path in model_server.sources()}
    assert "follower/serve/modelserver/server/__main__.py" in places
    assert "follower/serve/launch/exit_codes.py" in places
    assert not [place for place in places if place.startswith(("leader/", "cli/", "tests/"))]


def test_an_image_is_built_anew_when_anything_in_it_changes() -> None:
    """The base's name, a file's bytes, a file's place."""
    one, two = ROOT / "images/model-server/Dockerfile", ROOT / "requirements/model-server.txt"
    assert model_server.content("base", [one, two]) == model_server.content("base", [one, two])
    others = {
        model_server.content("base", [one, two]),
        model_server.content("base:2", [one, two]),
        model_server.content("base", [one]),
        model_server.content("base", [two, one]),
    }
    assert len(others) == 4


def test_what_is_copied_into_the_image_lies_beside_its_dockerfile(tmp_path: Path) -> None:
    """Packages in one folder, code under its own paths in another."""
    packages, folder = tmp_path / "packages", tmp_path / "folder"
    (packages / "numpy").mkdir(parents=True)
    (packages / "numpy/__init__.py").write_text("x")
    folder.mkdir()
    model_server.lay_out(folder, packages)
    assert (folder / "Dockerfile").read_bytes() == DOCKERFILE.read_bytes()
    assert (folder / "site/numpy/__init__.py").read_text() == "x"
    copied = {path.relative_to(folder / "code") for path in (folder / "code").rglob("*.py")}
    wanted = {path.relative_to(ROOT) for path in model_server.sources()} - {
        path.relative_to(ROOT) for path in (DOCKERFILE, REQUIREMENTS)
    }
    assert copied == wanted


def test_packages_are_pinned_wheels_for_the_images_python() -> None:
    """Whichever interpreter asks for them."""
    arguments = model_server.pip_arguments(Path("/target"))
    assert {"--require-hashes", "--no-deps"} <= set(arguments)
    assert arguments[arguments.index("--python-version") + 1] == "3.11"
    assert arguments[arguments.index("--only-binary") + 1] == ":all:"


def test_a_build_that_fails_says_why() -> None:
    """The engine's last words come with it."""
    parts = iter([{"stream": "Step 2/5 : COPY site\n"}, {"error": "no space left"}])
    with pytest.raises(RuntimeError, match=r"image i:1 was not built: no space left\nStep 2/5"):
        model_server.finish(parts, "i:1")
    model_server.finish(iter([{"stream": "Successfully built"}, {"aux": {"ID": "x"}}]), "i:1")


@pytest.mark.parametrize(
    ("place", "text", "expected"),
    [
        ("sources.list.d/debian.sources", DEB822, "http://mirror.lab/debian"),
        ("sources.list.d/debian.list", ONE_LINE, "https://mirror.lab/debian"),
        ("sources.list", ONE_LINE, "https://mirror.lab/debian"),
    ],
)
def test_the_mirror_is_the_machines_own(tmp_path: Path, place: str, text: str, expected: str) -> None:
    """In either of apt's formats, comments passed over."""
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / place).write_text(text)
    assert debian.mirror(tmp_path) == expected


def test_a_machine_without_a_mirror_is_told_so(tmp_path: Path) -> None:
    """Nothing is guessed."""
    with pytest.raises(RuntimeError, match="name no mirror"):
        debian.mirror(tmp_path)
