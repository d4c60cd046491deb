"""The paper's software and pipeline experiments, shipped as jobs: each runs here, at a small size."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from support.engines import require_engine
from support.running_stack import RunningStack

from benchmarks.paper.__main__ import run
from benchmarks.paper.experiments import EXPERIMENTS, Experiment
from benchmarks.paper.page import section

ENGINES = {"triton": "triton", "tfs-compat": "tensorflow", "torchscript": "torch"}
ALL_PLATFORMS = "tail-latency-by-platform"
"""The one experiment that runs on all of them here; the others do on the first and the last that they name."""


def small(job_file: Path) -> dict[str, Any]:
    """The job with short windows and the ends of each axis; of further axes their first value."""
    job: dict[str, Any] = YAML(typ="safe").load(job_file)
    axes = job["sweep"]
    for number, (path, values) in enumerate(axes.items()):
        if job_file.stem != ALL_PLATFORMS:
            axes[path] = [values[0], values[-1]] if number == 0 else values[:1]
    if job["workload"]["pattern"] == "cold-start":
        job["workload"]["repeats"] = 1
    else:
        job["workload"] |= {"warmup": "500ms", "duration": "1s"}
    return job


def platforms_of(job: dict[str, Any]) -> set[str]:
    """Every platform that the job names."""
    return {job.get("service", {}).get("platform", "onnxruntime"), *job["sweep"].get("service.platform", [])}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_an_experiment_of_the_paper_runs_from_its_job_file(stack: RunningStack, experiment: Experiment) -> None:
    """Every point has a record, and the page's section can be written from them."""
    job = small(experiment.job_file)
    for platform in sorted(platforms_of(job)):
        if platform in ENGINES:
            require_engine(ENGINES[platform])
    measured = run(experiment, stack, _text(job))
    assert measured
    assert [(one.point, one.ended) for one in measured if one.record is None] == []
    assert f"Figure {experiment.figure}" in section(experiment, measured)


def _text(job: dict[str, Any]) -> str:
    text = StringIO()
    YAML(typ="safe").dump(job, text)
    return text.getvalue()
