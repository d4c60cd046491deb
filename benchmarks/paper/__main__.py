"""``python -m benchmarks.paper [NAME...]``: runs the paper's experiments, or those named, on a stack of its own.

The page gets each section as soon as it is measured, and keeps the others. On two cores all take half an hour.
"""

import sys
from pathlib import Path
from typing import Final

import httpx
from support.running_stack import MEASURED, RunningStack
from support.serving import eventually

from benchmarks.paper.experiments import EXPERIMENTS, Experiment
from benchmarks.paper.measured import Measured
from benchmarks.paper.page import section, with_section
from benchmarks.stack import fresh_stack
from shared.wire.views import RecordView

PAGE: Final = Path(__file__).parents[2] / "docs" / "paper-experiments.md"
MOST_S: Final = 900


def run(experiment: Experiment, stack: RunningStack, job: str | None = None) -> list[Measured]:
    """Every point of the experiment's sweep, measured; ``job``: another text than its file's."""
    submitted = stack.submit(experiment.job_file.read_text() if job is None else job)
    runs = stack.get(f"/api/v1/jobs/{submitted['id']}")["runs"]
    return [_measured(stack, each["id"]) for each in runs]


def _measured(stack: RunningStack, run_id: str) -> Measured:
    ended = stack.wait_for_run(run_id, timeout_s=MOST_S)
    found = _record(stack, run_id) if ended["state"] in MEASURED else None
    told = f"{ended['state']}: {ended['cause']}" if ended["cause"] else ended["state"]
    return Measured(ended["point"], found.record if found else None, told)


def _record(stack: RunningStack, run_id: str) -> RecordView:
    """It follows the end of its run within a moment."""
    address = f"/api/v1/runs/{run_id}/record"
    eventually(lambda: stack.client.get(address).status_code == httpx.codes.OK)
    return RecordView.model_validate(stack.get(address))


def main(names: list[str]) -> int:
    """0: the page shows what was measured; 2: an experiment that nobody knows."""
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    if unknown := set(names) - set(known):
        print(f"no such experiment: {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    with fresh_stack() as stack:
        for name in names or known:
            print(f"measuring {name} ...", file=sys.stderr)
            text = section(known[name], run(known[name], stack))
            PAGE.write_text(with_section(PAGE.read_text(), name, text, order=list(known)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
