"""The model server's image: the packages that it imports, then its own modules."""

import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from follower.serve.containers.images import MODEL_SERVER
from images.packages import link_tree, packages_of
from images.step import ROOT, Step

FOLDER: Final = ROOT / "images/model-server"
REQUIREMENTS: Final = ROOT / "requirements/model-server.txt"
CODE: Final = (
    "follower/__init__.py",
    "follower/serve",
    "follower/pipeline",
    "shared",
    "model_repo/__init__.py",  # and what a TorchScript archive says of its tensors
    "model_repo/cards.py",
    "model_repo/convert/__init__.py",
    "model_repo/convert/lineage.py",
    "model_repo/torch_signature.py",
)


def code() -> Sequence[Path]:
    """Our own modules that a server may import."""
    places = (ROOT / place for place in CODE)
    files = (sorted(place.rglob("*.py")) if place.is_dir() else [place] for place in places)
    return [path for group in files for path in group]


def lay_out_code(folder: Path) -> None:
    """Under their own paths."""
    for path in code():
        target = folder / "code" / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


PACKAGES: Final = Step(
    image=f"inferbench/packages:{version('inferbench')}",
    dockerfile=FOLDER / "packages.Dockerfile",
    sources=lambda: [REQUIREMENTS],
    lay_out=lambda folder: link_tree(packages_of(REQUIREMENTS), folder / "site"),
)


def server(image: str, on: Step) -> Step:
    """The servers' modules on top of a step."""
    dockerfile = FOLDER / "server.Dockerfile"
    return Step(image=image, dockerfile=dockerfile, sources=code, lay_out=lay_out_code, on=on)


SERVER: Final = server(MODEL_SERVER, PACKAGES)
