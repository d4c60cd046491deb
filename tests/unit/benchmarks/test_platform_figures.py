"""What the figures of the serving platforms are made of: the contract's results by way to serve, stages by request."""

import math

import pytest
from support.records import record

from benchmarks.cold_start import added
from benchmarks.conformance import counted, ends_of
from benchmarks.stage_sum import summed
from shared.measure.record import ColdStart, StageSummary

SUITE = "tests/contract/test_platform_contract.py"
OUTPUT = f"""
{SUITE}::test_no_platform_escapes_the_contract PASSED [  0%]
{SUITE}::test_an_offer[scripted-process-http] PASSED [  1%]
{SUITE}::test_an_offer[onnxruntime-process-http] PASSED [  2%]
{SUITE}::test_an_offer[triton-process-grpc] PASSED [  3%]
{SUITE}::test_an_offer[tfs-compat-process-http] SKIPPED (engine tensorflow is not installed) [  4%]
{SUITE}::test_stop[onnxruntime-process-http] PASSED [  5%]
{SUITE}::test_stop[triton-process-grpc] FAILED [  6%]
{SUITE}::test_stop[tfs-compat-process-http] SKIPPED (engine tensorflow is not installed) [  7%]
"""


def test_a_way_to_serve_passes_if_none_of_its_tests_fails() -> None:
    """The scripted platform is no way to serve; what is not here is listed and asked of nobody."""
    figure = counted(ends_of(OUTPUT))
    assert figure.detail == (
        "passing: onnxruntime-process-http; failing: triton-process-grpc; not here: tfs-compat-process-http"
    )
    assert (figure.measured, figure.low, figure.word) == (1, 2, "MISSED")


def test_a_test_that_breaks_after_it_passed_fails_its_way() -> None:
    """As where something was left behind; a test that is skipped among others does no harm."""
    again = f"{SUITE}::test_a[a-b-c] PASSED\n{SUITE}::test_a[a-b-c] ERROR\n{SUITE}::test_a[d-e-f] PASSED\n"
    figure = counted(ends_of(again + f"{SUITE}::test_b[d-e-f] SKIPPED (not of this one)\n"))
    assert figure.detail == "passing: d-e-f; failing: a-b-c"


def test_a_suite_that_did_not_run_passes_nothing() -> None:
    """No row may be green for want of tests."""
    assert counted(ends_of("INTERNALERROR> ImportError")).word == "MISSED"


@pytest.mark.parametrize(("rest_ms", "word"), [(0.0, "ok"), (0.2, "ok"), (0.3, "MISSED"), (-0.3, "MISSED")])
def test_stages_with_a_name_are_held_against_the_latency_and_the_rest_is_told(rest_ms: float, word: str) -> None:
    """10 ms in all, of which 2 % may be nobody's."""
    named = {"transmission": 4.0, "inference": 6.0 - rest_ms, "queue": None, "unattributed": rest_ms}
    stages = {name: StageSummary(n=1, mean_ms=mean, p50_ms=mean, p90_ms=mean, p99_ms=mean, share=None)
              for name, mean in named.items()}  # fmt: skip
    found = record()
    latency = found.response_latency.model_copy(update={"mean_ms": 10.0})
    figure = summed("f", found.model_copy(update={"stages": stages, "response_latency": latency}))
    assert figure.word == word
    assert figure.measured == pytest.approx((10 - rest_ms) / 10)
    assert "queue n/a" in figure.detail
    assert f"unattributed {rest_ms:.3f}" in figure.detail


def test_a_run_without_latencies_has_no_sum() -> None:
    """And misses."""
    found = record()
    nothing = found.response_latency.model_copy(update={"mean_ms": None})
    figure = summed("f", found.model_copy(update={"response_latency": nothing}))
    assert figure.measured is not None
    assert math.isnan(figure.measured)
    assert not figure.is_met


def cold(first_inference_ms: float, loaded_ms: float | None = 100) -> ColdStart:
    """A start whose last phase took so long."""
    return ColdStart(
        spawned_ms=1, port_open_ms=10, model_loaded_ms=loaded_ms, ready_ms=200, first_inference_ms=first_inference_ms
    )


def test_what_a_container_adds_is_the_difference_of_medians() -> None:
    """Of the last phase; all of them are told, one that the platform does not show as nothing."""
    figure = added("x", [cold(300), cold(9000), cold(250)], [cold(700, None), cold(900, None), cold(800, None)])
    assert figure.measured == pytest.approx(0.5)
    assert figure.detail == (
        "process port open 0.01, model loaded 0.10, ready 0.20, first inference 0.30 s; "
        "container port open 0.01, model loaded nan, ready 0.20, first inference 0.80 s"
    )


def test_a_platform_that_is_not_here_misses_nothing() -> None:
    """Why is told."""
    figure = added("x", [], [], why="its engine is not installed")
    assert (figure.measured, figure.is_met, figure.detail) == (None, True, "its engine is not installed")
