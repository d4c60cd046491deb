"""Converting in a process of its own: the one way to do it, for a person's command and for the worker alike.

The process has neither the token nor the surroundings of the one that starts it, works in a folder that is the caller's
to delete, and leads a process group, so that it ends and pauses together with all that it starts.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from model_repo.convert.conversions import ConversionRequest
from shared.errors import InvalidModel

TIMEOUT_S: Final = 1800.0
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
_MODULE: Final = "follower.convert"
_WORDS_BYTES: Final = 65_536


class ConvertingProcess:
    """One conversion under way."""

    def __init__(self, request: ConversionRequest, folder: Path, *, preamble: Sequence[str] = ()) -> None:
        """Starts it. ``preamble``: a command that prepares the process and becomes what follows it.

        Raises:
            OSError: it cannot be started, or the folder cannot be written.
        """
        self._request = request
        self._words = folder / "words.txt"
        told = folder / "request.json"
        told.write_text(request.model_dump_json(), encoding="utf-8")
        with self._words.open("wb") as words:
            self._process = subprocess.Popen(
                [*preamble, sys.executable, "-P", "-W", "ignore", "-m", _MODULE, str(told)],
                env={"PATH": _PATH, "LANG": "C.UTF-8", "HOME": str(folder), "TMPDIR": str(folder)},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=words,
                start_new_session=True,
            )

    def has_ended(self, within_s: float) -> bool:
        """Whether it ends within this time."""
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def pause(self) -> None:
        """Stand still, together with all that it started."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it and all that it started. One that has ended is no error."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:  # until it is waited for, the group's number is nobody else's
            os.killpg(self._process.pid, number)

    def card(self) -> Mapping[str, Any]:
        """The new model's card, once it has ended.

        Raises:
            InvalidModel: it refused the model, or died over it.
        """
        code = self._process.wait()
        if code != 0:
            raise InvalidModel(self._last_words() or f"the converting process ended with {code}")
        return TypeAdapter(dict[str, Any]).validate_json(self._request.card_path.read_bytes())

    def _last_words(self) -> str:
        with self._words.open("rb") as words:
            words.seek(max(0, self._words.stat().st_size - _WORDS_BYTES))
            return words.read().decode(errors="replace").strip().rpartition("\n")[2]


def run_conversion(request: ConversionRequest, folder: Path) -> Mapping[str, Any]:
    """Opens the model in a child that has neither the token nor the surroundings of this process; gives the new card.

    Raises:
        InvalidModel: it is refused, the child died over it, or it did not end within half an hour.
    """
    process = ConvertingProcess(request, folder)
    try:
        if not process.has_ended(TIMEOUT_S):
            raise InvalidModel(timed_out())
        return process.card()
    finally:
        process.kill()


def timed_out() -> str:
    """In words."""
    return f"the conversion did not end within {TIMEOUT_S:g} s"
