"""The page on how runs end names every end and every cause, and the page on retries every bound."""

import re
from pathlib import Path

from shared.jobs.lifecycle import LOSSES, MOST_FAILURES, TERMINAL, Cause

DOCS = Path(__file__).parents[4] / "docs"


def test_every_end_and_every_cause_stands_in_the_table() -> None:
    """Once each."""
    page = (DOCS / "architecture.md").read_text()
    rows = [line.split("|") for line in page.split("| a run ends as |")[1].splitlines()[2:] if line.startswith("|")]
    assert sorted(row[1].strip() for row in rows) == sorted(state.value for state in TERMINAL)
    causes = [cause for row in rows for cause in re.findall(r"`([a-z-]+)`", row[3])]
    assert sorted(causes) == sorted(cause.value for cause in Cause)


def test_every_bound_is_told() -> None:
    """Of each cause the failure that ends the run; losses count together, and stand under one number."""
    page = (DOCS / "scheduling.md").read_text().split("## Retries")[1]
    for cause, most in MOST_FAILURES.items():
        row = next(line for line in page.splitlines() if re.match(rf"\|[^|]*`{cause.value}`", line))
        told = "as above" if cause is Cause.FOLLOWER_DIED else f"{most}{'rd' if most == 3 else 'th'}"
        assert told in row
        assert ("quarantined" in row or "as above" in row) == (cause in LOSSES)
