"""Keeps work in the queue, and looks at what becomes of it."""

import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from chaos.book import Book
from chaos.user import User, job

LOOK_EVERY_S: Final = 0.3


class Customers:
    """A thread that submits whenever fewer than ``wanted`` runs are live, until the ``with`` block ends."""

    def __init__(self, user: User, book: Book, scripts: Iterator[list[tuple[str, float]]], *, wanted: int) -> None:
        self._user = user
        self._book = book
        self._scripts = scripts
        self._wanted = wanted
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="customers", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()

    def _serve(self) -> None:
        try:
            while not self._closing.wait(LOOK_EVERY_S):
                self._round()
        except (TimeoutError, RuntimeError) as error:
            self._book.broken.append(f"customers gave up: {error}")

    def _round(self) -> None:
        for run in self._book.live():
            self._user.look(run.run_id)
        while len(self._book.live()) < self._wanted and not self._closing.is_set():
            self._user.submit(job(next(self._scripts)))
