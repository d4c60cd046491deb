"""Is this machine fit to serve, to measure and to be trusted? Facts in, checks with fixes out; pure."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

from cli.facts import Facts
from cli.quantities import printable, size
from shared.wire.views import View

OLDEST_PYTHON: Final = (3, 11)
LITTLE_MEMORY_BYTES: Final = 2 * 1024**3
LITTLE_DISK_BYTES: Final = 2 * 1024**3
NO_DISK_BYTES: Final = 200 * 1024**2
BUSY_LOAD_PER_CORE: Final = 0.25

Status = Literal["ok", "warn", "fail"]


class Check(View):
    """One thing that was looked at. ``fix`` is empty where nothing is wrong."""

    name: str
    status: Status
    found: str
    fix: str = ""


class Diagnosis(View):
    """All of them."""

    items: tuple[Check, ...]


def diagnose(facts: Facts) -> list[Check]:
    """Every check, in the order in which one would mend things."""
    return [*_machine(facts), *_installation(facts), *_leader(facts)]


def report(checks: Sequence[Check]) -> Diagnosis:
    """The checks as one result."""
    return Diagnosis(items=tuple(checks))


def check_lines(checks: Sequence[Check]) -> list[str]:
    """One line a check, and beneath it what to do."""
    lines = []
    for check in checks:
        lines.append(printable(f"{check.status:<4}  {check.name:<12}  {check.found}"))
        lines += [f"{'':<20}-> {check.fix}"] if check.fix else []
    return lines


def _machine(facts: Facts) -> Iterator[Check]:
    version = ".".join(map(str, facts.python))
    old = facts.python[:2] < OLDEST_PYTHON
    yield _check("python", "fail" if old else "ok", version, "install Python 3.11 or newer")
    yield _check(
        "system",
        "ok" if facts.system == "Linux" else "fail",
        facts.system,
        "the embedded stack and followers need Linux",
    )
    few = len(facts.affinity) < 2  # noqa: PLR2004 - one for the server, one for the client
    yield _check(
        "cores",
        "warn" if few else "ok",
        f"{len(facts.affinity)} of {facts.logical_cores} usable",
        "with one core, client and server disturb each other; give the follower two (taskset, cpuset)",
    )
    yield from _capacity(facts)
    yield from _quiet(facts)


def _capacity(facts: Facts) -> Iterator[Check]:
    yield _check(
        "memory",
        "warn" if facts.free_memory_bytes < LITTLE_MEMORY_BYTES else "ok",
        f"{size(facts.free_memory_bytes)} free",
        "close other programs, or run small models only",
    )
    status: Status = "ok" if facts.free_disk_bytes >= LITTLE_DISK_BYTES else "warn"
    yield _check(
        "disk",
        "fail" if facts.free_disk_bytes < NO_DISK_BYTES else status,
        f"{size(facts.free_disk_bytes)} free at {facts.data_dir}",
        "free some space, or choose another --data-dir",
    )


def _quiet(facts: Facts) -> Iterator[Check]:
    steady = facts.governor in (None, "performance")
    yield _check(
        "governor",
        "ok" if steady else "warn",
        facts.governor or "not shown by this machine",
        "cpupower frequency-set -g performance",
    )
    busy = facts.load_1m > BUSY_LOAD_PER_CORE * facts.logical_cores
    yield _check(
        "load",
        "warn" if busy else "ok",
        f"{facts.load_1m:.2f} over the last minute",
        "something else is running; measurements will be marked",
    )


def _installation(facts: Facts) -> Iterator[Check]:
    for part, version in facts.parts.items():
        yield _check(part, "ok" if version else "fail", version or "missing", "make setup")
    here = [f"{name} {version}" for name, version in facts.platforms.items() if version]
    missing = [name for name, version in facts.platforms.items() if not version]
    lacks = f"; not here: {', '.join(missing)}" if missing else ""
    fix = "inferbench platforms list says why there are none"
    yield _check("platforms", "ok" if here else "warn", ", ".join(here) + lacks or "none", fix)


def _leader(facts: Facts) -> Iterator[Check]:
    leader = facts.leader
    if leader.url is None:
        yield _check("leader", "warn", leader.problem or "none named", "inferbench up")
        return
    if leader.version is None:
        fix = "check the token file" if leader.refused else "inferbench up, or correct --url"
        yield _check("token" if leader.refused else "leader", "fail", leader.problem or "no answer", fix)
        return
    yield _check("leader", "ok", f"{leader.version} at {leader.url}", "")
    same = leader.version == facts.parts.get("inferbench")
    yield _check("version", "ok" if same else "warn", leader.version, "use the same version here and there")
    yield _check("token", "ok", "accepted", "")
    alive = [name for name, lives in leader.followers.items() if lives]
    silent = [name for name, lives in leader.followers.items() if not lives]
    yield _check(
        "followers",
        "ok" if alive and not silent else "warn" if alive else "fail",
        (f"{', '.join(alive)} alive" if alive else "none alive") + (f"; silent: {', '.join(silent)}" if silent else ""),
        "start a follower: python -m follower; its log says why it is silent",
    )


def _check(name: str, status: Status, found: str, fix: str) -> Check:
    return Check(name=name, status=status, found=found, fix="" if status == "ok" else fix)
