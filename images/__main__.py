"""``python -m images [BASE] [NAME...]``: builds the images that serving software is run from, all or those named.

BASE is an image with Python 3.11; ``debian`` makes one from the machine's own Debian mirror.
"""

import sys
from collections.abc import Sequence
from typing import Final

from images import debian
from images.table import IMAGES

DEFAULT_BASE: Final = "python:3.11-slim"


def main(arguments: Sequence[str]) -> int:
    """Says what it did; 1 where an image is missing at the end."""
    base, names = chosen(arguments)
    try:
        base = debian.base() if base == "debian" else base
        for name in names:
            built = IMAGES[name].build(base)
            sys.stdout.write(f"{IMAGES[name].image}: {'built' if built else 'there already'}\n")
            sys.stdout.flush()
    except Exception as error:  # noqa: BLE001 - pip's, the engine's, debootstrap's: each says it in words
        sys.stderr.write(f"images: {error}\n")
        return 1
    return 0


def chosen(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The base and the names of images: a first word that is no image's name is the base."""
    has_base = bool(arguments) and arguments[0] not in IMAGES
    base, names = (arguments[0], arguments[1:]) if has_base else (DEFAULT_BASE, arguments)
    if unknown := [name for name in names if name not in IMAGES]:
        raise SystemExit(f"images: nothing is called {', '.join(unknown)}; there are {', '.join(IMAGES)}")
    return base, names or [name for name, image in IMAGES.items() if image.is_wanted()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
