"""The model repository: register, upload, search, get, update, delete, download."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import StreamingResponse

from leader.api import bodies, files
from leader.api.context import DeskParts, LeaderParts
from leader.api.guard import GuardedRoute
from leader.api.parameters import Cursor, Limit, NamePath, VersionPath
from leader.api.shapes import ModelUpdate, NewModel
from shared.wire.views import ModelView, Page

router = APIRouter(prefix="/api/v1/models", route_class=GuardedRoute, tags=["models"])

SearchText = Annotated[str, Query(max_length=200, description="Found in name or card, in any case; plain text.")]


@router.post("", name="registerModel", status_code=201)
async def register_model(desk: DeskParts, new: NewModel) -> ModelView:
    """A new version of the name, pending until its bytes arrive."""
    return await desk.models.register(name=new.name, sha256=new.sha256, size_bytes=new.size_bytes, card=new.card)


@router.put("/{name}/versions/{version}/content", name="uploadModel", responses={409: {}})
async def upload_model(leader: LeaderParts, request: Request, name: NamePath, version: VersionPath) -> ModelView:
    """The bytes, raw. They are checked against length and digest, and as ONNX, but never executed."""
    content = bodies.chunks(request, leader.settings.max_model_bytes)
    return await leader.desk.models.upload(name, version, content)


@router.get(
    "/{name}/versions/{version}/content",
    name="downloadModel",
    response_class=StreamingResponse,
    responses={200: {"content": {files.BYTES: {}}}, 409: {}},
)
async def download_model(desk: DeskParts, name: NamePath, version: VersionPath) -> StreamingResponse:
    """The bytes of a ready version."""
    blob = await desk.models.open(name, version)
    return files.file_response(blob, media_type=files.BYTES, filename=f"{name}-{version}.onnx")


@router.get("", name="searchModels")
async def search_models(
    desk: DeskParts, text: SearchText = "", limit: Limit = 50, cursor: Cursor = None
) -> Page[ModelView]:
    """Versions by name, newest first."""
    return await desk.models.search(text=text, limit=limit, cursor=cursor)


@router.get("/{name}/versions/{version}", name="getModel")
async def get_model(desk: DeskParts, name: NamePath, version: VersionPath) -> ModelView:
    """One version."""
    return await desk.models.get(name, version)


@router.patch("/{name}/versions/{version}", name="updateModel")
async def update_model(desk: DeskParts, name: NamePath, version: VersionPath, update: ModelUpdate) -> ModelView:
    """Replace the card. Runs already submitted keep the card that they pinned."""
    return await desk.models.update(name, version, card=update.card)


@router.delete("/{name}/versions/{version}", name="deleteModel", status_code=204, responses={409: {}})
async def delete_model(desk: DeskParts, name: NamePath, version: VersionPath) -> None:
    """Remove a version; its number is never used again. 409 while a live run needs it."""
    await desk.models.delete(name, version)
