"""Datasets and traces: register, upload, list, download."""

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from leader.api import bodies, files
from leader.api.context import DeskParts, LeaderParts
from leader.api.guard import GuardedRoute
from leader.api.parameters import Cursor, Limit, NamePath, VersionPath
from leader.api.shapes import NewDataset
from shared.wire.views import DatasetView, Page

router = APIRouter(prefix="/api/v1/datasets", route_class=GuardedRoute, tags=["datasets"])


@router.post("", name="registerDataset", status_code=201, responses={409: {}})
async def register_dataset(desk: DeskParts, new: NewDataset) -> DatasetView:
    """A new version of the name, pending until its bytes arrive."""
    return await desk.datasets.register(
        name=new.name, sha256=new.sha256, size_bytes=new.size_bytes, description=new.description
    )


@router.put("/{name}/versions/{version}/content", name="uploadDataset", responses={409: {}})
async def upload_dataset(leader: LeaderParts, request: Request, name: NamePath, version: VersionPath) -> DatasetView:
    """The bytes: of a dataset one Parquet file with the columns name, data and label; of a trace CSV or JSON lines."""
    content = bodies.chunks(request, leader.settings.max_model_bytes)
    return await leader.desk.datasets.upload(name, version, content)


@router.get("", name="listDatasets")
async def list_datasets(desk: DeskParts, limit: Limit = 50, cursor: Cursor = None) -> Page[DatasetView]:
    """Built-in ones, then uploaded ones by name."""
    return await desk.datasets.list(limit=limit, cursor=cursor)


@router.get(
    "/{name}/versions/{version}/content",
    name="downloadDataset",
    response_class=StreamingResponse,
    responses={200: {"content": {files.PARQUET: {}, files.TEXT: {}}}, 409: {}},
)
async def download_dataset(desk: DeskParts, name: NamePath, version: VersionPath) -> StreamingResponse:
    """The bytes of a ready version."""
    stored = await desk.datasets.open(name, version)
    media_type, ending = (files.TEXT, "txt") if stored.kind == "trace" else (files.PARQUET, "parquet")
    return files.file_response(stored.blob, media_type=media_type, filename=f"{name}-{version}.{ending}")
