"""The files that TensorFlow Serving is started with, in the work directory."""

from pathlib import Path
from typing import Final

from follower.serve.protocol import ServeRequest
from follower.serve.tensorflow.batching_file import parameters_of
from follower.serve.tensorflow.command_line import MONITORING_CONFIG, ServerOptions

VERSION: Final = "1"


def lay_out(
    request: ServeRequest,
    workdir: Path,
    *,
    ports: tuple[int, int],
    status_file: Path | None = None,
    listen_host: str | None = None,
) -> ServerOptions:
    """Writes the batching parameters and the monitoring configuration, and gives the model a folder per version.

    ``workdir``: what the server sees of its work directory. ``ports``: gRPC, REST. The server finds the model through a
    link, so that nothing is copied.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    if status_file is not None:
        status_file.unlink(missing_ok=True)
    base = workdir / "models"
    base.mkdir(exist_ok=True)
    version = base / VERSION
    version.unlink(missing_ok=True)
    version.symlink_to(request.model_path.resolve(), target_is_directory=True)
    grpc_port, rest_port = ports
    return ServerOptions(
        port=grpc_port,
        rest_api_port=rest_port,
        model_name=request.model_name,
        model_base_path=base,
        tensorflow_intra_op_parallelism=request.service.threads,
        tensorflow_inter_op_parallelism=request.service.instances,
        batching_parameters_file=_batching_file(request, workdir),
        monitoring_config_file=_written(workdir / "monitoring.config", MONITORING_CONFIG),
        status_file=status_file,
        listen_host=listen_host,
    )


def _batching_file(request: ServeRequest, workdir: Path) -> Path | None:
    parameters = parameters_of(request.service)
    return None if parameters is None else _written(workdir / "batching.config", parameters.text())


def _written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="ascii")
    return path
