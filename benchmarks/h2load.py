"""h2load beside our own generator: the same gRPC message, one connection, one stream at a time, the same core.

Its bias: it stamps a request when it is submitted to its HTTP/2 library and logs whole microseconds; it does not look
at the gRPC status, only at HTTP's.
"""

import shutil
import subprocess
from pathlib import Path
from statistics import median

from benchmarks.cores import on_client


def is_there() -> bool:
    """Whether h2load can be run."""
    return shutil.which("h2load") is not None


def h2load_p50_us(url: str, message: bytes, *, requests: int, folder: Path) -> float:
    """Sends the message, with its gRPC prefix, so many times, one after another; the median of its own log.

    Raises:
        RuntimeError: h2load failed, or a request of it did.
    """
    body, log = folder / "message.bin", folder / "h2load.log"
    body.write_bytes(message)
    log.unlink(missing_ok=True)
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    command = ["h2load", f"-n{requests}", "-c1", "-m1", "-d", str(body), f"--log-file={log}", *headers, url]
    ran = subprocess.run(on_client(command), capture_output=True, text=True, check=False)
    if ran.returncode != 0 or not log.exists():
        raise RuntimeError(f"h2load failed: {ran.stdout} {ran.stderr}")
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    if len(rows) != requests or {row[1] for row in rows} != {"200"}:
        raise RuntimeError(f"h2load did not get {requests} answers: {ran.stdout}")
    return median(float(row[2]) for row in rows)
