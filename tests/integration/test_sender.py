"""The sender process against a real server whose true behaviour is known and written down.

Counts are exact. Times are compared with the server's own journal, and only where the comparison holds on a busy
machine: tolerances are wide, and none asks for more than the server itself achieved.
"""

import io
import threading
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from PIL import Image
from support.samples import MS
from support.sending import Rig, sender_of, target_of

from shared.jobs.pipeline import PipelineSpec
from shared.measure.columns import NOT_AVAILABLE
from shared.measure.stages import stage_times
from shared.measure.windows import succeeded
from shared.testing.behaviour import Behaviour, every
from shared.testing.golden_server import golden_server
from shared.testing.http_messages import SCORES
from shared.testing.journal import served_ns


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A folder of its own for every run."""
    return Rig(tmp_path)


def test_latencies_are_what_the_server_did(rig: Rig) -> None:
    """No answer is faster than the server's own time for it, and the medians agree within 3 ms on a busy machine."""
    with golden_server(Behaviour(service_ms=5, sigma=0.5)) as server:
        ran = rig.load(server, pattern="poisson", rate=100, duration="1s")
        journal = server.journal()
    assert ran.errors() == {"ok": len(journal)}
    assert ran.outcome.end_ns >= ran.window.end_ns
    served = served_ns(journal)
    measured = ran.columns["last_byte_ns"] - ran.columns["send_start_ns"]
    assert (np.sort(measured) >= np.sort(served)).all()
    assert np.median(measured) - np.median(served) < 3 * MS
    assert (ran.columns["server_total_ns"] <= measured).all()


def test_stages_of_real_requests_sum_to_their_response_latency(rig: Rig) -> None:
    """Exactly, and most of the time is where the server says it is."""
    with golden_server(Behaviour(service_ms=10)) as server:
        ran = rig.load(server, pattern="constant", rate=100, duration="1s")
    times = stage_times(ran.columns)
    total = np.sum(list(times.durations_ns.values()), axis=0)
    assert (total == ran.columns["done_ns"] - ran.columns["due_ns"]).all()
    assert times.reported.all()
    assert (times.durations_ns["transmission"] > 0).all()
    stages = ran.measure().stages
    assert (stages["inference"].share or 0) > 0.7
    assert sum(stage.share or 0 for stage in stages.values()) == pytest.approx(1)


def test_closed_loop_keeps_its_concurrency_through_the_hand_over(rig: Rig) -> None:
    """Four in flight before, at and after the start of the window, and never more."""
    with golden_server(Behaviour(service_ms=20)) as server:
        ran = rig.load(server, pattern="closed", concurrency=4, warmup="500ms", duration="1s")
        journal = server.journal()
    assert ran.errors() == {"ok": len(journal)}
    assert ran.outcome.max_in_flight == 4
    assert (ran.outcome.mean_in_flight or 0) > 3.8
    at = ran.window.start_ns
    in_flight = (ran.columns["start_ns"] <= at) & (ran.columns["done_ns"] > at)
    assert 3 <= np.count_nonzero(in_flight) <= 4
    assert not [reason for reason in ran.measure().verdict.reasons if "Little" in reason]


def quantile_ms(durations_ns: npt.NDArray[np.int64], share: float) -> float:
    """The nearest-rank quantile."""
    return float(np.quantile(durations_ns, share, method="inverted_cdf")) / MS


def test_a_stall_shows_in_the_response_latency_and_not_in_what_was_sent(rig: Rig) -> None:
    """Frozen 0.4 s of every 2.4 s: one arrival in six waits U(0, 0.4 s), so p90, p95, p99 are 160, 280, 376 ms.

    The load must not slow down for it: every planned request is sent on time.
    """
    with golden_server(Behaviour(service_ms=1, stall_s=0.4, period_s=2.4)) as server:
        ran = rig.load(server, pattern="constant", rate=100, warmup="0s", duration="4800ms")
    response_ns = ran.columns["done_ns"] - ran.columns["due_ns"]
    assert ran.errors() == {"ok": 480}
    assert quantile_ms(response_ns, 0.5) < 20
    for share, stalled_ms in ((0.9, 160), (0.95, 280), (0.99, 376)):
        assert quantile_ms(response_ns, share) == pytest.approx(stalled_ms, abs=30)
    assert ran.measure().load.sent_rps == pytest.approx(100, abs=1)
    assert ran.measure().verdict.kind != "overloaded"


