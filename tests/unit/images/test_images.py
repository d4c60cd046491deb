"""What an image is made of, worked out without an engine."""

import ast
from pathlib import Path

import pytest

from follower.engines.install import REQUIREMENTS as INSTALL_REQUIREMENTS
from follower.serve.containers.images import DEFAULT_IMAGES
from images import debian, engines, model_server, packages
from images.__main__ import chosen
from images.step import ROOT, Step, content, finish
from images.table import IMAGES

DEB822 = "Types: deb\n# A comment http://not.this\nURIs: http://mirror.lab/debian\nSuites: bookworm\n"
ONE_LINE = "# deb http://not.this x\ndeb [signed-by=/k.gpg] https://mirror.lab/debian bookworm main\n"


def test_the_image_holds_the_servers_modules_and_not_the_leaders() -> None:
    """Nor anything that is no code."""
    places = {str(path.relative_to(ROOT)) for path in model_server.code()}
    assert "follower/serve/modelserver/server/__main__.py" in places
    assert "follower/serve/tensorflow/server/__main__.py" in places
    assert "follower/serve/launch/exit_codes.py" in places
    assert not [place for place in places if place.startswith(("leader/", "cli/", "tests/"))]


@pytest.mark.parametrize("server", ["follower/serve/modelserver/server", "follower/serve/tensorflow/server"])
def test_the_image_holds_whatever_a_server_imports(server: str) -> None:
    """Also where it imports it late, and what that imports in turn."""
    inside = set(model_server.code())
    seen: set[Path] = set()
    waiting = sorted((ROOT / server).rglob("*.py"))
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += imports(path)
    assert len(seen) > 20
    assert seen - inside == set()


def imports(path: Path) -> list[Path]:
    """Our own modules that a module imports, anywhere in it, with the packages above them."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            place = ROOT.joinpath(*name.split("."))
            packages = [place, *(parent for parent in place.parents if ROOT in parent.parents)]
            found += [package / "__init__.py" for package in packages] + [place.with_suffix(".py")]
            if isinstance(node, ast.ImportFrom):
                found += [place / f"{alias.name}.py" for alias in node.names]
    return [each for each in found if each.is_file() and each.relative_to(ROOT).parts[0] != ".venv"]


def step(*sources: Path, on: Step | None = None) -> Step:
    """Of nothing but what decides its content."""
    dockerfile = ROOT / "images/model-server/server.Dockerfile"
    return Step(image="i:1", dockerfile=dockerfile, sources=lambda: sources, lay_out=lambda _: None, on=on)


def test_an_image_is_built_anew_when_anything_in_it_changes() -> None:
    """The base's name, a file's bytes, a file's place; and what it stands on."""
    one, two = ROOT / "Makefile", ROOT / "requirements/model-server.txt"
    assert content(step(one, two), "base") == content(step(one, two), "base")
    others = {
        content(step(one, two), "base"),
        content(step(one, two), "base:2"),
        content(step(one), "base"),
        content(step(two, one), "base"),
        content(step(one, two, on=step(one)), "base"),
        content(step(one, two, on=step(two)), "base"),
    }
    assert len(others) == 6


def test_our_code_decides_nothing_of_what_an_engine_is_made_on() -> None:
    """A gigabyte is not copied because a line of ours changed; only the last step is."""
    for platform, engine in (("openvino", "openvino"), ("torchscript", "torch"), ("tfs-compat", "tensorflow")):
        server = engines.engine_server(platform, engine)
        assert server.image == DEFAULT_IMAGES[platform]
        assert server.on is not None
        assert server.on.sources() == [INSTALL_REQUIREMENTS / f"{engine}.txt"]
        assert server.on.on is model_server.PACKAGES
        assert set(server.sources()) == set(model_server.code())


def test_what_is_copied_into_the_image_lies_beside_its_dockerfile(tmp_path: Path) -> None:
    """Code under its own paths."""
    model_server.lay_out_code(tmp_path)
    copied = {path.relative_to(tmp_path / "code") for path in (tmp_path / "code").rglob("*.py")}
    assert copied == {path.relative_to(ROOT) for path in model_server.code()}


