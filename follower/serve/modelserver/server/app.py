"""The Open Inference Protocol v2 over HTTP: health, metadata, and the way to ``infer``."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from follower.serve.modelserver.server.infer import InferEndpoint, error_body
from follower.serve.modelserver.server.refusal import Refused
from follower.serve.modelserver.server.runtimes.table import RUNTIMES
from follower.serve.modelserver.server.serving import VERSION, Serving
from follower.serve.openinference.tensors import TensorInfo

_MODEL = "/v2/models/{model}"
_MODEL_VERSION = f"{_MODEL}/versions/{{version}}"


def create_app(serving: Serving, *, pipelined: bool = False) -> FastAPI:
    """The application. ``infer`` comes first in the table and is a plain ASGI route: see ``infer``.

    ``pipelined``: the model is served with its pipeline, too.
    """
    infer = InferEndpoint(serving)
    app = FastAPI(
        openapi_url=None,
        routes=[
            *(_pipeline_routes(serving) if pipelined else ()),
            *(Route(f"{path}/infer", infer, methods=["POST"]) for path in (_MODEL, _MODEL_VERSION)),
        ],
        exception_handlers={Refused: _refused, HTTPException: _http_error, Exception: _internal_error},
    )
    _add_server_routes(app, serving)
    _add_model_routes(app, serving)
    return app


def _pipeline_routes(serving: Serving) -> list[Route]:
    """Before the plain ones, whose pattern its name would fit."""
    from follower.serve.modelserver.pipelined import pipelined  # noqa: PLC0415 - the processors are slow to import
    from follower.serve.modelserver.server.pipeline import PipelineEndpoint  # noqa: PLC0415 - the same

    return [Route(f"/v2/models/{pipelined(serving.name)}/infer", PipelineEndpoint(serving), methods=["POST"])]


def _add_server_routes(app: FastAPI, serving: Serving) -> None:
    @app.get("/v2")
    async def server_metadata() -> dict[str, Any]:
        version = RUNTIMES[serving.runtime].version
        return {"name": f"inferbench-{serving.runtime}", "version": version, "extensions": ["binary_tensor_data"]}

    @app.get("/v2/health/live")
    async def live() -> Response:
        return Response()

    @app.get("/v2/health/ready")
    async def ready() -> Response:
        return _readiness(serving)


def _add_model_routes(app: FastAPI, serving: Serving) -> None:
    @app.get(_MODEL)
    @app.get(_MODEL_VERSION)
    async def model_metadata(model: str, version: str = VERSION) -> dict[str, Any]:
        metadata = serving.model(model, version).metadata
        return {
            "name": metadata.name,
            "versions": [VERSION],
            "platform": RUNTIMES[serving.runtime].model_platform,
            "inputs": [_tensor(tensor) for tensor in metadata.inputs],
            "outputs": [_tensor(tensor) for tensor in metadata.outputs],
        }

    @app.get(f"{_MODEL}/ready")
    @app.get(f"{_MODEL_VERSION}/ready")
    async def model_ready(model: str, version: str = VERSION) -> Response:
        serving.knows(model, version)
        return _readiness(serving)


def _readiness(serving: Serving) -> Response:
    if serving.loaded is None:
        raise Refused("the model is still being loaded", HTTPStatus.SERVICE_UNAVAILABLE)
    return Response()


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, Refused):
        raise error
    return Response(error_body(error), status_code=error.status, media_type="application/json")


async def _http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


async def _internal_error(_request: Request, error: Exception) -> Response:
    message = f"the server failed: {type(error).__name__}; see its log"
    return JSONResponse({"error": message}, status_code=HTTPStatus.INTERNAL_SERVER_ERROR)
