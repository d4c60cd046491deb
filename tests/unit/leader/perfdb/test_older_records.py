"""Records that an older version stored can still be read. The golden file was written by that version."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.stored_records import record

from leader.perfdb import documents, record_documents
from leader.perfdb.older_records import NOTE, read_record, read_result, upgraded
from shared.measure.record import Record
from shared.wire.assignment import Failure, Result, Success

GOLDEN = (Path(__file__).parents[3] / "golden" / "result-of-0.1.json").read_text()


def old_record() -> dict[str, Any]:
    """The record in the golden file."""
    found: dict[str, Any] = json.loads(GOLDEN)["outcome"]["record"]
    return found


def test_an_older_record_is_read_with_what_it_has() -> None:
    """Its figures stay; what was not kept is not available, and a note says so."""
    old, new = old_record(), read_record(json.dumps(old_record()))
    assert (new.run_id, new.throughput_rps, new.errors) == (old["run_id"], 19.9, {})
    assert new.metrics == old["metrics"]
    assert new.metrics["p99_ms"] == pytest.approx(31.22)
    assert new.response_latency.mean_ms == old["response_latency"]["mean_ms"]
    assert new.warmup_s == 2.0
    assert (new.wire_latency, new.calibration, new.goodput, new.host.foreign_share) == (None, None, None, None)
    assert new.notes == ("no GPU", NOTE)
    assert new.slo_met is True


def test_an_older_percentile_is_not_called_certified() -> None:
    """Nobody judged the sample's size then; the reason says where the plain figure stands."""
    p99 = read_record(json.dumps(old_record())).response_latency.percentiles["p99"]
    assert (p99.ms, p99.certified) == (None, False)
    assert "metrics" in (p99.reason or "")


@pytest.mark.parametrize(
    ("verdict", "kind"), [("valid", "stable"), ("marked", "stable"), ("invalid", "invalid")]
)  # fmt: skip
def test_an_older_verdict_keeps_its_reasons(verdict: str, kind: str) -> None:
    """Marked ones are ranked with their reasons shown, as before."""
    old = {**old_record(), "validity": {"verdict": verdict, "reasons": ["busy host"]}}
    found = read_record(json.dumps(old)).verdict
    assert (found.kind, found.reasons) == (kind, ("busy host",))


def test_an_older_result_is_read_like_its_record() -> None:
    """A success holds one; a failure never did."""
    found = read_result(GOLDEN)
    assert isinstance(found.outcome, Success)
    assert found.outcome.record == read_record(json.dumps(old_record()))
    failed = {**json.loads(GOLDEN), "outcome": {"kind": "failure", "cause": "server-died", "detail": '"validity":'}}
    assert isinstance(read_result(json.dumps(failed, separators=(",", ":"))).outcome, Failure)


def test_a_present_record_is_read_as_it_is() -> None:
    """Also one whose free parts have a key of that name."""
    new = record(environment={"validity": {"validity": 1}})
    assert read_record(new.model_dump_json()) == new
    assert upgraded(new.model_dump(mode="json")) == new.model_dump(mode="json")
    delivered = Result(incarnation="i", attempt=1, fence=1, outcome=Success(record=new))
    assert read_result(delivered.model_dump_json()) == delivered


@pytest.mark.parametrize("workload", [None, {}, {"warmup": 5}, {"warmup": "soon"}])
def test_an_older_record_without_a_warmup_has_none(workload: Any) -> None:
    """A follower's spec is free text to the leader: nothing in it may keep a record from being read."""
    assert read_record(json.dumps({**old_record(), "spec": {"workload": workload}})).warmup_s == 0.0


def test_documents_of_older_records_and_results_are_read() -> None:
    """As the stores hand them over."""
    found: Record = record_documents.record_from_document({"record": json.dumps(old_record())})
    assert found.verdict.kind == "stable"
    stored = {name: name for name in ("run_id", "follower", "sha256")} | {"attempt": 1, "fence": 1, "result": GOLDEN}
    evidence = documents.evidence_from_document({**stored, "received_at_us": 0})
    assert evidence.result == read_result(GOLDEN)
    assert evidence.received_at == datetime(1970, 1, 1, tzinfo=UTC)
