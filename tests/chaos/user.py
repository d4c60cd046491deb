"""Somebody who submits and cancels, and asks again where there was no answer."""

import itertools
import time
from collections.abc import Sequence
from typing import Any, Final

import httpx
from chaos.agent import NAME_LABEL
from chaos.attempt import script_of, seed_of
from chaos.book import Accepted, Book, Cancel

from follower.agent.boot_clock import now_ns

ASK_FOR_S: Final = 180.0
PAUSE_S: Final = 0.2
JOBS: Final = "/api/v1/jobs"
RUNS: Final = "/api/v1/runs"


def job(scripts: Sequence[tuple[str, float]], *, follower: str | None = None, **sections: Any) -> dict[str, Any]:
    """A job file with one run for each script: what it does, for how many seconds. ``follower``: on that one only."""
    seeds = [seed_of(deed, duration_s) for deed, duration_s in scripts]
    made: dict[str, Any] = {
        "apiVersion": "inferbench/v1",
        "kind": "Job",
        "name": "chaos",
        "model": {"generate": {"family": "fc", "layers": 1, "width": 8, "seed": seeds[0]}},
        "workload": {"pattern": "constant", "rate": 1, "warmup": "0s", "duration": "1s"},
        **sections,
    }
    if len(seeds) > 1:
        made["sweep"] = {"model.generate.seed": seeds}
    if follower:
        made["requires"] = {"labels": {NAME_LABEL: follower}}
    return made


class User:
    """Calls the leader directly, not through the followers' links. May be used from several threads."""

    def __init__(self, leader_url: str, token: str, book: Book) -> None:
        self._book = book
        self._numbers = itertools.count(1)
        self._http = httpx.Client(
            base_url=leader_url, headers={"Authorization": f"Bearer {token}"}, timeout=15, trust_env=False
        )

    def close(self) -> None:
        self._http.close()

    def submit(self, body: dict[str, Any], key: str | None = None) -> list[Accepted]:
        """Submit until there is an answer, always with the same key; the runs of the job, which are in the book."""
        key = key or f"chaos-{next(self._numbers)}"
        answer = self.ask("POST", JOBS, json=body, headers={"Idempotency-Key": key})
        if answer.status_code not in (httpx.codes.OK, httpx.codes.CREATED):
            raise RuntimeError(f"a submit was answered {answer.status_code}: {answer.text[:300]}")
        view = answer.json()
        runs = [Accepted(run["id"], view["id"], _deed_of(run)) for run in view["runs"]]
        self._book.accept(key, view["id"], body, runs)
        return runs

    def submit_other_body(self, key: str, body: dict[str, Any]) -> None:
        """The key of another job: that must be refused."""
        answer = self.ask("POST", JOBS, json=body, headers={"Idempotency-Key": key})
        if answer.status_code != httpx.codes.CONFLICT:
            self._book.broken.append(f"key {key} with another body was answered {answer.status_code}")

    def cancel(self, run_id: str, phase: str) -> bool:
        """Cancel once, and whether the leader confirmed it; a refusal means that the run has ended."""
        try:
            answer = self._http.post(f"{RUNS}/{run_id}/cancel")
        except httpx.HTTPError:
            return False  # it may have been cancelled or not: nothing was promised
        if answer.is_success:
            self._book.confirm(Cancel(run_id, phase, now_ns()))
        return answer.is_success

    def cancel_job(self, job_id: str, phase: str) -> bool:
        """Cancel what is live of a job."""
        try:
            answer = self._http.post(f"{JOBS}/{job_id}/cancel")
        except httpx.HTTPError:
            return False
        if answer.is_success:
            for run in answer.json()["runs"]:
                if run["state"] == "cancelled":
                    self._book.confirm(Cancel(run["id"], phase, now_ns()))
        return answer.is_success

    def look(self, run_id: str) -> dict[str, Any]:
        """The run as it stands."""
        before = self._book.runs[run_id]
        view: dict[str, Any] = self.ask("GET", f"{RUNS}/{run_id}").json()
        self._book.heard(run_id, view["state"], before=before)
        return view

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The first answer that is not "try again", however long the leader is away.

        Raises:
            TimeoutError: there was none for three minutes.
        """
        deadline = time.monotonic() + ASK_FOR_S
        while True:
            try:
                answer = self._http.request(method, path, **options)
                if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    return answer
                said = f"{answer.status_code} {answer.text[:200]}"
            except httpx.HTTPError as error:
                said = repr(error)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path} was not answered for {ASK_FOR_S:g} s: {said}")
            time.sleep(PAUSE_S)


def _deed_of(run: dict[str, Any]) -> str:
    return script_of(run["spec"]["model"]["generate"]["seed"])[0]
