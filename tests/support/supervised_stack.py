"""A process that supervises a small stack: the real database and broker, and perhaps a child that misbehaves.

``python supervised_stack.py DATA_DIR [dies|never-ready|visit]`` says "up" on standard output once all is ready.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

from cli.stack.layout import DataDir
from cli.stack.plan import ChildPlan, StackPlan, plan_stack
from cli.stack.ports import choose_ports
from cli.stack.programs import find_programs
from cli.stack.readiness import PortOpen
from cli.stack.supervisor import running
from shared.errors import InferBenchError

SERVE_THEN_DIE: Final = """
import signal, socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("I shall not stay long", flush=True)
time.sleep(1)
sys.exit(7)
"""
DIE_AT_ONCE: Final = "import sys; print('no such model'); sys.exit(3)"
VISITOR: Final = "import sys; print('visiting', flush=True); sys.exit(5)"


def small_plan(data_dir: Path, kind: str = "") -> StackPlan:
    """Database and broker as in the real stack, and the child that ``kind`` asks for."""
    ports = choose_ports(0)
    plan = plan_stack(DataDir(data_dir), ports, find_programs(), "secret", {})
    source = {"dies": SERVE_THEN_DIE, "never-ready": DIE_AT_ONCE}.get(kind)
    extra = () if source is None else (_python_child(source, ports.leader),)
    return replace(plan, children=plan.children[:2] + extra)


def _python_child(source: str, port: int) -> ChildPlan:
    return ChildPlan(
        name="odd-one",
        argv=(sys.executable, "-c", source, str(port)),
        environment={},
        ready=PortOpen(port),
        ready_within_s=20,
        stop_within_s=5,
    )


def main() -> int:
    """Supervises until a signal comes or a child dies; the exit code of the error, 0 otherwise."""
    data_dir, kind = Path(sys.argv[1]), "".join(sys.argv[2:])
    try:
        with running(small_plan(data_dir, kind), lambda _: None) as stack:
            os.write(1, b"up\n")
            if kind == "visit":
                return stack.visit([sys.executable, "-c", VISITOR], {})
            stack.wait()
    except InferBenchError as error:
        sys.stderr.write(error.detail)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
