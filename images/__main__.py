"""``python -m images [BASE]``: builds the images that this project's own services are run from.

BASE is an image with Python 3.11; ``debian`` makes one from the machine's own Debian mirror.
"""

import sys
from typing import Final

from follower.serve.containers.images import MODEL_SERVER
from images import debian, model_server

DEFAULT_BASE: Final = "python:3.11-slim"


def main(arguments: list[str]) -> int:
    """Says what it did; 1 where there is no image at the end."""
    wanted = arguments[0] if arguments else DEFAULT_BASE
    try:
        built = model_server.build(debian.base() if wanted == "debian" else wanted)
    except Exception as error:  # noqa: BLE001 - pip's, the engine's, debootstrap's: each says it in words
        sys.stderr.write(f"images: {error}\n")
        return 1
    sys.stdout.write(f"{MODEL_SERVER}: {'built' if built else 'there already'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
