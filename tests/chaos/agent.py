"""A real follower's agent whose attempts are scripted, as a process: ``python agent.py URL NAME SLOTS FOLDER``.

FOLDER is the stack's: the token lies there, and there the attempts write what they are asked about afterwards.
"""

import os
import signal
import sys
import uuid
from pathlib import Path
from typing import Final

from support.assignments import inventory, slot

from follower import logs
from follower.agent.leader import LeaderClient
from follower.agent.loop import Agent
from follower.settings import FollowerSettings, read_token
from shared.wire.identity import Capabilities, PlatformOffer, Registration

ATTEMPT: Final = Path(__file__).parent / "attempt.py"
STAMPS: Final = "occupancy.log"
LOCKS: Final = "devices"
RECORD: Final = "record.json"
TOKEN: Final = "follower.token"
NAME_LABEL: Final = "follower"
"""The label by which a job asks for one follower."""


def work_dir_of(folder: Path, name: str) -> Path:
    """Where the follower of that name works."""
    return folder / "followers" / name


def registration_of(name: str, slots: int) -> Registration:
    """A new incarnation, with slots cpu-0, cpu-1, ... on a core each, and with what small jobs need."""
    offer = PlatformOffer(platform="onnxruntime", version="1", launch=("process",), protocol=("http",), device=("cpu",))
    return Registration(
        name=name,
        incarnation=uuid.uuid4().hex,
        version="0",
        inventory=inventory(),
        capabilities=Capabilities(
            platforms=(offer,),
            patterns=("constant",),
            networks=("none",),
            pipeline_sides=("client",),
            ops=(),
            model_families=("fc",),
            datasets=("synthetic",),
            labels={NAME_LABEL: name},
        ),
        slots=tuple(slot(f"cpu-{number}", server_cores=(number,)) for number in range(slots)),
    )


def attempt_command(folder: Path) -> tuple[str, ...]:
    """What the agent starts in place of ``python -m follower.attempt``."""
    given = (folder / STAMPS, folder / LOCKS, folder / RECORD)
    return (sys.executable, "-I", "-S", str(ATTEMPT), *map(str, given))


def main(url: str, name: str, slots: str, folder: str) -> int:
    """Until SIGTERM; 1 where the agent could not go on."""
    logs.set_up("info")
    place = Path(folder)
    settings = FollowerSettings(
        leader_url=url,
        token_file=place / TOKEN,
        follower_name=name,
        work_dir=work_dir_of(place, name),
        slot_lock_dir=place / "locks" / name,  # each is a machine of its own
    )
    client = LeaderClient(url, read_token(settings.token_file), name)
    agent = Agent(settings, registration_of(name, int(slots)), client, attempt_command=attempt_command(place))
    signal.signal(signal.SIGTERM, lambda _signal, _frame: agent.stop())
    error = agent.run()
    if error:
        sys.stderr.write(f"follower {name}: {error}\n")
    sys.stderr.flush()
    os._exit(1 if error else 0)  # as a daemon thread may hang in a call


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
