"""What a comparison reads of one run: the requests that its record's own figures are over."""

import numpy as np

from shared.measure.batches import counts
from shared.measure.compare import RunData
from shared.measure.independence import BATCHES
from shared.measure.latency import FOR_EVER_NS, response_ns
from shared.measure.measured_run import measured_run
from shared.measure.plan_again import manifest_of, plan_again
from shared.measure.samples_file import Samples
from shared.measure.windows import succeeded


def run_data(samples: Samples) -> RunData:
    """The measured window's latencies, failures as requests that took for ever, and its completions by part.

    Raises:
        InvalidInput: as ``shared.measure.plan_again.plan_again``.
    """
    run = measured_run(samples.columns, plan_again(samples), manifest_of(samples).circumstances)
    answered = succeeded(run.columns)
    return RunData(
        response_ns=np.where(succeeded(run.rows), response_ns(run.rows), FOR_EVER_NS),
        completed=counts(run.columns["done_ns"][answered], run.window, BATCHES).astype(np.int64),
        part_s=run.window.duration_s / BATCHES,
    )
