"""The embedded stack for a benchmark: started anew, in a folder that is gone afterwards."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.running_stack import RunningStack, running_stack


@contextmanager
def fresh_stack() -> Iterator[RunningStack]:
    """Leader, follower, database and broker, with nothing in them."""
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ)  # noqa: TID251 - hands PATH and HOME on
        with running_stack(Path(folder) / "data", environment) as stack:
            yield stack
