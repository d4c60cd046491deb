"""A small stream through a real installation, beside the same stream simulated. The figure is the benchmark's."""

from pathlib import Path

import numpy as np
from support.live_stream import Scripted, live_site, simulated


def test_a_real_slot_takes_runs_in_the_order_that_the_simulator_foresees(tmp_path: Path) -> None:
    """While one runs, three come that are predicted as 20, 2 and 8 s and take alike: they start as 2, 8, 20."""
    script = [Scripted(0, 1.5, 1), Scripted(0, 0.3, 20), Scripted(0, 0.3, 2), Scripted(0, 0.3, 8)]
    with live_site(tmp_path / "site", followers=1) as site:
        site.schedule_by({"order": "shortest-first"})
        found = site.play(script)
        facts = site.history()[1]
    predicted = [run.predicted_s or 0.0 for run in found]
    assert predicted[2] < predicted[3] < predicted[1]
    really = np.argsort([run.ended_s or 0.0 for run in found])
    assert really.tolist() == [0, 2, 3, 1]
    outcome = simulated(found, script, facts, cost_s=0.2)
    assert np.argsort(outcome.ended_s).tolist() == really.tolist()
    assert (facts.slots, facts.settings.order) == ({"cpu": 1}, "shortest-first")
    assert all(run.duration_s > one.duration_s for run, one in zip(found, script, strict=True))
