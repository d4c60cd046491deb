"""Two runs, or two jobs' runs, side by side: may they be compared, what differs, and what came of it."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from cli.client import Client
from cli.errors import InvalidSetting, NotComparable
from cli.exits import ExitCode
from cli.follow import plain, records_of
from cli.quantities import NOT_AVAILABLE, milliseconds, percent, printable, rate
from cli.raw_files import fetch_raw
from cli.tables import flattened
from shared.errors import InvalidInput, Problem
from shared.jobs.ids import is_job_id
from shared.jobs.keys import COMPARED_SECTIONS, TASK_SECTIONS, hardware_of
from shared.measure.compare import COMPARED, Comparison, SideResult, compare
from shared.measure.compared_run import run_data
from shared.measure.record import Record, Verdict
from shared.wire.identity import Inventory, Slot

_LABEL: Final = 12
_NOT_TASK: Final = frozenset({"workload.seed"})
_LARGEST: Final = 10.0  # relative differences above it are told as such: one or two repeats leave the interval open
_WORDS: Final = {"faster": "FASTER than", "slower": "SLOWER than", "equivalent": "EQUIVALENT to"}


class Difference(BaseModel):
    """A setting or a fact in which the sides differ."""

    path: str
    a: Any
    b: Any

    def __str__(self) -> str:
        return printable(f"{self.path} {_value(self.a)} -> {_value(self.b)}")


class Compared(BaseModel):
    """What came of a comparison, for scripts."""

    a_runs: tuple[str, ...]
    b_runs: tuple[str, ...]
    comparison: Comparison
    differences: tuple[Difference, ...]  # in how it was served, and on what
    warnings: tuple[str, ...]

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.NOT_SHOWN if self.comparison.outcome == "inconclusive" else ExitCode.OK


@dataclass(frozen=True)
class Side:
    """The runs of one side, all of one configuration."""

    name: str  # as it was typed
    records: Sequence[Record]
    reused: Collection[str] = ()  # runs that measured for others


def margin_of(text: str) -> float:
    """``5%`` or ``0.05``.

    Raises:
        InvalidSetting: neither.
    """
    number = text.removesuffix("%")
    try:
        margin = float(number) / (100 if number != text else 1)
    except ValueError:
        margin = 0.0
    if not 0 < margin < 1:
        raise InvalidSetting(f"--margin is a share above 0 and below 1, such as 5% or 0.05; found {text!r}")
    return margin


def compared(client: Client, names: tuple[str, str], *, at: str, margin: float, anyway: bool) -> Compared:
    """Fetches both sides and compares them.

    Raises:
        InvalidSetting: ``at`` cannot be compared.
        NotComparable: the sides' tasks differ, and that is not waved through.
        InvalidInput: a side has no run that succeeded, or several configurations; a raw file has no manifest.
        NotFound: no such job or run, or no raw samples of it.
    """
    if at not in COMPARED:
        raise InvalidSetting(f"--at is one of {', '.join(COMPARED)}; found {at!r}")
    a, b = (_side(client, name) for name in names)
    _refuse_shared(a, b)
    tasks = task_differences(a.records[0], b.records[0])
    if tasks and not anyway:
        raise NotComparable(
            f"{a.name} and {b.name} did not do the same task; --anyway compares them all the same",
            problems=[Problem(message=f"differs: A {_value(d.a)}, B {_value(d.b)}", path=d.path) for d in tasks],
        )
    data = [[run_data(fetch_raw(client, record).samples) for record in side.records] for side in (a, b)]
    return Compared(
        a_runs=tuple(record.run_id for record in a.records),
        b_runs=tuple(record.run_id for record in b.records),
        comparison=compare(data[0], data[1], at, margin=margin),
        differences=tuple(_served_differences(a.records[0], b.records[0])),
        warnings=(*(f"not the same task: {each}" for each in tasks), *_warnings(a, b)),
    )


def task_differences(a: Record, b: Record) -> list[Difference]:
    """In what the tasks of two records differ; none where their comparability keys are equal."""
    if a.comparability_key == b.comparability_key:
        return []
    tasks = [_task(record) for record in (a, b)]
    found = [each for each in _differences(tasks[0], tasks[1]) if each.path not in _NOT_TASK]
    return found or [Difference(path="comparability_key", a=a.comparability_key, b=b.comparability_key)]


def compared_lines(found: Compared) -> list[str]:
    """A short block, the word first."""
    result = found.comparison
    lines = [
        *_labelled("verdict", [_verdict(result)]),
        *_labelled("A", [_side_line(result, result.a, found.a_runs)]),
        *_labelled("B", [_side_line(result, result.b, found.b_runs)]),
        *_labelled("effect", _effect(result)),
        *_labelled("runs", _runs(result)),
        *_labelled("notes", result.notes),
        *_labelled("differs", map(str, found.differences)),
        *_labelled("warning", found.warnings),
    ]
    return [printable(line) for line in lines]


def _side(client: Client, name: str) -> Side:
    runs = client.job(name).runs if is_job_id(name) else (client.run(name),)
    views = records_of(client, runs)
    records = list({record.run_id: record for record in plain(views)}.values())  # what two runs reuse counts once
    if not records:
        raise InvalidInput(f"{name} has no run that succeeded, so there is nothing to compare")
    kinds = {(record.comparability_key, json.dumps(record.spec.get("service"), sort_keys=True)) for record in records}
    if len(kinds) > 1:
        some = ", ".join(record.run_id for record in records[:3])
        raise InvalidInput(f"{name} has runs of {len(kinds)} configurations; name one of its runs: {some} …")
    return Side(name, records, frozenset(view.record.run_id for view in views if view.reused_from))


def _refuse_shared(a: Side, b: Side) -> None:
    """A measurement beside itself shows nothing; where one side only reuses the other's, nobody may have noticed."""
    shared = {record.run_id for record in a.records} & {record.run_id for record in b.records}
    if reused := sorted(shared.intersection((*a.reused, *b.reused))):
        raise InvalidInput(
            f"{a.name} and {b.name} show the same measurement, run {reused[0]}, which is reused and not run again:"
            " there is nothing to compare; submit one of them with `reuse: never`"
        )


