"""What a converter says of its attempts, with a leader that answers as told."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from follower.convert.attempt import FOLDER, ConversionAttempt
from follower.convert.worker import Converter, take_place
from shared.errors import Conflict, NotFound, StaleFence, Unavailable
from shared.wire.assignment import ModelPin
from shared.wire.conversions import ConversionEnd, ConversionOrder, ConverterAnswer, ConverterClaim

NO_MODEL = b"\x08\x08garbage"
CARD = {"format": "onnx", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}


def order(content: bytes = NO_MODEL, **changes: Any) -> ConversionOrder:
    """Of something that is no model."""
    source = ModelPin(
        name="m", version=1, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content), card=CARD
    )
    fields = {"id": "c-1", "attempt": 1, "fence": 7, "to": "optimized", "dataset": None, "source": source}
    return ConversionOrder.model_validate({**fields, **changes})


class Lease:
    """Kept, unless it is said to be lost."""

    lost: str | None = None

    def say(self, waiting: str | None) -> None:
        """Nobody listens."""


class Leader:
    """Hands out bytes, and remembers what it was told."""

    def __init__(self, content: bytes = NO_MODEL, *, orders: tuple[ConversionOrder, ...] = ()) -> None:
        self.content = content
        self.orders = list(orders)
        self.ends: list[tuple[str, str]] = []
        self.claims: list[ConverterClaim] = []
        self.refuses: Exception | None = None

    @contextmanager
    def blob(self, _sha256: str) -> Iterator[Iterator[bytes]]:
        if self.refuses is not None:
            raise self.refuses
        yield iter([self.content])

    def finish(self, _conversion_id: str, end: ConversionEnd) -> None:
        assert end.fence == 7
        self.ends.append((end.outcome, end.detail))

    def claim_conversion(self, claim: ConverterClaim) -> ConverterAnswer:
        self.claims.append(claim)
        given = self.orders.pop(0) if self.orders and claim.waiting is None else None
        return ConverterAnswer(order=given, lease_s=15, poll_s=2, broker_url=None, bell_queue="q")


def attempt(leader: Any, place: Path, given: Any = None, *, stopping: bool = False) -> str | None:
    """One attempt from its start to its end."""
    stop = threading.Event()
    lease: Any = given or Lease()
    if stopping:
        stop.set()
    return ConversionAttempt(order(), leader, lease, place, measuring=lambda: None, stopping=stop).run()


def test_what_is_no_model_is_refused_with_the_childs_last_words(tmp_path: Path) -> None:
    """And nothing is left in the place."""
    leader = Leader()
    assert attempt(leader, tmp_path) == "refused"
    assert leader.ends[0][1].startswith("The model cannot be converted to optimized: ")
    assert list(tmp_path.iterdir()) == []


def test_a_source_that_is_gone_is_refused(tmp_path: Path) -> None:
    """Nobody can convert it any more."""
    leader = Leader()
    leader.refuses = NotFound("no such blob")
    assert attempt(leader, tmp_path) == "refused"
    assert leader.ends == [("refused", "no such blob")]


def test_a_machine_that_fails_is_broken_and_rests(tmp_path: Path) -> None:
    """The conversion is for another, or for later; the converter goes on."""
    leader: Any = Leader(orders=(order(),))
    converter = Converter(leader, tmp_path / "not" / "there", lambda: None, broken_rest_s=0)
    assert converter._turn() == 0
    assert leader.ends[0][0] == "broken"
    assert converter._turn() == 2


def test_one_that_is_to_stop_says_so_once_whatever_the_leader_answers(tmp_path: Path) -> None:
    """Whoever stops it waits."""
    leader = Leader()
    assert attempt(leader, tmp_path, stopping=True) == "stopped"
    assert leader.ends == [("stopped", "")]
    leader.refuses = Unavailable("away")
    assert attempt(leader, tmp_path, stopping=True) == "stopped"


def test_with_its_lease_an_attempt_loses_its_voice(tmp_path: Path) -> None:
    """It tells nothing, and the converter takes the next."""
    leader, lost = Leader(), Lease()
    lost.lost = "superseded"
    assert attempt(leader, tmp_path, lost) is None
    leader.refuses = StaleFence("superseded")
    assert attempt(leader, tmp_path) is None
    assert leader.ends == []


def test_beside_one_who_measures_nothing_is_taken(tmp_path: Path) -> None:
    """The claim says why."""
    leader: Any = Leader(orders=(order(),))
    converter = Converter(leader, tmp_path, lambda: "follower 'f1'")
    assert converter._turn() == 2
    assert [claim.waiting for claim in leader.claims] == ["this machine measures for follower 'f1'"]
    assert (len(leader.orders), leader.ends) == (1, [])


def test_what_an_earlier_converter_left_is_ended_and_removed(tmp_path: Path) -> None:
    """Known by the home that its processes have; another's stay."""
    left = tmp_path / f"{FOLDER}left"
    left.mkdir()
    orphan, other = (
        psutil.Popen(["sleep", "60"], env={"HOME": str(home), "PATH": "/bin:/usr/bin"})
        for home in (left, tmp_path.parent)
    )
    try:
        with take_place(tmp_path):
            assert orphan.wait(timeout=5) != 0
            assert other.is_running()
            assert not left.exists()
            with pytest.raises(Conflict, match="another converter works in"):
                take_place(tmp_path)
    finally:
        other.kill()
        other.wait()
