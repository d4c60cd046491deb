"""The server's command line: written by the platform, read by the server, kept together so that they agree."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

RuntimeName = Literal["onnxruntime", "openvino", "torchscript"]
"""``runtimes.table`` has one of each."""


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What to serve, and how."""

    model: Path
    name: str
    status: Path
    runtime: RuntimeName = "onnxruntime"
    host: str = "127.0.0.1"
    threads: int = 1
    instances: int = 1
    max_batch_size: int = 1
    max_delay_ms: float = 0.0
    pipeline: Path | None = None  # a file that says what the server does before and after the model

    def to_argv(self) -> list[str]:
        return [
            f"--model={self.model}",
            f"--name={self.name}",
            f"--status={self.status}",
            f"--runtime={self.runtime}",
            f"--host={self.host}",
            f"--threads={self.threads}",
            f"--instances={self.instances}",
            f"--max-batch-size={self.max_batch_size}",
            f"--max-delay-ms={self.max_delay_ms}",
            *([] if self.pipeline is None else [f"--pipeline={self.pipeline}"]),
        ]


def parse(argv: Sequence[str]) -> ServerOptions:
    """Reads what ``to_argv`` wrote; argparse ends the process with status 2 on anything else."""
    parser = argparse.ArgumentParser(prog="follower.serve.modelserver.server", description="Serves one model.")
    parser.add_argument("--model", type=Path, required=True, help="the model's file")
    parser.add_argument("--name", required=True, help="name in the URLs")
    parser.add_argument("--status", type=Path, required=True, help="file to report the port and the phases to")
    runtimes = get_args(RuntimeName)
    parser.add_argument("--runtime", choices=runtimes, default="onnxruntime", help="the engine that runs it")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; the port is the kernel's choice")
    parser.add_argument("--threads", type=int, default=1, help="threads inside one inference")
    parser.add_argument("--instances", type=int, default=1, help="sessions that run side by side")
    parser.add_argument("--max-batch-size", type=int, default=1, help="most samples executed together")
    parser.add_argument("--max-delay-ms", type=float, default=0.0, help="longest wait for a batch to fill")
    parser.add_argument("--pipeline", type=Path, default=None, help="file with the pipeline to do in the server")
    return ServerOptions(**vars(parser.parse_args(argv)))
