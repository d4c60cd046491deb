"""The pattern cold-start, end to end, with a real server."""

import os
from pathlib import Path

import pytest
from support.assignments import assignment, run_spec
from support.attempt_process import attempt_process, story_kinds
from support.engines import require_engine

from cli.verdict import verdict_block
from follower.agent.reap import carriers_of
from shared.jobs.lifecycle import Cause
from shared.measure.record import ColdStart, Record

PHASES = tuple(ColdStart.model_fields)


def cold(**keys: object) -> dict[str, object]:
    """Three starts, with a few inferences each."""
    return {"pattern": "cold-start", "repeats": 3, "inferences": 12, **keys}


def check_starts(record: Record, repeats: int) -> None:
    """Whole, in order, and told of by the summary as they are."""
    starts = record.cold_starts
    assert starts is not None
    assert len(starts.repeats) == repeats
    for repeat in starts.repeats:
        reached = [getattr(repeat.phases, name) for name in PHASES]
        assert reached == sorted(reached)
        assert repeat.inferences == 12
        assert repeat.steady_ms is not None
    for name in PHASES:
        ascending = sorted(getattr(repeat.phases, name) for repeat in starts.repeats)
        spread = starts.phases[name].spread_ms
        middle = ascending[(repeats + 1) // 2 - 1]
        assert (spread.n, spread.min, spread.median, spread.max) == (repeats, ascending[0], middle, ascending[-1])
        assert not starts.phases[name].p50.certified
    assert record.metrics["cold_start_ms"] == starts.phases["first_inference_ms"].spread_ms.median


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_a_service_is_started_from_nothing_again_and_again(tmp_path: Path, cache: str) -> None:
    """Each start leaves its phases and nothing else; what only a load has is not available, with the reason."""
    task = assignment(spec=run_spec(workload=cold(cache=cache)))
    with attempt_process(tmp_path, task) as attempt:
        record = attempt.succeed().record
        assert carriers_of(tmp_path) == ()
    told = [event.kind for event in attempt.story]
    assert told.count("starting-server") == told.count("cold-start") == 3
    assert story_kinds(attempt)[-2:] == ["collecting", "done"]
    check_starts(record, 3)
    assert record.load is None
    assert (record.throughput_rps, record.error_rate, record.metrics["p50_ms"]) == (None, None, None)
    assert record.response_latency.n == 0
    assert any(note.endswith("a cold start has no load") for note in record.notes)
    assert not attempt.directory.samples.exists()
    assert len(list(attempt.directory.server.glob("start-*/server.log"))) == 3
    block = "\n".join(verdict_block(record))
    assert "first answer" in block
    assert "steady after" in block


@pytest.mark.parametrize(
    ("platform", "protocol", "engine"),
    [("openvino", "http", "openvino"), ("torchscript", "http", "torch"), ("triton", "grpc", "triton")],
)
def test_every_platform_is_started_through_the_same_contract(
    tmp_path: Path, platform: str, protocol: str, engine: str
) -> None:
    """Phases, inferences and a full stop, whatever serves."""
    require_engine(engine)
    spec = run_spec(service={"platform": platform, "protocol": protocol}, workload=cold(repeats=2))
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        check_starts(attempt.succeed(240).record, 2)
        assert carriers_of(tmp_path) == ()


def test_samples_of_a_dataset_go_through_the_pipeline(tmp_path: Path) -> None:
    """The inferences after the first answer carry what the job asks for."""
    spec = run_spec(
        model={"generate": {"family": "cnn", "layers": 1, "width": 4, "image_size": 32}},
        requests={"dataset": "text-lines"},
        pipeline={
            "preprocess": [
                {"op": "decode_image"},
                {"op": "resize", "size": [32, 32]},
                {"op": "normalize"},
                {"op": "channels_first"},
            ],
            "postprocess": [{"op": "softmax"}, {"op": "top_k"}],
        },
        workload=cold(repeats=1),
    )
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        check_starts(attempt.succeed().record, 1)


def test_a_start_that_never_gets_ready_ends_the_attempt_with_its_cause(tmp_path: Path) -> None:
    """One repeat that is missing is no measurement."""
    spec = run_spec(workload=cold(), service={"ready_timeout": "1ms"})
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        assert attempt.fail().cause is Cause.SERVER_NOT_READY
        assert carriers_of(tmp_path) == ()


def test_what_is_dropped_from_the_page_cache_is_not_there_before_the_start(tmp_path: Path) -> None:
    """Said by the kernel itself, where the model lies on a file system that can drop it."""
    spec = run_spec(
        model={"generate": {"family": "fc", "layers": 2, "width": 512}}, workload=cold(cache="cold", repeats=2)
    )
    with attempt_process(tmp_path, assignment(spec=spec)) as attempt:
        starts = attempt.succeed().record.cold_starts
    assert starts is not None
    shares = [repeat.cached_share for repeat in starts.repeats]
    if os.statvfs(tmp_path).f_frsize == 0 or None in shares:
        pytest.skip("this kernel does not tell what is in the page cache")
    assert all(share is not None and share < 0.5 for share in shares)
