"""Whether a statement of the paper holds for some runs: known before the code is asked."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from support.stored_records import record

from benchmarks.paper import findings
from benchmarks.paper.experiments import EXPERIMENTS, JOBS
from benchmarks.paper.measured import Finding, Measured
from benchmarks.paper.page import section, with_section
from shared.jobs.document import read_job
from shared.measure.record import ColdStart, Resources, StageSummary, Verdict


def run(point: Mapping[str, Any], **figures: Any) -> Measured:
    """A run that measured these figures."""
    return Measured(point, record(**figures))


def tails(path: str, of: Mapping[Any, float]) -> list[Measured]:
    """Runs along one axis, each with its tail."""
    return [run({path: value}, p99_ms=ms) for value, ms in of.items()]


def stages(transmission_ms: float, inference_ms: float) -> dict[str, StageSummary]:
    """The two that matter."""

    def stage(ms: float) -> StageSummary:
        return StageSummary(n=10, mean_ms=ms, p50_ms=ms, p90_ms=ms, p99_ms=ms, share=0.5)

    return {"transmission": stage(transmission_ms), "inference": stage(inference_ms)}


def started(platform: str, layers: int, ms: float) -> Measured:
    """A platform with a model of so many layers, and when it gave its first answer."""
    cold = ColdStart(spawned_ms=1, port_open_ms=None, model_loaded_ms=None, ready_ms=None, first_inference_ms=ms)
    return run({"service.platform": platform, "model.generate.layers": layers}, cold_start=cold)


def cpu(rate: float, pct: float) -> Measured:
    """What a server took at a rate."""
    server = Resources(cpu_mean_pct=pct, cpu_max_pct=pct, rss_max_bytes=2**20, samples=10)
    return run({"service.platform": "triton", "workload.rate": rate}, server=server)


def batched(rates: Mapping[str, Sequence[tuple[float, float]]]) -> list[Measured]:
    """Platform -> (throughput without, with) at 1, 4 and 16 clients."""
    return [
        run(
            {"service.platform": platform, "workload.concurrency": clients, "service.batching.max_batch_size": size},
            throughput_rps=rps,
        )
        for platform, pairs in rates.items()
        for clients, pair in zip((1, 4, 16), pairs, strict=True)
        for size, rps in zip((1, 8), pair, strict=True)
    ]


@pytest.mark.parametrize(
    ("finding", "holds"),
    [
        (findings.grows_with_batch(tails("requests.batch_size", {1: 5.0, 4: 9.0, 8: 20.0})), True),
        (findings.grows_with_batch(tails("requests.batch_size", {1: 5.0, 4: 4.0, 8: 20.0})), False),
        (findings.grows_with_rate(tails("workload.rate", {5: 10.0, 40: 21.0})), True),
        (findings.grows_with_rate(tails("workload.rate", {5: 10.0, 40: 12.0})), False),
        (findings.triton_leads(tails("service.platform", {"onnxruntime": 5, "triton": 4, "tfs-compat": 9})), True),
        (findings.triton_leads(tails("service.platform", {"onnxruntime": 5, "triton": 6, "tfs-compat": 9})), False),
        (findings.triton_leads(tails("service.platform", {"onnxruntime": 9, "triton": 4, "tfs-compat": 5})), False),
        (
            findings.batching_pays(
                batched({"triton": [(10, 10), (20, 30), (20, 50)], "tfs-compat": [(10, 8), (20, 25), (20, 40)]})
            ),
            True,
        ),
        (
            findings.batching_pays(
                batched({"triton": [(10, 10), (20, 30), (20, 20)], "tfs-compat": [(10, 8), (20, 25), (20, 40)]})
            ),
            False,
        ),
        (
            findings.batching_pays(
                batched({"triton": [(10, 3), (20, 18), (20, 50)], "tfs-compat": [(10, 8), (20, 25), (20, 40)]})
            ),
            False,
        ),
        (findings.under_used_at_low_rate([cpu(10, 20.0), cpu(40, 70.0)]), True),
        (findings.under_used_at_low_rate([cpu(10, 60.0), cpu(40, 70.0)]), False),
        (
            findings.inference_takes_over(
                [run({"b": 1}, stages=stages(10, 8)), run({"b": 4}, stages=stages(20, 40))]
            ),
            True,
        ),
        (
            findings.inference_takes_over(
                [run({"b": 1}, stages=stages(100, 8)), run({"b": 4}, stages=stages(20, 40))]
            ),
            False,
        ),
        (findings.lte_is_longest(tails("network", {"lan": 1.0, "wifi": 9.0, "lte": 50.0})), True),
        (findings.lte_is_longest(tails("network", {"lan": 1.0, "wifi": 60.0, "lte": 50.0})), False),
        (
            findings.triton_starts_slowly(
                [started("triton", 2, 11_000), started("triton", 16, 12_000), started("tfs-compat", 2, 4000),
                 started("tfs-compat", 16, 5000)]
            ),
            True,
        ),
        (
            findings.triton_starts_slowly(
                [started("triton", 2, 1000), started("triton", 16, 1200), started("tfs-compat", 2, 4000),
                 started("tfs-compat", 16, 5000)]
            ),
            False,
        ),
    ],
)  # fmt: skip
def test_a_statement_holds_where_the_figures_say_so(finding: Finding, holds: bool) -> None:
    """And nowhere else."""
    assert finding.holds is holds


def test_nothing_is_told_from_what_may_not_be_believed() -> None:
    """A run without record, one that is invalid, and one without a certified figure."""
    good = run({"workload.rate": 5}, p99_ms=5.0)
    invalid = run({"workload.rate": 9}, p99_ms=50.0, verdict=Verdict(kind="invalid"))
    uncertified = run({"workload.rate": 9}, p99_ms=None)
    for other in (Measured({"workload.rate": 9}, None, "failed: server-died"), invalid, uncertified):
        assert findings.grows_with_rate([good, other]).holds is None
    assert findings.grows_with_rate([]).word == "cannot be told"


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_every_experiment_has_a_job_file_that_is_valid(experiment: Any) -> None:
    """Under its own name, with something to sweep."""
    job = read_job(experiment.job_file.read_text())
    assert job.name == experiment.name
    assert job.sweep


def test_every_job_file_is_an_experiment() -> None:
    """None lies there unused."""
    assert {path.stem for path in JOBS.glob("*.yaml")} == {experiment.name for experiment in EXPERIMENTS}


def test_a_new_section_takes_the_place_of_the_old_one() -> None:
    """In the order of the experiments, whichever was measured first; what people wrote above stays."""
    page = "# Title\n\nWords.\n\n<!-- What follows was written by `make paper`. -->\n"
    page = with_section(page, "b", "## b\n\nold\n", order=["a", "b"])
    page = with_section(page, "a", "## a\n\nfirst\n", order=["a", "b"])
    page = with_section(page, "b", "## b\n\nnew\n", order=["a", "b"])
    assert page.endswith("`make paper`. -->\n\n## a\n\nfirst\n\n## b\n\nnew\n")
    assert page.startswith("# Title\n\nWords.\n")


def test_a_section_shows_every_run_and_the_finding() -> None:
    """A run without a record says how it ended, and a figure that is not available is never zero."""
    rate = next(each for each in EXPERIMENTS if each.name == "tail-latency-by-arrival-rate")
    lost = Measured({"workload.rate": 40}, None, "failed: server-died")
    text = section(rate, [run({"workload.rate": 5}, p99_ms=1234.5), lost])
    assert "| workload.rate | p50 ms | p95 ms | p99 ms | verdict |" in text
    assert "| 5 | 1,234 | 1,234 | 1,234 | stable |" in text
    assert "| 40 | n/a | n/a | n/a | failed: server-died |" in text
    assert "**The statement cannot be told**" in text