def _task(record: Record) -> dict[str, Any]:
    """Dotted path -> value of the sections that the comparability key covers, with the digests that count."""
    pins = record.environment.get("pins") or {}
    digests = {f"{name}.sha256": pin.get("sha256") for name, pin in pins.items() if pin}
    return flattened({name: record.spec.get(name) or {} for name in sorted(TASK_SECTIONS)}) | digests


def _served_differences(a: Record, b: Record) -> Iterator[Difference]:
    """In how it was served, on what hardware, with which versions."""
    sides = [
        flattened({name: record.spec.get(name) or {} for name in sorted(COMPARED_SECTIONS)})
        | flattened({"hardware": _hardware(record) or {}, "versions": _versions(record)})
        for record in (a, b)
    ]
    yield from _differences(sides[0], sides[1])


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    paths = sorted(a.keys() | b.keys())
    return [Difference(path=path, a=a.get(path), b=b.get(path)) for path in paths if a.get(path) != b.get(path)]


def _warnings(a: Side, b: Side) -> Iterator[str]:
    hosts = [{record.follower for record in side.records} for side in (a, b)]
    if hosts[0] != hosts[1]:
        yield f"not on the same followers: A on {', '.join(sorted(hosts[0]))}, B on {', '.join(sorted(hosts[1]))}"
    kinds = {json.dumps(_hardware(record), sort_keys=True) for side in (a, b) for record in side.records}
    if len(kinds) > 1:
        yield "not on the same hardware"
    doubtful = {r.run_id: r.verdict for r in (*a.records, *b.records) if r.verdict.kind != "stable"}
    yield from (f"{run_id} is {_doubt(verdict)}" for run_id, verdict in doubtful.items())


def _doubt(verdict: Verdict) -> str:
    """The kind and the most telling reason; ``get`` shows all."""
    first = verdict.reasons[0].removeprefix(f"{verdict.kind}: ") if verdict.reasons else "no reason given"
    more = f" (and {len(verdict.reasons) - 1} more)" if len(verdict.reasons) > 1 else ""
    return f"{verdict.kind}: {first}{more}"


def _hardware(record: Record) -> dict[str, Any] | None:
    """What makes two hosts the same kind; None where the record does not say."""
    try:
        inventory = Inventory.model_validate(record.environment["inventory"])
        return hardware_of(inventory, Slot.model_validate(record.environment["slot"]))
    except (KeyError, ValidationError):
        return None


def _versions(record: Record) -> dict[str, Any]:
    return dict((record.environment.get("inventory") or {}).get("versions") or {})


def _labelled(label: str, lines: Sequence[str] | Iterator[str]) -> Iterator[str]:
    """The label stands before the first line only."""
    for line in lines:
        yield f"{label:<{_LABEL}}{line}".rstrip()
        label = ""


def _verdict(result: Comparison) -> str:
    shown = f"{result.at} {_signed(result.relative)} ({_interval(result)})"
    if result.outcome == "inconclusive":
        return f"INCONCLUSIVE: {shown}{_wanted(result)}"
    beyond = f", within the margin of {_margin(result)}" if result.outcome == "equivalent" else ""
    return f"B is {_WORDS[result.outcome]} A: {shown}{beyond}"


def _wanted(result: Comparison) -> str:
    if result.runs_needed:
        return f"; {result.runs_needed} runs a side would show a difference of {_margin(result)}"
    if result.requests_needed and result.low is None:
        return f"; at least {result.requests_needed} requests a side are needed for an interval"
    if result.requests_needed:
        return f"; {result.requests_needed} requests a side would show a difference of {_margin(result)}"
    return ""


def _interval(result: Comparison) -> str:
    if result.low is None or result.high is None:
        return "no interval"
    return f"{result.confidence:.1%} interval {_signed(result.low)} to {_signed(result.high)}"


def _side_line(result: Comparison, side: SideResult, runs: Sequence[str]) -> str:
    value = f"{rate(side.value)} req/s" if result.unit == "req/s" else f"{milliseconds(side.value)} ms"
    which = runs[0] if len(runs) == 1 else f"{runs[0]} and {len(runs) - 1} more"
    failures = f", {side.failures} failed" if side.failures else ""
    return f"{value}  n={side.requests}, worth {side.n_effective:.0f} independent{failures}  {which}"


def _effect(result: Comparison) -> Iterator[str]:
    if result.superiority is not None:
        yield f"a request of B is faster than one of A in {percent(result.superiority)} of all pairs"


def _runs(result: Comparison) -> Iterator[str]:
    if result.between_runs is not None:
        yield f"whole runs differ from one another by {percent(result.between_runs)} (standard deviation)"


def _signed(share: float | None) -> str:
    if share is None:
        return NOT_AVAILABLE
    return f"{100 * share:+.2f} %" if share <= _LARGEST else f"more than {100 * _LARGEST:+.0f} %"


def _margin(result: Comparison) -> str:
    return f"{100 * result.margin:g} %"


def _value(value: Any) -> str:
    return "not set" if value is None else str(value)
