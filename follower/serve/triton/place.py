"""Where the server lies, and what executes the model in it: this machine's engine folder, or an image."""

import sys
import sysconfig
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from follower.engines.folder import preload_of
from follower.serve.launch.container import ALL_ADDRESSES
from follower.serve.launch.environment import PATH
from follower.serve.ports import HOST, free_ports
from follower.serve.triton.layout import SERVER, BackEndName, Layout
from shared.errors import NotAvailable

HOME: Final = Path("/opt/tritonserver")
"""Where the vendor's images have the server; the stand-in's has it there, too."""
NATIVE_BACK_END: Final = HOME / "backends/onnxruntime/libtriton_onnxruntime.so"
PYTHON_BACK_END: Final = HOME / "backends/python/libtriton_python.so"
PRELOAD: Final = HOME / "lib/late_free.so"
LOOKED_FOR: Final = (NATIVE_BACK_END, PYTHON_BACK_END, PRELOAD)


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Chosen by us: the server cannot bind port 0."""

    http: int
    grpc: int


PORTS_INSIDE: Final = Ports(http=8000, grpc=8001)
"""A container has a network of its own, in which nobody else can have them."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One installation of the server, its paths as the server itself sees them."""

    program: Path
    backends: Path
    back_end: BackEndName
    preload: Path | None  # what makes the tracing of this version safe
    listen_host: str
    ports: Callable[[], Ports]
    environment: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None  # None: on this machine


def on_this_machine(layout: Layout, engine: Path) -> Place:
    """The engine's folder, with the back end's own folder in the work directory."""
    return Place(
        program=engine / SERVER / "bin" / "tritonserver",
        backends=layout.backends,
        back_end="python",
        preload=preload_of(engine.name, engine.parent),
        listen_host=HOST,
        ports=_free_ports,
        environment={
            # the back end ignores PYTHONPATH and asks the first interpreter on PATH for its packages
            "PATH": f"{Path(sys.prefix) / 'bin'}:{PATH}",
            "LD_LIBRARY_PATH": f"{engine / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}",
        },
    )


def in_image(image: str, found: Collection[Path]) -> Place:
    """An image in which these of ``LOOKED_FOR`` were found: the native back end, where it has it.

    Raises:
        NotAvailable: it has no back end that could execute an ONNX model.
    """
    if NATIVE_BACK_END not in found and PYTHON_BACK_END not in found:
        raise NotAvailable(
            f"image {image!r} is none of Triton's with a back end for ONNX models: it has neither {NATIVE_BACK_END}"
            f" nor {PYTHON_BACK_END}; name another one in INFERBENCH_IMAGES"
        )
    return Place(
        program=HOME / "bin/tritonserver",
        backends=HOME / "backends",
        back_end="onnxruntime" if NATIVE_BACK_END in found else "python",
        preload=PRELOAD if PRELOAD in found else None,
        listen_host=ALL_ADDRESSES,
        ports=lambda: PORTS_INSIDE,
        image=image,
    )


def _free_ports() -> Ports:
    http, grpc = free_ports(2)
    return Ports(http=http, grpc=grpc)
