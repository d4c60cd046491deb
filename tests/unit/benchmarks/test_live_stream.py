"""The stream of the live replay: as long, as dense and as badly predicted as it says."""

import numpy as np
import pytest

from benchmarks.live_replay import FOLLOWERS, LOAD, LONGEST_S, SHORTEST_S, drawn


@pytest.mark.parametrize("cost_s", [0.0, 0.4])
def test_the_stream_needs_exactly_its_load_with_the_cost_of_each_run(cost_s: float) -> None:
    """Until the last run arrives; arrivals in order, durations within their limits."""
    script = drawn(cost_s, runs=200, seed=3)
    durations = np.array([run.duration_s for run in script])
    arrivals = np.array([run.at_s for run in script])
    assert (durations + cost_s).sum() / (FOLLOWERS * arrivals[-1]) == pytest.approx(LOAD)
    assert (np.diff(arrivals) >= 0).all()
    assert SHORTEST_S <= durations.min() < durations.max() <= LONGEST_S


def test_what_job_files_say_is_off_by_half_a_logarithm() -> None:
    """A run that is said to take longer does so mostly, not always: policies are to be misled as in life."""
    script = drawn(0.0, runs=2_000, seed=1)
    errors = np.log([run.window_s / run.duration_s for run in script if run.window_s > SHORTEST_S])
    assert errors.std() == pytest.approx(0.5, abs=0.05)


def test_the_same_seed_is_the_same_stream() -> None:
    """Live and simulated, and for every policy."""
    assert drawn(0.2, runs=20) == drawn(0.2, runs=20)
    assert drawn(0.2, runs=20) != drawn(0.2, runs=20, seed=2)
