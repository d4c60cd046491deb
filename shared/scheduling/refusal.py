"""Whether any follower could ever run a job, told at submit in the words of the job file."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from shared.errors import Problem
from shared.jobs.spec import RunSpec
from shared.scheduling.capability import Gap, unmet
from shared.scheduling.needs import Needs, needs_of
from shared.wire.identity import Capabilities

NO_FOLLOWER: Final = Problem(message="no follower is registered, so nothing can run; start one and submit again")


def refusal(spec: RunSpec, followers: Mapping[str, Capabilities], uploaded: Collection[str] = ()) -> list[Problem]:
    """Why no follower can run ``spec``; empty if at least one can.

    Args:
        spec: the run.
        followers: name -> what it announces.
        uploaded: names of the datasets that the leader holds.
    """
    return refusals([spec], followers, uploaded)


def refusals(
    specs: Iterable[RunSpec], followers: Mapping[str, Capabilities], uploaded: Collection[str] = ()
) -> list[Problem]:
    """As ``refusal`` for all the runs of a job; what several runs share is said once."""
    distinct = dict.fromkeys(needs_of(spec, uploaded) for spec in specs)
    if distinct and not followers:
        return [NO_FOLLOWER]
    return list(dict.fromkeys(problem for needs in distinct for problem in refused(needs, followers)))


def refused(needs: Needs, followers: Mapping[str, Capabilities]) -> Iterator[Problem]:
    """As ``refusals`` for the needs that are kept beside a queued run; nothing where there is no follower."""
    by_follower = {name: unmet(needs, have) for name, have in sorted(followers.items())}
    if not all(by_follower.values()):
        return
    nowhere = _missing_everywhere(list(by_follower.values()))
    for gap in nowhere:
        yield _problem(gap, "is not available on any follower")
    if not nowhere:  # each part is somewhere, no follower has them all
        nearest = min(by_follower, key=lambda name: len(by_follower[name]))
        for gap in by_follower[nearest]:
            yield _problem(gap, f"is not available together with the rest: {nearest}, the nearest follower, lacks it")


def _missing_everywhere(found: list[list[Gap]]) -> list[Gap]:
    """The gaps that all followers have, each with the union of what they announce."""
    shared = set.intersection(*({(gap.path, gap.needed) for gap in one} for one in found))
    return [
        Gap(
            gap.path,
            gap.needed,
            tuple(sorted({a for one in found for g in one if g.path == gap.path for a in g.announced})),
        )
        for gap in found[0]
        if (gap.path, gap.needed) in shared
    ]


def _problem(gap: Gap, message: str) -> Problem:
    near = get_close_matches(gap.needed, gap.announced, n=1)
    return Problem(
        message=f"{gap.needed!r} {message}",
        path=gap.path,
        found=gap.needed,
        allowed=", ".join(gap.announced) or "nothing",
        suggestion=near[0] if near else None,
    )
