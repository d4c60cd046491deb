"""From a job to its runs: the product of all sweep values, times the repeats.

Paths are taken in alphabetical order and the last varies fastest, so a run's index does not depend on the order in
which a store or a client keeps the keys of a mapping. Values are taken in the order in which they are written.

Repeats are interleaved: every point of repeat 0, then every point of repeat 1, and so on, so that a drift of the
machine does not fall on one point alone. Repeat r of a point has the same configuration with ``workload.seed`` + r:
its arrivals are another draw from the same law, and its comparability key, which ignores the seed, is the same.

A search is expanded to its first probe. What came of a probe decides on the next one, so the others follow while the
job runs: probe k of the run with index p has the index k * n + p, where n is how many runs the job starts with.
"""

import copy
import itertools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import ValidationError

from shared.errors import InvalidJobFile
from shared.jobs import schema
from shared.jobs.diagnosis import Fault, faults_of, nearest, placed, show
from shared.jobs.section import Loc, path_of
from shared.jobs.slo import SloSpec
from shared.jobs.spec import MAX_SEED, JobSpec, RunSpec, SweepValue
from shared.jobs.workload import SearchWorkload
from shared.workload.search import NextProbe, next_step, probe_workload

MAX_RUNS: Final = 1_000
"""Most runs of one job."""

MAX_SWEEP_FAULTS: Final = 20
"""Faults of points that are told one by one; a wrong pair of lists can make hundreds."""

Sweep = dict[str, list[SweepValue]]
Point = dict[str, SweepValue]
_Failed = dict[tuple[str, int], bool]


@dataclass(frozen=True, kw_only=True)
class ExpandedRun:
    """One run of a job. ``point`` holds the sweep's values at it; ``index`` counts from 0 in the order of queueing.

    ``search``: what the run is the first probe of, if it is one; its ``spec`` is that probe's.
    """

    index: int
    repeat: int
    point: Point
    spec: RunSpec
    search: SearchWorkload | None = None

    @property
    def most_runs(self) -> int:
        """How many runs may come of it: a search's probes, or the one."""
        return self.search.probes if self.search else 1


def probe_spec(spec: RunSpec, search: SearchWorkload, rate_rps: float) -> RunSpec:
    """The run of a search's probe at one rate: an ordinary one, with the search's limits."""
    return spec.model_copy(update={"workload": probe_workload(search, rate_rps), "slo": search.slo})


def expand(job: JobSpec) -> list[ExpandedRun]:
    """All runs of a job, in the order in which they are queued.

    Raises:
        InvalidJobFile: an unknown sweep path, too many runs, or a point that is no valid run.
    """
    runs, faults = try_expand(job)
    if faults:
        problems = placed(faults)
        raise InvalidJobFile(f"the sweep is not valid: {problems[0]}", problems=problems)
    return runs


def try_expand(job: JobSpec) -> tuple[list[ExpandedRun], list[Fault]]:
    """The runs of a job, or what is wrong with its sweep."""
    if faults := sweep_faults(job.sweep, job.repeats):
        return [], faults
    points = list(_points(job.sweep))
    specs, failures = _validated(job, points) if job.sweep else ([_without_sweep(job)], [])
    if faults := [*_repetitions(job.sweep), *_point_faults(failures, points, job.sweep)]:
        return [], faults
    runs = [
        _expanded(
            ExpandedRun(index=repeat * len(points) + at, repeat=repeat, point=point, spec=_reseeded(spec, repeat))
        )
        for repeat in range(job.repeats)
        for at, (point, spec) in enumerate(zip(points, specs, strict=True))
    ]
    faults = list(_search_faults(runs, job.slo))
    return ([], faults) if faults else (runs, [])


def _expanded(run: ExpandedRun) -> ExpandedRun:
    """The run; of a search, its first probe."""
    search = run.spec.workload
    if not isinstance(search, SearchWorkload):
        return run
    first = next_step(search, ())
    rate_rps = first.rate_rps if isinstance(first, NextProbe) else search.start_rate
    return replace(run, spec=probe_spec(run.spec, search, rate_rps), search=search)


def sweep_faults(sweep: Sweep, repeats: int) -> list[Fault]:
    """What keeps a sweep's points from being looked at: paths that do not exist, too many runs."""
    return [*_path_faults(sweep), *_size_faults(sweep, repeats)]


def _without_sweep(job: JobSpec) -> RunSpec:
    """The job's own sections, which were validated with it."""
    sections = {name: getattr(job, name) for name in RunSpec.model_fields}
    return RunSpec.model_construct(job.model_fields_set & sections.keys(), **sections)


def _validated(job: JobSpec, points: list[Point]) -> tuple[list[RunSpec], list[tuple[Point, Fault]]]:
    base = {key: value for key, value in job.given().items() if key in RunSpec.model_fields}
    specs: list[RunSpec] = []
    failures: list[tuple[Point, Fault]] = []
    for point in points:
        data = _applied(base, point)
        try:
            specs.append(RunSpec.model_validate(data))
        except ValidationError as error:
            failures += [(point, fault) for fault in faults_of(error, data)]
    return specs, failures


def _path_faults(sweep: Sweep) -> Iterator[Fault]:
    known = schema.value_paths()
    for path in sweep:
        loc: Loc = ("sweep", path)
        if path not in known:
            yield _unknown_path(loc, path)
            continue
        for outer in (outer for outer in sweep if path.startswith(f"{outer}.") and outer in known):
            yield Fault(loc, f"cannot be swept together with {outer}, which contains it", path, at_key=True)


