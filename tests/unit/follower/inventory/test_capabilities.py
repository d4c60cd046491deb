"""What is announced is what the tables hold."""

from typing import get_args

from pydantic import BaseModel
from support.assignments import run_spec

from follower.inventory.capabilities import read_capabilities
from follower.inventory.cpu import read_cpu
from follower.inventory.host import read_inventory, read_versions
from follower.serve.platforms import offers
from shared.jobs.pipeline import PostprocessOp, PreprocessOp
from shared.jobs.spec import CanonicalSpec
from shared.scheduling.capability import gaps
from shared.wire.identity import PlatformOffer

OFFERS = (PlatformOffer(platform="onnxruntime", version="1", launch=("process",), protocol=("http",), device=("cpu",)),)


def test_the_small_job_can_run_here() -> None:
    """The same check that the leader makes finds no gap."""
    assert gaps(run_spec(), read_capabilities(OFFERS, {})) == []


def test_every_op_and_family_of_the_job_file_is_announced() -> None:
    """A word that the schema knows and no table does would be accepted and never run."""
    have = read_capabilities(OFFERS, {})
    ops = {get_args(op.model_fields["op"].annotation)[0] for op in members(PreprocessOp) + members(PostprocessOp)}
    assert set(have.ops) == ops
    families = {get_args(model.model_fields["family"].annotation)[0] for model in members(CanonicalSpec)}
    assert set(have.model_families) == families


def members(union: object) -> tuple[type[BaseModel], ...]:
    """The models of an annotated union."""
    return get_args(get_args(union)[0])


def test_what_comes_later_is_a_gap() -> None:
    """Refused at submit through the same check, not by a list of its own."""
    spec = run_spec(network={"rate_mbit": 10_000}, service={"platform": "triton"})
    missing = {gap.path for gap in gaps(spec, read_capabilities(OFFERS, {}))}
    assert {"service.platform", "network"} <= missing


def test_labels_come_from_the_settings() -> None:
    """A job may require them."""
    spec = run_spec(requires={"labels": {"zone": "lab-2"}})
    assert gaps(spec, read_capabilities(OFFERS, {"zone": "lab-2"})) == []
    assert [gap.path for gap in gaps(spec, read_capabilities(OFFERS, {}))] == ["requires.labels.zone"]


def test_the_inventory_of_this_host_is_complete() -> None:
    """Hardware, kernel, and the version of every installed platform."""
    installed = offers()
    inventory = read_inventory(read_cpu(), installed)
    assert inventory.memory_bytes > 0
    assert inventory.kernel
    assert inventory.os
    assert {f"platform:{offer.platform}" for offer in installed} <= inventory.versions.keys()


def test_packages_that_are_missing_are_left_out() -> None:
    """Absence is not a version."""
    versions = read_versions(())
    assert "python" in versions
    assert all(versions.values())


def test_without_an_allow_list_there_is_no_platform_endpoint() -> None:
    """A job for one is refused at submit."""
    offer = PlatformOffer(platform="endpoint", version="1", launch=("process",), protocol=("http",), device=("cpu",))
    spec = run_spec(service={"platform": "endpoint", "url": "http://triton.lab:8000"})
    assert [gap.path for gap in gaps(spec, read_capabilities((offer,), {}))] == ["service.platform"]
    assert gaps(spec, read_capabilities((offer,), {}, ("triton.lab",))) == []