def test_a_late_sender_sends_everything_and_says_so(rig: Rig) -> None:
    """Held up for 0.3 s, as by a busy machine, it drops nothing; only the response latency has the wait in it."""

    def freeze() -> None:
        sender = sender_of(psutil.Process())
        threading.Timer(0.4, sender.suspend).start()
        threading.Timer(0.7, sender.resume).start()

    with golden_server(Behaviour(service_ms=1)) as server:
        request = rig.request(
            target_of(server), {"pattern": "constant", "rate": 100, "warmup": "0s", "duration": "1200ms"}
        )
        ran = rig.run(request, on_start=freeze)
    late_ns = ran.columns["start_ns"] - ran.columns["due_ns"]
    assert ran.errors() == {"ok": 120}
    assert late_ns.max() > 200 * MS
    assert quantile_ms(ran.columns["done_ns"] - ran.columns["due_ns"], 0.95) > 100
    assert quantile_ms(ran.columns["last_byte_ns"] - ran.columns["send_start_ns"], 0.95) < 50
    assert [reason for reason in ran.measure().verdict.reasons if "the sender was late" in reason]


def test_overload_is_told_and_no_request_is_dropped(rig: Rig) -> None:
    """200/s offered to a server of 100/s at most: the verdict says overloaded, with what it really did."""
    with golden_server(Behaviour(service_ms=10, serial=True)) as server:
        ran = rig.load(server, pattern="poisson", rate=200, warmup="0s", duration="1500ms", request_timeout="10s")
        answered = [done.answered_ns for done in server.journal()]
    result = ran.measure()
    assert result.verdict.kind == "overloaded"
    inside = sum(ran.window.start_ns <= answered_ns < ran.window.end_ns for answered_ns in answered)
    assert result.throughput_rps == pytest.approx(inside / 1.5, abs=2)
    assert result.load.sent == result.load.planned == len(ran.plan.due_ns)
    assert ran.errors() == {"ok": len(ran.plan.due_ns)}
    assert ran.outcome.max_in_flight > 50


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(chunked=True),
        Behaviour(pieces=7, piece_gap_ms=3),
        Behaviour(chunked=True, pieces=50),
        Behaviour(close_each=True),
        Behaviour(reports=False),
        Behaviour(filler_bytes=3 << 20),
        Behaviour(filler_bytes=200_000, chunked=True),
    ],
    ids=[
        "chunked",
        "trickle",
        "chunked in shreds",
        "closes each",
        "reports nothing",
        "above the buffer",
        "long chunks",
    ],
)
def test_every_way_to_answer_is_understood(rig: Rig, behaviour: Behaviour) -> None:
    """No error, and as many answers as the server gave."""
    with golden_server(behaviour) as server:
        ran = rig.load(server, pattern="closed", concurrency=3, duration="300ms")
        assert ran.errors() == {"ok": len(server.journal())}
    reported = ran.columns["server_inference_ns"] != NOT_AVAILABLE
    assert reported.all() if behaviour.reports else not reported.any()
    spread_ns = ran.columns["last_byte_ns"] - ran.columns["first_byte_ns"]
    assert np.median(spread_ns) > 10 * MS if behaviour.piece_gap_ms else np.median(spread_ns) < 10 * MS


