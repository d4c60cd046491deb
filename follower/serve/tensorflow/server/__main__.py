"""``python -m follower.serve.tensorflow.server``."""

import logging
import sys

from follower.serve.tensorflow.command_line import parse
from follower.serve.tensorflow.server.run import run

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    sys.exit(run(parse(sys.argv[1:])))
