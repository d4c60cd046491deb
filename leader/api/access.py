"""Every route, what it needs and what body it reads: the whole of authorisation on one page.

A route that is not here does not start, and neither does an entry without its route.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from leader.auth.roles import Permission


class Body(StrEnum):
    """What a route reads."""

    NONE = "none"
    JSON = "json"
    JOB_FILE = "job file"  # YAML or JSON
    STREAM = "stream"  # raw bytes, up to the configured size


@dataclass(frozen=True)
class Access:
    """What a caller must be allowed, and what it may send."""

    permission: Permission
    body: Body = Body.NONE


OPEN, READ, SUBMIT, CANCEL = Permission.OPEN, Permission.READ, Permission.SUBMIT, Permission.CANCEL
UPLOAD, DELETE, FOLLOW = Permission.UPLOAD, Permission.DELETE, Permission.FOLLOW
ADMINISTER = Permission.ADMINISTER

ACCESS: Final[Mapping[str, Access]] = {
    # the process
    "getHealth": Access(OPEN),
    "getReadiness": Access(OPEN),
    "getMetrics": Access(READ),
    "getVersion": Access(READ),
    "getOpenApi": Access(READ),
    "getJobSchema": Access(READ),
    # jobs and runs
    "submitJob": Access(SUBMIT, Body.JOB_FILE),
    "validateJob": Access(READ, Body.JOB_FILE),
    "planJob": Access(READ, Body.JOB_FILE),
    "listJobs": Access(READ),
    "getJob": Access(READ),
    "cancelJob": Access(CANCEL),
    "getRun": Access(READ),
    "cancelRun": Access(CANCEL),
    "streamRunEvents": Access(READ),
    "getRunLog": Access(READ),
    "getRunSamples": Access(READ),
    "getRunRecord": Access(READ),
    "explainRun": Access(READ),
    # results
    "listRecords": Access(READ),
    "getLeaderboard": Access(READ),
    # models and datasets
    "registerModel": Access(UPLOAD, Body.JSON),
    "uploadModel": Access(UPLOAD, Body.STREAM),
    "downloadModel": Access(READ),
    "searchModels": Access(READ),
    "getModel": Access(READ),
    "updateModel": Access(UPLOAD, Body.JSON),
    "deleteModel": Access(DELETE),
    "registerDataset": Access(UPLOAD, Body.JSON),
    "uploadDataset": Access(UPLOAD, Body.STREAM),
    "listDatasets": Access(READ),
    "downloadDataset": Access(READ),
    # conversions
    "createConversion": Access(UPLOAD, Body.JSON),
    "listConversions": Access(READ),
    "getConversion": Access(READ),
    "cancelConversion": Access(CANCEL),
    # followers
    "listFollowers": Access(READ),
    "registerFollower": Access(FOLLOW, Body.JSON),
    "heartbeatFollower": Access(FOLLOW, Body.JSON),
    "claimRun": Access(FOLLOW, Body.JSON),
    "renewLease": Access(FOLLOW, Body.JSON),
    "reportProgress": Access(FOLLOW, Body.JSON),
    "uploadArtifact": Access(FOLLOW, Body.STREAM),
    "deliverResult": Access(FOLLOW, Body.JSON),
    "fetchBlob": Access(FOLLOW),
    "claimConversion": Access(FOLLOW, Body.JSON),
    "renewConversion": Access(FOLLOW, Body.JSON),
    "announceConverted": Access(FOLLOW, Body.JSON),
    "uploadConverted": Access(FOLLOW, Body.STREAM),
    "finishConversion": Access(FOLLOW, Body.JSON),
    "cordonFollower": Access(ADMINISTER),
    "uncordonFollower": Access(ADMINISTER),
    # scheduling
    "getScheduling": Access(ADMINISTER),
    "setScheduling": Access(ADMINISTER, Body.JSON),
    "getHistory": Access(READ),
    # tokens
    "addToken": Access(ADMINISTER, Body.JSON),
    "listTokens": Access(ADMINISTER),
    "revokeToken": Access(ADMINISTER),
}


def undeclared(routes: Iterable[str]) -> list[str]:
    """What keeps the leader from starting: routes without a declaration, declarations without a route."""
    names = set(routes)
    return [f"route {name} declares no permission" for name in sorted(names - ACCESS.keys())] + [
        f"permission of {name} has no route" for name in sorted(ACCESS.keys() - names)
    ]
