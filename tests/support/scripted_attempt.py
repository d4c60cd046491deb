"""Stands in for ``python -m follower.attempt``: real processes, and an end that the test chooses.

The run's label ``script`` says what it does: ``finish``, ``hang``, or ``crash``. It starts a child of its own, tells of
itself once, writes its own and the child's process number to ``pids``, and a heartbeat to ``alive``.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path


def main(root: Path) -> None:
    """Act out the script of the order in ``root``."""
    order = json.loads((root / "assignment.json").read_text())
    script = order["assignment"]["spec"]["requires"]["labels"].get("script", "finish")
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    shared = root.parent.parent
    (shared / "pids").write_text(f"{os.getpid()} {child.pid}")
    event = {"n": 1, "at": "2026-01-01T00:00:00Z", "kind": "measuring", "message": "scripted"}
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()
    sys.stderr.write("a line for the log\n")
    if script == "crash":
        os.abort()
    while script == "hang":
        (shared / "alive.partial").write_text(str(time.monotonic_ns()))
        (shared / "alive.partial").replace(shared / "alive")
        time.sleep(0.01)
    child.kill()
    child.wait()
    outcome = {"kind": "failure", "cause": "server-died", "detail": "scripted end", "log_tail": ""}
    (root / "samples.parquet").write_bytes(b"samples")
    (root / "outcome.partial").write_text(json.dumps(outcome))
    (root / "outcome.partial").rename(root / "outcome.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
