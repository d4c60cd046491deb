"""``python -m follower.serve.onnxruntime.server``."""

import logging
import sys

from follower.serve.onnxruntime.server.options import parse
from follower.serve.onnxruntime.server.run import run

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    sys.exit(run(parse(sys.argv[1:])))
