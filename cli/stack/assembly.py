"""From settings to the plan of a stack: the choices that need a look at the machine."""

import secrets
from pathlib import Path

from cli.settings import Settings
from cli.stack.layout import DataDir
from cli.stack.plan import StackPlan, plan_stack
from cli.stack.ports import choose_ports
from cli.stack.programs import find_programs


def assemble(settings: Settings, data_dir: Path | None, port: int) -> StackPlan:
    """A stack in ``data_dir`` (or the one of the settings) whose leader listens on ``port`` (0: a free one).

    Raises:
        PortTaken: the port is not free.
    """
    data = DataDir((data_dir or settings.data_dir).absolute())
    return plan_stack(data, choose_ports(port), find_programs(), secrets.token_hex(16), settings.environment)
