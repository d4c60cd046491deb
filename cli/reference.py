"""Writes docs/cli.md from the commands themselves: ``python -m cli.reference``.

With ``--check`` nothing is written; the exit status says whether the page is as it would be written.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import typer

from cli.exits import ExitCode
from cli.main import app

PAGE: Final = Path(__file__).parents[1] / "docs" / "cli.md"
_COLUMNS: Final = 100

_HEAD: Final = """\
# Command line

<!-- Written by `python -m cli.reference` from the commands themselves. Changes here are lost. -->

`inferbench` is a client of the leader's API, and the way to run the whole service on one machine.

## Which leader, and as whom

| what | first | then | then |
|---|---|---|---|
| address | `--url` | `INFERBENCH_URL` | the stack that runs from the data folder |
| token | `--token-file` | `INFERBENCH_TOKEN`, `INFERBENCH_TOKEN_FILE` | its admin token, for it only |
| data folder | `--data-dir` of `up`, `demo`, `doctor` | `INFERBENCH_DATA_DIR` | `.inferbench` in the current folder |

`inferbench up` writes `stack.json` into the data folder while it runs; that is how commands in the same folder find
it. `--url`, `--token-file` and `--debug` stand before the command: `inferbench --url http://lab:8080 list`.

## What goes where

Results go to standard output, everything else to standard error. `-o json` and `-o yaml` give the API's own models.
Lists are never truncated. Bars and colours appear on a terminal only, and `NO_COLOR` is honoured. An error says
what, where (`file:line:column: path`) and what would be right; its code, in brackets, is stable.

## Exit codes

| code | meaning |
|---|---|
"""

_MEANINGS: Final = {
    ExitCode.OK: "it worked",
    ExitCode.FAILURE: "it failed: a run failed, a part of the service does not answer, the state does not allow it",
    ExitCode.INVALID_INPUT: "the command line, a file or a setting is not valid",
    ExitCode.NOT_SHOWN: "it ran, but does not show what was asked for: the SLO is unmet, the measurement invalid, "
    "a comparison inconclusive, a figure not borne out",
    ExitCode.AUTHENTICATION: "no token, a wrong one, or one that may not do this",
    ExitCode.NOT_FOUND: "no such job, run or model",
    ExitCode.CANCELLED: "cancelled, by Ctrl-C or by somebody else",
}

_STACK: Final = """
## The stack on one machine

`inferbench up` starts five processes, each after the one before is ready, on loopback only: the database (NX-27017),
the broker (Valkey, with a password made up at each start), the leader, a follower named `local`, and a converter, which
has the lowest priority and stands still while the follower measures. NX-27017 knows no authentication, so other users
of the same machine could reach it: run the stack on a machine of your own, or give the leader a MongoDB with passwords.
Each process asks the kernel to die with the command, so that not even `kill -9` leaves one behind. If one of them ends
by itself, the others are stopped and the end of its log is shown. Ctrl-C, SIGTERM and a closed terminal stop all of
them in reverse order.

| in the data folder | what |
|---|---|
| `admin.token`, `follower.token` | tokens, readable by their owner only |
| `db/`, `broker/` | what the database and the broker keep |
| `follower/` | attempts and conversions in progress, fetched models |
| `logs/` | one file for each process, and the one of the start before as `.log.1` |
| `stack.json` | address, token files and process ids, while the stack runs |
| `stack.lock` | held while the stack runs: a second one in the same folder is refused |
| `tmp/` | temporary files, emptied at each start |

A leader takes `INFERBENCH_LEASE_S`, `INFERBENCH_POLL_S`, `INFERBENCH_MAX_MODEL_BYTES` and `INFERBENCH_LOG_LEVEL` from
the environment of `up`, a follower `INFERBENCH_LABELS`, `INFERBENCH_PREFLIGHT`, `INFERBENCH_MAX_BUSY_SHARE`,
`INFERBENCH_INVALID_BUSY_SHARE`, `INFERBENCH_MAX_CACHE_BYTES`, `INFERBENCH_SLOT_LOCK_DIR`, `INFERBENCH_ENDPOINT_HOSTS`,
`INFERBENCH_ENDPOINT_CA_FILE`, `INFERBENCH_ENDPOINT_SECRETS`, `INFERBENCH_IMAGES` and `INFERBENCH_LOG_LEVEL`.
`INFERBENCH_PORT` is the leader's port where `--port` is not given; 0 takes a free one.

A follower locks the cores (or GPUs) that it serves on, for the whole machine: two that measured on the same ones would
measure each other. So a second stack on one machine is refused as long as the first one runs, whatever its data folder;
the message names who has the device. The locks lie in `/tmp/inferbench-slots`. Give a stack that is only tried out an
`INFERBENCH_SLOT_LOCK_DIR` of its own; and give containers that share a machine's cores one directory to share.

## Commands
"""


def reference_page() -> str:
    """The page, as Markdown."""
    codes = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in _MEANINGS.items())
    return _HEAD + codes + _STACK + "".join(_sections())


def command_names() -> list[str]:
    """Every command as it is typed, groups left out."""
    return [" ".join(words) for words, _ in _commands()]


def _sections() -> Iterator[str]:
    yield f"\n### inferbench\n\n```text\n{_root().get_help()}\n```\n"
    for words, context in _commands():
        yield f"\n### inferbench {' '.join(words)}\n\n```text\n{context.get_help()}\n```\n"


def _commands() -> Iterator[tuple[tuple[str, ...], typer.Context]]:
    yield from _below(_root(), ())


def _below(parent: typer.Context, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], typer.Context]]:
    for name, command in sorted(getattr(parent.command, "commands", {}).items()):
        context = typer.Context(command, parent=parent, info_name=name, terminal_width=_COLUMNS)
        if hasattr(command, "commands"):
            yield from _below(context, (*words, name))
        else:
            yield (*words, name), context


def _root() -> typer.Context:
    return typer.Context(
        typer.main.get_command(app),
        info_name="inferbench",
        terminal_width=_COLUMNS,
        help_option_names=["-h", "--help"],
    )


def main(arguments: Sequence[str]) -> int:
    """Writes or checks the page; 1 where the check finds it out of date."""
    if "--check" in arguments:
        return int(PAGE.read_text() != reference_page())
    PAGE.write_text(reference_page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
