"""A defect of the server must end it: a server that hangs would be measured as a slow one."""

import subprocess
import sys

CRASHING_WORKER = """
import logging, threading, time
from follower.serve.modelserver.server.batcher import Batcher, Work
from follower.serve.modelserver.server.batching import BatchPolicy
from follower.serve.modelserver.server.run import die_by_thread_failure
import numpy as np

def broken(inputs):
    raise KeyError("a defect")

logging.basicConfig()
threading.excepthook = die_by_thread_failure
batcher = Batcher([broken], BatchPolicy(), on_out_of_memory=print)
batcher.submit(Work({"x": np.zeros(1)}, print))
time.sleep(30)
"""


def test_a_worker_that_fails_unexpectedly_takes_the_server_with_it() -> None:
    """The exit status is that of a defect, and the log has the traceback."""
    ended = subprocess.run(
        [sys.executable, "-c", CRASHING_WORKER], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 70
    assert "KeyError: 'a defect'" in ended.stderr
