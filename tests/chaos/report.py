"""The tables that chaos prints."""

from collections.abc import Iterable

from chaos.deck import CARDS
from chaos.storm import Report

COLUMNS = 3


def told(report: Report) -> str:
    """Everything about one storm; its last line is the verdict, with the seed that brings the storm back."""
    settings = report.settings
    kinds = [f"{kind} {report.performed[kind]}" for kind in CARDS]
    lines = [
        (
            f"chaos: seed {settings.seed}, {report.performed.total()} injections in {report.took_s:.0f} s"
            f" (lease {settings.lease_s:g} s; {report.missed.total()} more found nothing to damage)"
        ),
        *_columns(kinds),
        f"started: {_listed(report.starts.items())}",
        f"jobs {report.jobs}, runs {report.ends.total()}: {_listed(sorted(report.ends.items()))}",
        f"attempts seen on devices {report.attempts}, cancels confirmed {report.cancels}",
        f"results that came late, kept and not accepted {report.late}",
        f"device overlap {report.overlap_ms:.3f} ms",
        *(f"VIOLATED: {violation}" for violation in report.violations),
        (
            f"verdict: {'VIOLATED' if report.violations else 'ok'} (again: python -m chaos --seed {settings.seed}"
            f" --injections {settings.injections})"
        ),
    ]
    return "\n".join(lines) + "\n"


def _columns(cells: list[str]) -> Iterable[str]:
    width = max(map(len, cells)) + 2
    for start in range(0, len(cells), COLUMNS):
        yield "  " + "".join(cell.ljust(width) for cell in cells[start : start + COLUMNS]).rstrip()


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts)
