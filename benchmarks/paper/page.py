"""docs/paper-experiments.md from what was measured. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from benchmarks.paper.experiments import Experiment
from benchmarks.paper.measured import Figure, Measured

NOT_AVAILABLE: Final = "n/a"
HEAD_ENDS: Final = "<!-- What follows was written by `make paper`. -->\n"
_BEGIN: Final = "## "


def with_section(page: str, name: str, text: str, *, order: Sequence[str]) -> str:
    """The page with this experiment's section in place of an older one, its sections in ``order``."""
    head, _, rest = page.partition(HEAD_ENDS)
    found = {part.partition("\n")[0]: part for part in rest.split(f"\n{_BEGIN}")[1:]}
    found[name] = text.removeprefix(_BEGIN)
    sections = [f"\n{_BEGIN}{found[each].rstrip()}\n" for each in order if each in found]
    return head + HEAD_ENDS + "".join(sections)


def section(experiment: Experiment, measured: Sequence[Measured]) -> str:
    """Its statement, its table and whether the statement holds."""
    finding = experiment.judge(measured)
    return "\n".join(
        [
            f"## {experiment.name}",
            "",
            f"Figure {experiment.figure} of the paper: *{experiment.statement}*",
            f"Job: `examples/paper/{experiment.job_file.name}`.",
            "",
            *_table(experiment, measured),
            "",
            f"**The statement {finding.word}**: {finding.detail}.",
            "",
        ]
    )


def _table(experiment: Experiment, measured: Sequence[Measured]) -> Iterable[str]:
    paths = list(measured[0].point) if measured else []
    heads = [*paths, *experiment.columns, "verdict"]
    yield "| " + " | ".join(heads) + " |"
    yield "|" + "---|" * len(heads)
    for one in measured:
        cells = [str(value) for value in one.point.values()]
        cells += [_cell(one, figure) for figure in experiment.columns.values()]
        cells.append(one.record.verdict.kind if one.record else one.ended)
        yield "| " + " | ".join(cells) + " |"


def _cell(one: Measured, figure: Figure) -> str:
    value = figure(one.record) if one.record is not None else None
    return NOT_AVAILABLE if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
