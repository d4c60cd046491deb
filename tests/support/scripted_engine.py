"""``python -I -S scripted_engine.py STATUS MODEL``: serves y = 2x + 1 and z = the row sums of x, by writing them down.

No engine, no model and nothing of ours: the standard library only, so that what it answers is known by reading it.
MODEL is its script, a file that names the obligation to break, or "" to keep them all. It speaks the Open Inference
Protocol v2 over HTTP, takes binary tensors, answers in JSON, and counts at ``/counted``.
"""

import json
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WIDTH = 4
DECLARED = (("inputs", "x", (-1, WIDTH)), ("outputs", "y", (-1, WIDTH)), ("outputs", "z", (-1,)))
BREACHES = ("wrong answers", "mixed-up answers", "other metadata", "counts twice", "leaves a file", "wrong stamps")

Rows = list[tuple[float, ...]]


class Engine:
    """What one server holds."""

    def __init__(self, status: Path, breach: str) -> None:
        self._status = status
        self.breach = breach
        self.counted = {"inferences": 0, "executions": 0}
        self._lock = threading.Lock()
        self._last: dict[str, Any] = {}

    def report(self, name: str, **more: object) -> None:
        """A line of the status file."""
        back_ns = 3_600_000_000_000 if (self.breach, name) == ("wrong stamps", "model-loaded") else 0
        line = {"name": name, "at_ns": time.monotonic_ns() - back_ns, "port": None, "facts": None, **more}
        with self._status.open("a", encoding="ascii") as file:
            file.write(json.dumps(line) + "\n")

    def metadata(self) -> dict[str, Any]:
        """As declared."""
        document: dict[str, Any] = {"name": "tiny", "inputs": [], "outputs": []}
        for side, name, shape in DECLARED:
            found = [3] if (self.breach, name) == ("other metadata", "z") else list(shape)
            document[side].append({"name": name, "datatype": "FP32", "shape": found})
        return document

    def infer(self, rows: Rows) -> dict[str, Any]:
        """Both outputs; of the request before where answers are mixed up."""
        factor = 3 if self.breach == "wrong answers" else 2
        y = [factor * value + 1 for row in rows for value in row]
        answer = {
            "outputs": [
                {"name": "y", "datatype": "FP32", "shape": [len(rows), WIDTH], "data": y},
                {"name": "z", "datatype": "FP32", "shape": [len(rows)], "data": [sum(row) for row in rows]},
            ]
        }
        with self._lock:
            self.counted["inferences"] += len(rows)
            self.counted["executions"] += 2 if self.breach == "counts twice" else 1
            last, self._last = self._last, answer
        return last if last and self.breach == "mixed-up answers" else answer


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    engine: Engine

    def do_GET(self) -> None:
        """Health, metadata, counters."""
        documents = {"/v2/health/ready": {}, "/v2/models/tiny": self.engine.metadata(), "/counted": self.engine.counted}
        self._answer(documents.get(self.path))

    def do_POST(self) -> None:
        """One inference of one binary tensor."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        tensor = body[int(self.headers["Inference-Header-Content-Length"]) :]
        rows = list(struct.iter_unpack(f"<{WIDTH}f", tensor))
        self._answer(self.engine.infer(rows) if self.path == "/v2/models/tiny/infer" else None)

    def _answer(self, document: dict[str, Any] | None) -> None:
        body = json.dumps({"error": "not found"} if document is None else document).encode()
        self.send_response(404 if document is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def main(status: Path, script: Path) -> None:
    """Until it is killed."""
    engine = Handler.engine = Engine(status, script.read_text(encoding="ascii"))
    if engine.breach == "leaves a file":
        (script.parent / "left").touch()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    engine.report("listening", port=server.server_port)
    engine.report("model-loaded", facts={"engine": "scripted"})
    server.serve_forever()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
