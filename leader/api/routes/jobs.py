"""Jobs: submit, validate, plan, list, get, cancel."""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response

from leader.api.context import Caller, DeskParts
from leader.api.guard import GuardedRoute
from leader.api.parameters import Cursor, IdempotencyKey, JobId, Limit, NameFilter
from leader.api.shapes import ValidationView
from leader.auth.roles import Permission, Role, is_granted
from leader.auth.tokens import Principal
from leader.perfdb.entities import JobFilter
from shared.errors import Forbidden, InferBenchError, Problem
from shared.jobs.document import JobDocument, read_document
from shared.jobs.state import JobState
from shared.wire.views import JobView, Page, PlanView

router = APIRouter(prefix="/api/v1/jobs", route_class=GuardedRoute, tags=["jobs"])

_QUICK_BYTES: Final = 4096


async def _job_file(request: Request) -> JobDocument:
    body, content_type = await request.body(), request.headers["content-type"]
    if _is_quick(body):
        return read_document(body, content_type=content_type)
    return await asyncio.to_thread(read_document, body, content_type=content_type)


def _is_quick(body: bytes) -> bool:
    """Whether parsing takes a few milliseconds at most: handing it to a thread would then cost every request more."""
    return len(body) <= _QUICK_BYTES and b"sweep" not in body


JobFile = Annotated[JobDocument, Depends(_job_file)]


@contextmanager
def _faults_in(document: JobDocument) -> Iterator[None]:
    """What is found wrong only later, such as a model that nobody registered, also names its line."""
    try:
        yield
    except InferBenchError as error:
        error.problems = tuple(document.located(error.problems))
        raise


def _require_priority(caller: Principal, priority: str) -> None:
    """Raises Forbidden where the caller may submit jobs, but not of this priority."""
    if priority != "urgent" or is_granted(caller.role, Permission.SUBMIT_URGENT):
        return
    may = ", ".join(role for role in Role if is_granted(role, Permission.SUBMIT_URGENT))
    raise Forbidden(
        f"token {caller.name!r} is a {caller.role}; only a token of role {may} may submit with priority urgent:"
        " use high, or ask an administrator to submit it",
        problems=[Problem(path="priority", message=f"is for {may} only", found=priority, allowed="low, normal, high")],
    )


@router.post(
    "", name="submitJob", status_code=201, response_model=JobView, responses={200: {"model": JobView}, 409: {}}
)
async def submit_job(
    *,
    request: Request,
    desk: DeskParts,
    caller: Caller,
    document: JobFile,
    key: IdempotencyKey = None,
) -> Response:
    """Accept a job. The same key and body again: 200 and the same job; the same key with another body: 409.

    Priority `urgent` is for those who may submit such, by default administrators: 403 for others.
    """
    digest = hashlib.sha256(await request.body()).hexdigest()
    with _faults_in(document):
        _require_priority(caller, document.job.priority)
        submitted = await desk.submissions.submit(
            document.job, document.runs, owner=caller.name, idempotency_key=key, body_sha256=digest
        )
    return Response(  # made here, because the view is valid already: FastAPI would validate it once more
        submitted.job.model_dump_json(),
        status_code=201 if submitted.created else 200,
        media_type="application/json",
        headers={"Location": f"/api/v1/jobs/{submitted.job.id}"},
    )


@router.post("/validate", name="validateJob")
async def validate_job(document: JobFile) -> ValidationView:
    """Check a job file without looking at models, datasets or followers."""
    return ValidationView(effective=document.job.model_dump(mode="json"), run_count=len(document.runs))


@router.post("/plan", name="planJob")
async def plan_job(desk: DeskParts, document: JobFile) -> PlanView:
    """The runs that the job would have, which of them are measured already, and how long it would take.

    Nothing is stored.
    """
    with _faults_in(document):
        return await desk.planner.plan(document.job)


@router.get("", name="listJobs")
async def list_jobs(
    *,
    desk: DeskParts,
    team: NameFilter = None,
    name: NameFilter = None,
    state: JobState | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[JobView]:
    """Newest first, without their runs. With ``state`` a page may be short; go by the cursor."""
    return await desk.reads.jobs(JobFilter(team=team, name=name), state=state, limit=limit, cursor=cursor)


@router.get("/{job_id}", name="getJob")
async def get_job(desk: DeskParts, job_id: JobId) -> JobView:
    """A job with its runs."""
    return await desk.reads.job(job_id)


@router.post("/{job_id}/cancel", name="cancelJob")
async def cancel_job(desk: DeskParts, job_id: JobId) -> JobView:
    """Cancel every run of the job that has not ended."""
    return await desk.submissions.cancel_job(job_id)