def test_what_only_compilers_need_of_an_engine_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers and static libraries are a fifth of TensorFlow; other interpreters' bytecode is of no use."""
    installed = tmp_path / "installed"
    for place in (
        "torch/__init__.py",
        "torch/include/a.h",
        "torch/lib/x.a",
        "torch/lib/x.so",
        "torch/__pycache__/a.pyc",
    ):
        (installed / place).parent.mkdir(parents=True, exist_ok=True)
        (installed / place).write_text("x")
    monkeypatch.setattr(engines, "engine_packages", lambda _name: installed)
    (tmp_path / "context").mkdir()
    engines.engine_step("torch").lay_out(tmp_path / "context")
    inside = tmp_path / "context/engine"
    laid_out = {str(path.relative_to(inside)) for path in inside.rglob("*") if path.is_file()}
    assert laid_out == {"torch/__init__.py", "torch/lib/x.so"}


def test_an_installed_engine_is_taken_where_it_is_the_pinned_one(tmp_path: Path) -> None:
    """For the image's interpreter, from the same pins; one without its pins is nobody's."""
    pinned = tmp_path / "torch.txt"
    pinned.write_text("torch==2")
    assert not engines.is_fit(tmp_path, pinned, "3.11")
    (tmp_path / engines.PINS_COPY).write_text("torch==2")
    assert engines.is_fit(tmp_path, pinned, "3.11")
    assert not engines.is_fit(tmp_path, pinned, "3.12")
    (tmp_path / engines.PINS_COPY).write_text("torch==1")
    assert not engines.is_fit(tmp_path, pinned, "3.11")


def test_packages_are_pinned_wheels_for_the_images_python() -> None:
    """Whichever interpreter asks for them."""
    arguments = packages.pip_arguments(Path("/target"), Path("/pins.txt"))
    assert {"--require-hashes", "--no-deps"} <= set(arguments)
    assert arguments[arguments.index("--python-version") + 1] == "3.11"
    assert arguments[arguments.index("--only-binary") + 1] == ":all:"
    assert arguments[arguments.index("--requirement") + 1] == "/pins.txt"


def test_a_tree_is_linked_and_not_copied(tmp_path: Path) -> None:
    """The same file under another name."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one/file").write_text("x")
    packages.link_tree(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two/file").samefile(tmp_path / "one/file")


@pytest.mark.parametrize(
    ("words", "base", "names"),
    [
        (["debian", "openvino", "tfs-compat"], "debian", ["openvino", "tfs-compat"]),
        (["openvino"], "python:3.11-slim", ["openvino"]),
        (["registry.lab/python@sha256:0", "model-server"], "registry.lab/python@sha256:0", ["model-server"]),
    ],
)
def test_a_first_word_that_names_no_image_is_the_base(words: list[str], base: str, names: list[str]) -> None:
    """The names may stand alone."""
    assert chosen(words) == (base, names)


def test_without_names_the_images_of_installed_engines_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the one that needs none; nobody's disk is filled unasked."""
    monkeypatch.setattr("images.table.installed_version", lambda engine: "1" if engine == "torch" else None)
    assert {"model-server", "torchscript"} <= set(chosen([])[1])
    assert {"openvino", "tfs-compat"} & set(chosen([])[1]) == set()


def test_an_unknown_image_is_refused_with_those_that_there_are() -> None:
    """Before anything is built."""
    with pytest.raises(SystemExit, match=r"nothing is called nope; there are .*openvino"):
        chosen(["debian", "nope"])


def test_every_image_that_can_be_built_is_a_platforms_own() -> None:
    """What is built under a name that nothing asks for would be built for nothing."""
    assert {buildable.image for buildable in IMAGES.values()} <= set(DEFAULT_IMAGES.values())


def test_a_build_that_fails_says_why() -> None:
    """The engine's last words come with it."""
    parts = iter([{"stream": "Step 2/5 : COPY site\n"}, {"error": "no space left"}])
    with pytest.raises(RuntimeError, match=r"image i:1 was not built: no space left\nStep 2/5"):
        finish(parts, "i:1")
    finish(iter([{"stream": "Successfully built"}, {"aux": {"ID": "x"}}]), "i:1")


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
