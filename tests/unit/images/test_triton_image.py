"""The stand-in for the vendor's image of Triton: what lies where, worked out without an engine."""

from pathlib import Path, PurePosixPath

from follower.serve.containers.images import DEFAULT_IMAGES
from follower.serve.triton.layout import BACKEND_FILES, SERVER, STUB
from follower.serve.triton.place import NATIVE_BACK_END, PRELOAD, PYTHON_BACK_END
from images import triton
from images.packages import PYTHON_VERSION
from images.table import IMAGES

HOME = PurePosixPath("/opt/tritonserver")


def engine_folder(folder: Path) -> Path:
    """What pip lays out of the wheel, as far as it is of use, for several versions of Python."""
    server = folder / SERVER
    files = [server / "bin/tritonserver", folder / "nvidia_pytriton.libs/libre2.so"]
    files += [server / "backends/python" / name for name in BACKEND_FILES]
    files += [server / "python_backend_stubs" / version / STUB for version in ("3.10", PYTHON_VERSION, "3.13")]
    for path in [*files, folder / "pytriton/client.py"]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(path.relative_to(folder)))
    return folder


def test_everything_lies_where_it_is_looked_for_and_nothing_else_is_taken(tmp_path: Path) -> None:
    """The server, one back end with the process of the image's Python, libraries, and what makes tracing safe."""
    preload = tmp_path / "late_free.so"
    preload.write_text("compiled")
    home = tmp_path / "home"
    triton.arrange(engine_folder(tmp_path / "engine"), preload, home)
    found = {HOME / path.relative_to(home) for path in home.rglob("*") if path.is_file()}
    back_end = HOME / "backends/python"
    assert found == {
        HOME / "bin/tritonserver",
        HOME / "lib/libre2.so",
        PurePosixPath(PRELOAD),
        back_end / STUB,
        *(back_end / name for name in BACKEND_FILES),
    }
    assert PurePosixPath(PYTHON_BACK_END) in found
    assert PurePosixPath(NATIVE_BACK_END) not in found
    stub = home / "backends/python" / STUB
    assert f"python_backend_stubs/{PYTHON_VERSION}/" in stub.read_text()
    assert stub.stat().st_mode & 0o111


def test_it_is_the_platforms_own_image_and_depends_on_the_wheel_and_the_small_library() -> None:
    """A new version of either makes a new image."""
    assert IMAGES["triton"].image == DEFAULT_IMAGES["triton"]
    names = {path.name for path in triton.SERVER_IMAGE.sources()}
    assert names == {"triton.txt", "late_free.c"}
    assert all(path.is_file() for path in (*triton.SERVER_IMAGE.sources(), triton.SERVER_IMAGE.dockerfile))
