"""Reading a job file: bytes in, a job out, or every problem at once with its line and column."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError

from shared.errors import InvalidJobFile, Problem, TooLarge
from shared.jobs.diagnosis import Fault, contradiction_fault, faults_of, placed
from shared.jobs.json_source import read_json
from shared.jobs.section import Loc, path_of
from shared.jobs.source import Place, Source, unreadable
from shared.jobs.spec import JobSpec, RunSpec, contradictions
from shared.jobs.sweep import ExpandedRun, sweep_faults, try_expand
from shared.jobs.yaml_source import read_yaml

MAX_JOB_FILE_BYTES: Final = 65_536
MAX_PROBLEMS: Final = 50
"""More are not listed; nobody reads on."""

YAML: Final = "application/yaml"
JSON: Final = "application/json"


@dataclass(frozen=True)
class JobDocument:
    """A job that was read, with its runs and the places of everything in it."""

    job: JobSpec
    runs: list[ExpandedRun]
    source: Source

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """Problems found later, such as a capability that nobody has, with line and column filled in by their paths."""
        locs = {path_of(loc): loc for loc in (*self.source.values, *self.source.keys)}
        return [self._located(problem, locs) for problem in problems]

    def _located(self, problem: Problem, locs: dict[str, Loc]) -> Problem:
        path = problem.path
        while path and path not in locs:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        place = self.source.place_of(locs.get(path, ()), key=path != problem.path)
        return problem.model_copy(update={"line": place.line, "column": place.column}) if place else problem


def read_job(text: bytes | str, *, content_type: str = YAML) -> JobSpec:
    """The job in a YAML or JSON document; its sweep has been checked point by point.

    Raises:
        InvalidJobFile: with all problems, in the order of the document.
        TooLarge: above ``MAX_JOB_FILE_BYTES``; nothing was parsed.
    """
    return read_document(text, content_type=content_type).job


def read_document(text: bytes | str, *, content_type: str = YAML) -> JobDocument:
    """As ``read_job``, with the runs and the means to say where in the document something stands."""
    decoded = _decoded(text)
    is_json = content_type.partition(";")[0].strip().lower() == JSON
    source = read_json(decoded) if is_json else read_yaml(decoded)
    job, runs, faults = _checked(source.data)
    known = [fault for fault in faults if not _hides(source.unknown, fault.loc)]
    problems = [*source.problems, *placed(known, source)]
    if job is None or problems:
        raise _invalid(problems)
    return JobDocument(job, runs, source)


def _decoded(text: bytes | str) -> str:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(raw) > MAX_JOB_FILE_BYTES:
        raise TooLarge(f"a job file may have {MAX_JOB_FILE_BYTES:,} bytes; this one has {len(raw):,}")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        good = raw[: error.start].decode("utf-8")
        place = Place(good.count("\n") + 1, len(good) - good.rfind("\n"))
        raise unreadable("the file is not UTF-8 text", place, found=f"byte 0x{raw[error.start]:02X}") from error


def _checked(data: Any) -> tuple[JobSpec | None, list[ExpandedRun], list[Fault]]:
    if data is None or data == {}:
        return None, [], [Fault((), "the file is empty")]
    if not isinstance(data, dict):
        return None, [], [Fault((), "a job file is a mapping of keys to values")]
    try:
        job = JobSpec.model_validate(data)
    except ValidationError as error:
        faults = faults_of(error, data)
        return None, [], [*_with_sweep_hint(faults, data), *_further_faults(faults, data)]
    runs, faults = try_expand(job)
    return job, runs, faults


def _with_sweep_hint(faults: list[Fault], data: dict[str, Any]) -> list[Fault]:
    """A value that only the sweep gives is missing all the same; say so."""
    swept = data["sweep"] if isinstance(data.get("sweep"), dict) else {}
    hint = "is required here too; the sweep replaces it run by run"
    return [
        replace(fault, message=hint) if fault.message == "is required" and path_of(fault.loc) in swept else fault
        for fault in faults
    ]


def _further_faults(faults: list[Fault], data: dict[str, Any]) -> list[Fault]:
    """What the validator did not come to: contradictions between the sections that are right, and the sweep's shape."""
    wrong = {fault.loc[0] for fault in faults if fault.loc}
    told = {(fault.loc, fault.message) for fault in faults}
    sections = {name: _section(name, data) for name in RunSpec.model_fields if name not in wrong}
    found = [contradiction_fault(contradiction) for contradiction in contradictions(sections)]
    if not wrong & {"sweep", "repeats"}:
        found += sweep_faults(data.get("sweep", {}), data.get("repeats", 1))
    return [fault for fault in found if (fault.loc, fault.message) not in told]


def _section(name: str, data: dict[str, Any]) -> Any:
    field = RunSpec.model_fields[name]
    if name not in data:
        return field.get_default(call_default_factory=True)
    form: Any = Annotated[field.annotation, field]
    return TypeAdapter(form).validate_python(data[name])


def _hides(unknown: set[Loc], loc: Loc) -> bool:
    return any(loc[: len(hidden)] == hidden for hidden in unknown)


def _invalid(problems: list[Problem]) -> InvalidJobFile:
    ordered = sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0))
    shown, left = ordered[:MAX_PROBLEMS], len(ordered) - MAX_PROBLEMS
    if left > 0:
        shown.append(Problem(message=f"{left} more problems are not listed"))
    count = f"{len(ordered)} problems" if len(ordered) > 1 else "a problem"
    return InvalidJobFile(f"the job file has {count}; {ordered[0]}", problems=shown)
