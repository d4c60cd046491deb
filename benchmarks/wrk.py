"""wrk beside our own generator: the same bytes, the same core, one thread.

Its bias: it counts whole microseconds, and for an answer that took longer than twice its mean gap it adds the ones
that it thinks it missed meanwhile (``stats_correct``), which lifts its own percentiles a little.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.cores import on_client
from shared.testing.http_messages import read_head

MISSING: Final = "not measured: apt install wrk nghttp2-client"
_OWN_HEADERS: Final = {"host", "content-length"}  # wrk writes them itself

_SCRIPT: Final = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
{headers}
done = function(summary, latency, requests)
  local e = summary.errors
  local failed = e.connect + e.read + e.write + e.status + e.timeout
  io.write(string.format("RESULT %d %d %d %d\\n", summary.duration, summary.requests, failed, latency:percentile(50)))
end
"""


@dataclass(frozen=True)
class WrkResult:
    """What wrk measured."""

    p50_us: float
    rps: float


def is_there() -> bool:
    """Whether wrk can be run."""
    return shutil.which("wrk") is not None


def wrk(url: str, request: bytes, *, connections: int, duration_s: int, folder: Path) -> WrkResult:
    """Sends the finished request over and over from the client's core.

    Raises:
        RuntimeError: wrk failed, or a request of it did.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{duration_s}s", "-s", str(write_script(request, folder)), url]
    ran = subprocess.run(on_client(command), capture_output=True, text=True, check=False)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+)", ran.stdout)
    if found is None:
        raise RuntimeError(f"wrk said nothing: {ran.stdout} {ran.stderr}")
    duration_us, requests, failed, p50_us = map(int, found.groups())
    if failed:
        raise RuntimeError(f"{failed} requests of wrk failed: {ran.stdout}")
    return WrkResult(float(p50_us), requests / duration_us * 1e6)


def write_script(request: bytes, folder: Path) -> Path:
    """A Lua script that posts what ``request`` posts."""
    head = read_head(request)
    assert head is not None  # noqa: S101 - it is a finished request
    body = folder / "body.bin"
    body.write_bytes(request[head.head_bytes :])
    fields = [line.partition(": ") for line in request[: head.head_bytes - 4].decode().split("\r\n")[1:]]
    headers = "\n".join(
        f'wrk.headers["{name}"] = "{value}"' for name, _, value in fields if name.lower() not in _OWN_HEADERS
    )
    script = folder / "post.lua"
    script.write_text(_SCRIPT.format(body=body, headers=headers))
    return script
