"""``python -m follower``: the agent of one machine, until it is told to stop."""

import os
import signal
import sys

import structlog

from follower import logs
from follower.agent.leader import LeaderClient
from follower.agent.loop import Agent
from follower.inventory.registration import read_registration
from follower.settings import FollowerSettings, read_token
from shared.errors import InferBenchError

log = structlog.get_logger()


def main() -> int:
    """Run the agent; 0 after it was asked to stop, otherwise the exit code of what went wrong, said in one line."""
    try:
        settings = FollowerSettings.from_environment()
        logs.set_up(settings.log_level)
        return _run(settings)
    except InferBenchError as error:
        _say(error.detail)
        return error.exit_code
    except OSError as error:
        _say(str(error))
        return 1


def _run(settings: FollowerSettings) -> int:
    client = LeaderClient(settings.leader_url, read_token(settings.token_file), settings.follower_name)
    registration = read_registration(settings)
    agent = Agent(settings, registration, client)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _signal, _frame: agent.stop())
    _keep_to(registration.slots[0].client_cores)
    log.info(
        "follower-started", follower=registration.name, leader=settings.leader_url, work_dir=str(settings.work_dir)
    )
    error = agent.run()
    log.info("follower-stopped", follower=registration.name)
    if error is not None:
        _say(error)
        return 1
    return 0


def _keep_to(cores: tuple[int, ...]) -> None:
    """The agent stays off the cores that serve."""
    os.sched_setaffinity(0, cores)


def _say(problem: str) -> None:
    sys.stderr.write(f"follower: {problem}\n")


if __name__ == "__main__":
    sys.exit(main())
