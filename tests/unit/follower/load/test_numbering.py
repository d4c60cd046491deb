"""Requests that carry their number: one place changes, nothing else, and no two requests share their bytes."""

import json

import numpy as np
import pytest

from follower.load.dialects import DIALECTS, target_of
from follower.load.encode import HEADER_LENGTH, UNNUMBERED, InputTensor
from follower.load.exchange import Exchange
from follower.load.infer_message import PREFIX_BYTES
from follower.load.merge import merge_numbers
from follower.load.numbering import Numbering
from follower.load.protobuf import fields
from follower.load.protocol import Target
from follower.load.samples import RECORD
from follower.serve.protocol import DialectName, Endpoint

TENSOR = InputTensor(name='{"id":"', datatype="FP32", array=np.arange(4, dtype=np.float32).reshape(1, 4))
SPOKEN: tuple[DialectName, ...] = ("openinference-http", "openinference-grpc")


def target(dialect: DialectName, *, numbered: bool = True) -> Target:
    """Of a service that asks for numbers."""
    return target_of(Endpoint(host="h", port=1, model_name="m", dialect=dialect, numbered=numbered))


def exchange(row: int, request: bytes, payload: int = 0) -> Exchange:
    """About to be sent."""
    made = Exchange(row, payload, 0, 0)
    made.request = request
    return made


def id_of(dialect: DialectName, request: bytes | bytearray) -> str:
    """The id, read as the server would."""
    if dialect == "openinference-http":
        head, _, body = bytes(request).partition(b"\r\n\r\n")
        lines = dict(line.lower().split(b": ") for line in head.split(b"\r\n")[1:])
        return str(json.loads(body[: int(lines[HEADER_LENGTH])])["id"])
    (found,) = [value for number, _, value in fields(memoryview(request)[PREFIX_BYTES:]) if number == 3]
    assert not isinstance(found, int)
    return bytes(found).decode()


@pytest.mark.parametrize("dialect", SPOKEN)
def test_the_number_is_the_request_s_id_and_the_rest_stays(dialect: DialectName) -> None:
    """Row and worker make it unique in the run."""
    request = DIALECTS[dialect].encode(target(dialect), [TENSOR])
    assert id_of(dialect, request) == UNNUMBERED
    sent = exchange(41, request)
    Numbering(target(dialect), worker=1, workers=3, same_bytes=True).write(sent)
    assert id_of(dialect, sent.request) == "000000000124"
    assert bytes(sent.request).replace(b"000000000124", UNNUMBERED.encode(), 1) == request


@pytest.mark.parametrize("dialect", SPOKEN)
def test_without_a_wish_for_numbers_there_is_no_id(dialect: DialectName) -> None:
    """The bytes are those that they have always been."""
    plain = DIALECTS[dialect].encode(target(dialect, numbered=False), [TENSOR])
    numbered = DIALECTS[dialect].encode(target(dialect), [TENSOR])
    assert UNNUMBERED.encode() in numbered
    assert UNNUMBERED.encode() not in plain


def test_bytes_are_used_again_only_once_nobody_sends_them() -> None:
    """Two requests of one payload in flight have bytes of their own; the third takes over those of the first."""
    request = DIALECTS["openinference-grpc"].encode(target("openinference-grpc"), [TENSOR])
    numbering = Numbering(target("openinference-grpc"), same_bytes=True)
    one, two, three = (exchange(row, request) for row in (1, 2, 3))
    numbering.write(one)
    numbering.write(two)
    first = one.request
    assert first is not two.request
    assert id_of("openinference-grpc", one.request) == "000000000001"
    numbering.release(one)
    numbering.write(three)
    assert three.request is first
    assert id_of("openinference-grpc", three.request) == "000000000003"
    assert id_of("openinference-grpc", two.request) == "000000000002"


def test_payloads_do_not_share_bytes() -> None:
    """Each has its own spare copies."""
    numbering = Numbering(target("openinference-grpc"), same_bytes=True)
    requests = [
        DIALECTS["openinference-grpc"].encode(
            target("openinference-grpc"), [InputTensor(name="x", datatype="FP32", array=np.full((1, 2), k, np.float32))]
        )
        for k in (1, 2)
    ]
    done = exchange(0, requests[0], payload=0)
    numbering.write(done)
    numbering.release(done)
    other = exchange(1, requests[1], payload=1)
    numbering.write(other)
    assert bytes(other.request).endswith(np.full(2, 2, np.float32).tobytes())


def test_requests_of_a_pipeline_are_never_used_again() -> None:
    """Each has its own bytes."""
    numbering = Numbering(target("openinference-grpc"), same_bytes=False)
    request = DIALECTS["openinference-grpc"].encode(target("openinference-grpc"), [TENSOR])
    one, two = exchange(0, request), exchange(1, request)
    numbering.write(one)
    kept = one.request
    numbering.release(one)
    numbering.write(two)
    assert two.request is not kept


def test_numbers_follow_their_rows_through_the_merge() -> None:
    """Two workers whose due times interleave; the second left its row 1 unwritten."""
    workers = []
    for due in ([10, 30], [20, 40]):
        rows = np.zeros(2, RECORD)
        rows["due_ns"] = due
        workers.append(rows)
    numbers = merge_numbers(workers, [np.array([0, 1]), np.array([0, 2])])
    assert numbers.tolist() == [0, 1, 2, 5]
    assert merge_numbers([], []).tolist() == []
