"""The command line of ``tensorflow_model_server``, as far as it is used here; the stand-in's server takes the same.

Source: TensorFlow Serving's ``model_servers/main.cc``. ``--status_file`` and ``--listen_host`` are the
stand-in's own: TensorFlow Serving listens on all addresses.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MONITORING_PATH = "/monitoring/prometheus/metrics"
MONITORING_CONFIG = f'prometheus_config {{ enable: true, path: "{MONITORING_PATH}" }}\n'


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What to serve, and how. Port 0 is the stand-in's alone: the kernel chooses, and the status file tells."""

    port: int  # gRPC
    rest_api_port: int
    model_name: str
    model_base_path: Path  # holds one folder per version, named by its number
    tensorflow_intra_op_parallelism: int = 1
    tensorflow_inter_op_parallelism: int = 1
    batching_parameters_file: Path | None = None  # None: no batching
    monitoring_config_file: Path | None = None
    status_file: Path | None = None
    listen_host: str | None = None  # None: loopback alone

    def to_argv(self) -> list[str]:
        """``--name=value`` of everything that is set."""
        flags = [f"--{name}={value}" for name, value in vars(self).items() if value is not None]
        return [*flags, *(["--enable_batching=true"] if self.batching_parameters_file else [])]


def parse(argv: Sequence[str]) -> ServerOptions:
    """Reads what ``to_argv`` wrote; argparse ends the process with status 2 on anything else."""
    parser = argparse.ArgumentParser(prog="tfs-compat", description="Speaks TensorFlow Serving's protocol.")
    parser.add_argument("--port", type=int, required=True, help="gRPC port; 0: the kernel's choice")
    parser.add_argument("--rest_api_port", type=int, required=True, help="REST port; 0: the kernel's choice")
    parser.add_argument("--model_name", required=True, help="name in requests")
    parser.add_argument("--model_base_path", type=Path, required=True, help="folder with a folder per version")
    parser.add_argument("--tensorflow_intra_op_parallelism", type=int, default=1, help="threads inside an operator")
    parser.add_argument("--tensorflow_inter_op_parallelism", type=int, default=1, help="operators side by side")
    parser.add_argument("--batching_parameters_file", type=Path, help="batching parameters as protobuf text")
    parser.add_argument("--enable_batching", choices=("true", "false"), default="false", help="whether to batch")
    parser.add_argument("--monitoring_config_file", type=Path, help="taken; the page is always there")
    parser.add_argument("--status_file", type=Path, help="file to report the ports and the phases to")
    parser.add_argument("--listen_host", help="address to listen on; loopback if it is not given")
    found = vars(parser.parse_args(argv))
    if found.pop("enable_batching") != "true":
        found["batching_parameters_file"] = None
    return ServerOptions(**found)
