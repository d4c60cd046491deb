"""HTTP/1.1 infer requests and answers as a golden server reads and writes them: bytes to facts and back. Pure."""

import json
import struct
from functools import lru_cache
from typing import Final, NamedTuple

from shared.testing.behaviour import Behaviour

SCORES: Final = (0.1, 0.7, 0.2)
"""What it answers for every sample: output ``scores``, class 1 best."""

BROKEN: Final = b"SSH-2.0-no\r\n\r\n"
"""An answer that is none."""

CUT_SHORT: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"
"""The beginning of an answer."""


class Head(NamedTuple):
    """What the head of a request says."""

    head_bytes: int  # with the blank line
    body_bytes: int
    json_bytes: int  # of the JSON before binary tensors; 0 where there is none


def read_head(data: bytes) -> Head | None:
    """The head at the start of ``data``; None while it is not all there."""
    end = data.find(b"\r\n\r\n")
    return None if end < 0 else _head_of(data[:end])


@lru_cache
def _head_of(text: bytes) -> Head:
    _, *lines = text.lower().split(b"\r\n")
    fields = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    return Head(
        len(text) + 4,
        int(fields.get(b"content-length", b"0")),
        int(fields.get(b"inference-header-content-length", b"0")),
    )


def samples_of(data: bytes, head: Head) -> int:
    """The batch size of a whole infer request; 1 where the body is none."""
    if not head.json_bytes:
        return 1
    return _batch_of(data[head.head_bytes : head.head_bytes + head.json_bytes])


@lru_cache
def _batch_of(document: bytes) -> int:
    return int(json.loads(document)["inputs"][0]["shape"][0])


def infer_body(samples: int, filler_bytes: int) -> tuple[int, bytes]:
    """Length of the JSON, and the whole body: ``scores`` as FP32 of shape (samples, 3), then ``filler`` as UINT8."""
    scores = struct.pack(f"<{3 * samples}f", *SCORES * samples)
    outputs = [_output("scores", "FP32", [samples, 3], len(scores))]
    if filler_bytes:
        outputs.append(_output("filler", "UINT8", [filler_bytes], filler_bytes))
    head = json.dumps({"model_name": "golden", "outputs": outputs}).encode()
    return len(head), head + scores + bytes(filler_bytes)


def _output(name: str, datatype: str, shape: list[int], size: int) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


class Answers:
    """Writes answers; what never changes is made once."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._bodies: dict[int, tuple[int, bytes]] = {}
        self._fixed = {} if behaviour.reports else {1: self.render(1, ())}

    def infer(self, samples: int, report: tuple[tuple[str, int], ...]) -> bytes:
        """A right answer."""
        fixed = self._fixed.get(samples)
        return self.render(samples, report) if fixed is None else fixed

    def failure(self) -> bytes:
        """A whole answer that says the server failed."""
        return self._with_body("500 Internal Server Error", [], b'{"error":"injected"}')

    def wrong_body(self, samples: int) -> bytes:
        """An answer of the right length that is no infer response."""
        length, body = self._body(samples)
        return self._with_body("200 OK", [f"Inference-Header-Content-Length: {length}"], b"x" * len(body))

    def render(self, samples: int, report: tuple[tuple[str, int], ...]) -> bytes:
        """A right answer, made anew."""
        length, body = self._body(samples)
        fields = [f"Inference-Header-Content-Length: {length}"]
        if self._behaviour.reports:
            fields += [f"{name}: {value}" for name, value in report]
            fields += [f"inferbench-batch-size: {samples}"]
        return self._with_body("200 OK", fields, body)

    def _body(self, samples: int) -> tuple[int, bytes]:
        if samples not in self._bodies:
            self._bodies[samples] = infer_body(samples, self._behaviour.filler_bytes)
        return self._bodies[samples]

    def _with_body(self, status: str, fields: list[str], body: bytes) -> bytes:
        lines = [f"HTTP/1.1 {status}", "X-Padding: golden", *fields]
        if self._behaviour.close_each and self._behaviour.announces_close:
            lines.append("Connection: close")
        if self._behaviour.chunked:
            lines.append("Transfer-Encoding: chunked")
            half = len(body) // 2
            body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:], b""))
        else:
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body
