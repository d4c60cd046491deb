"""``python -m follower.serve.modelserver.server``."""

import logging
import sys

from follower.serve.modelserver.server.options import parse
from follower.serve.modelserver.server.run import run

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    sys.exit(run(parse(sys.argv[1:])))