def _unknown_path(loc: Loc, path: str) -> Fault:
    fault = Fault(loc, "there is no such path in a job file", path, "the dotted path of a single value", at_key=True)
    inside = [known for known in schema.value_paths() if known.startswith(f"{path}.")]
    if inside:
        return replace(fault, message="is a whole section; a sweep varies single values", allowed=", ".join(inside))
    if path.startswith("pipeline.p"):
        return replace(fault, message="the ops of a pipeline cannot be swept")
    if path.partition(".")[0] in JobSpec.model_fields.keys() - RunSpec.model_fields.keys():
        return replace(fault, message="belongs to the job, not to its runs")
    return replace(fault, suggestion=_nearest_path(path))


def _nearest_path(path: str) -> str | None:
    """The path that was meant: one that ends in the same key, or one that is spelt nearly so."""
    ends = [known for known in schema.value_paths() if known.endswith(f".{path.rpartition('.')[2]}")]
    return nearest(path, ends) or nearest(path, schema.value_paths()) or next(iter(ends), None)


def _repetitions(sweep: Sweep) -> Iterator[Fault]:
    for path, values in sweep.items():
        seen: set[tuple[type, SweepValue]] = set()
        for index, value in enumerate(values):
            if (type(value), value) in seen:
                message = f"{show(value)} is listed twice; `repeats` runs a configuration again"
                yield Fault(("sweep", path, index), message, show(value))
            seen.add((type(value), value))


def _size_faults(sweep: Sweep, repeats: int) -> Iterator[Fault]:
    points = math.prod(len(values) for values in sweep.values())
    if points * repeats > MAX_RUNS:
        times = (
            f"{points:,} points x {repeats} repeats = {points * repeats:,} runs" if repeats > 1 else f"{points:,} runs"
        )
        loc: Loc = ("sweep",) if sweep else ("repeats",)
        yield Fault(loc, f"{times} are too many for one job", f"{points * repeats}", f"at most {MAX_RUNS:,} runs")


def _search_faults(runs: Sequence[ExpandedRun], slo: SloSpec | None) -> Iterator[Fault]:
    if any(run.search and slo not in (None, run.search.slo) for run in runs):
        yield Fault(("slo",), "a search has its limits in workload.slo, and its probes no others; leave this out")
    most = sum(run.most_runs for run in runs)
    if most > MAX_RUNS:
        searches = sum(run.search is not None for run in runs)
        message = f"{searches:,} searches may take {most:,} runs, too many for one job"
        yield Fault(("workload",), message, f"{most}", f"at most {MAX_RUNS:,} runs")


def _points(sweep: Sweep) -> Iterator[Point]:
    paths = sorted(sweep)
    return (dict(zip(paths, values, strict=True)) for values in itertools.product(*(sweep[path] for path in paths)))


def _applied(base: dict[str, Any], point: Point) -> dict[str, Any]:
    """A copy of the base with the point's values in it; a plain value on the way, such as a profile, gives place."""
    data = copy.deepcopy(base)
    for path, value in point.items():
        *sections, key = path.split(".")
        target = data
        for section in sections:
            if not isinstance(target.get(section), dict):
                target[section] = {}
            target = target[section]
        target[key] = value
    return data


def _reseeded(spec: RunSpec, repeat: int) -> RunSpec:
    seed = (spec.workload.seed + repeat) % (MAX_SEED + 1)
    return spec.model_copy(update={"workload": spec.workload.model_copy(update={"seed": seed})})


def _point_faults(failures: Sequence[tuple[Point, Fault]], points: list[Point], sweep: Sweep) -> list[Fault]:
    """Each fault once: at the sweep value that causes it, if one value does, else with the first point that has it."""
    failing: dict[tuple[str, str], list[Point]] = defaultdict(list)
    example: dict[tuple[str, str], Fault] = {}
    for point, fault in failures:
        key = (path_of(fault.loc), fault.message)
        failing[key].append(point)
        example.setdefault(key, fault)
    failed = _always_failing([point for point, _ in failures], points, sweep)
    told = [_told(example[key], failing[key], failed, sweep) for key in failing]
    more = len(told) - MAX_SWEEP_FAULTS
    rest = [Fault(("sweep",), f"{more} more faults of points are not listed")] if more > 0 else []
    return told[:MAX_SWEEP_FAULTS] + rest


def _always_failing(failing: list[Point], points: list[Point], sweep: Sweep) -> _Failed:
    """For each sweep entry, whether every point that has it fails."""
    bad = {tuple(point.values()) for point in failing}
    return {
        (name, index): all(tuple(point.values()) in bad for point in points if point[name] == value)
        for name, values in sweep.items()
        for index, value in enumerate(values)
    }


def _told(fault: Fault, at: list[Point], failed: _Failed, sweep: Sweep) -> Fault:
    path = path_of(fault.loc)
    culprit = _culprit(path, at, failed, sweep)
    if culprit is None:
        where = ", ".join(f"{name} = {show(value)}" for name, value in at[0].items())
        others = f" and {len(at) - 1} other points" if len(at) > 1 else ""
        loc: Loc = ("sweep", path, sweep[path].index(at[0][path])) if path in sweep else ("sweep",)
        said = (
            f"{fault.message} at {where}{others}" if path in sweep else f"at {where}{others}: {path}: {fault.message}"
        )
        return Fault(loc, said, fault.found, fault.allowed)
    name, index = culprit
    said = fault.message if name == path else f"with {name} = {show(sweep[name][index])}: {path}: {fault.message}"
    return Fault(("sweep", name, index), said, fault.found, fault.allowed, fault.suggestion)


def _culprit(path: str, at: list[Point], failed: _Failed, sweep: Sweep) -> tuple[str, int] | None:
    """The sweep entry that all points with this fault share, and with which no point is right."""
    for name in sorted(sweep, key=lambda name: name != path):
        index = sweep[name].index(at[0][name])
        if all(point[name] == at[0][name] for point in at) and failed[name, index]:
            return name, index
    return None
