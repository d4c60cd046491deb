"""A few runs through a real installation, beside the same runs simulated. The figure is the benchmark's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from support.live_stream import Scripted, live_site, simulated


def test_a_real_slot_takes_runs_in_the_order_that_the_simulator_foresees(tmp_path: Path) -> None:
    """Four wait that are said to take 4, 20, 2 and 8 s and take alike: they start as 2, 4, 8, 20."""
    script = [Scripted(0.0, 0.3, window_s) for window_s in (4, 20, 2, 8)]
    with live_site(tmp_path / "site", followers=1) as site:
        site.schedule_by({"order": "shortest-first"})
        site.cordon("f1", cordoned=True)
        site.submit(script)
        assert site.history()[0] == []
        site.cordon("f1", cordoned=False)
        found = site.ended(len(script))
        facts = site.history()[1]
    really = np.argsort([run.ended_s or 0.0 for run in found])
    assert really.tolist() == [2, 0, 3, 1]
    together = [replace(run, arrival_s=found[-1].arrival_s) for run in found]
    outcome = simulated(together, script, facts, cost_s=0.2)
    assert np.argsort(outcome.ended_s).tolist() == really.tolist()
    assert (facts.slots, facts.settings.order) == ({"cpu": 1}, "shortest-first")
    assert all(run.duration_s > one.duration_s for run, one in zip(found, script, strict=True))