def test_an_open_loop_opens_as_many_connections_as_it_needs(rig: Rig) -> None:
    """More in flight than were opened ahead, on a server that closes every connection after one answer."""
    with golden_server(Behaviour(service_ms=200, close_each=True)) as server:
        ran = rig.load(server, pattern="constant", rate=300, duration="300ms")
    assert ran.errors() == {"ok": 150}
    assert ran.outcome.max_in_flight > 40


SLOW = PipelineSpec.model_validate({"preprocess": [{"op": "decode_image"}, {"op": "resize", "size": [8, 8]}]})
CLASSIFY = PipelineSpec.model_validate(
    {
        "preprocess": [{"op": "decode_image"}, {"op": "resize", "size": [8, 8]}],
        "postprocess": [{"op": "softmax"}, {"op": "top_k", "k": 1}],
    }
)


@pytest.fixture(scope="module")
def image() -> bytes:
    """A JPEG that takes milliseconds to decode."""
    pixels = np.random.default_rng(1).integers(0, 255, (600, 600, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def test_a_sender_that_cannot_keep_up_leaves_the_rest_as_not_sent(rig: Rig, image: bytes) -> None:
    """A pipeline too slow for the rate: planned = sent + not sent, nothing is dropped in silence."""
    with golden_server() as server:
        workload = {"pattern": "constant", "rate": 2000, "duration": "300ms", "request_timeout": "300ms"}
        ran = rig.run(rig.request(target_of(server), workload, raw=[[image]], pipeline=SLOW))
    errors = ran.errors()
    result = ran.measure()
    assert errors["not-sent"] > 0
    assert sum(errors.values()) == len(ran.plan.due_ns) == 1000
    assert result.load.planned == result.load.sent + result.errors["not-sent"]
    assert [reason for reason in result.verdict.reasons if reason.startswith("client-limited")]


def test_pipeline_work_is_timed_and_its_answers_come_back(rig: Rig, image: bytes) -> None:
    """Pre- and post-processing show in their stages; each payload has one answer per sample."""
    with golden_server() as server:
        ran = rig.run(
            rig.request(
                target_of(server),
                {"pattern": "constant", "rate": 20, "duration": "800ms"},
                raw=[[image, image], [image, b"not an image"]],
                pipeline=CLASSIFY,
                labels=("cat", "dog", "fox"),
            )
        )
    assert ran.errors() == {"ok": 10, "pipeline": 10}
    good, bad = ran.outcome.answers
    assert bad is None
    assert isinstance(good, tuple)
    assert [answer.label for answer in good] == ["dog", "dog"]
    assert good[0].confidence == pytest.approx(np.exp(SCORES[1]) / np.exp(SCORES).sum(), rel=1e-5)
    stages = ran.measure().stages
    assert (stages["preprocess"].p50_ms or 0) > 1
    assert (stages["postprocess"].p50_ms or 0) > 0
    assert set(ran.columns["batch_size"][succeeded(ran.columns)].tolist()) == {2}


def test_a_body_that_is_not_the_promised_one_is_malformed_where_it_is_read(rig: Rig) -> None:
    """The right length, but no infer response."""
    with golden_server(Behaviour(faults=every(5, "wrong-body"))) as server:
        workload = {"pattern": "constant", "rate": 100, "duration": "300ms"}
        ran = rig.run(rig.request(target_of(server), workload, raw=[[b"abc"]]))
    assert ran.errors() == {"ok": 40, "malformed": 10}


def test_the_sender_starts_quickly_and_on_time(rig: Rig) -> None:
    """From the call to the first due time well under the run's budget; then half of the requests within 1 ms."""
    began = time.monotonic()
    started: list[float] = []
    with golden_server() as server:
        request = rig.request(target_of(server), {"pattern": "poisson", "rate": 200, "duration": "800ms"})
        ran = rig.run(request, on_start=lambda: started.append(time.monotonic() - began))
    assert started[0] < 3
    assert np.median(ran.columns["start_ns"] - ran.columns["due_ns"]) < MS
