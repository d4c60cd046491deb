"""What a calibration holds for, and what is kept on disk."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.assignments import inventory
from support.load_requests import load_request
from support.workloads import workload

from follower.calibrate.cache import SUFFIX, CalibrationCache
from follower.calibrate.calibrate import host_of
from follower.calibrate.replies import Script
from follower.calibrate.shape import Host, Shape, power_of_two, shape_of
from follower.generate.blob_cache import BlobCache
from shared.measure.manifest import Calibration

HOST = Host(boot_id="b", kernel="6.0", cpu_model="cpu", governor=None, versions={"python": "3.11"})
SCRIPT = Script(protocol="http", request_bytes=900, response=b"r" * 70)
FOUND = Calibration(
    protocol="http", request_bytes=900, response_bytes=70, connections=2, workers=1, ceiling_rps=9_000.5,
    added_p50_us=80.25, added_p99_us=190, lateness_p50_us=9, lateness_p99_us=60,
    measured_at=datetime(2026, 1, 1, tzinfo=UTC),
)  # fmt: skip


def shape(tmp_path: Path, script: Script = SCRIPT, cores: tuple[int, ...] = (1,), **fields: Any) -> Shape:
    """The shape of the standard load, with fields of the load replaced."""
    return shape_of(load_request(tmp_path, **fields), script, cores)


def test_what_was_kept_is_found_again_and_marked_as_reused(tmp_path: Path) -> None:
    """To the last digit."""
    cache = CalibrationCache(tmp_path, HOST)
    cache.keep(shape(tmp_path), FOUND)
    assert cache.find(shape(tmp_path)) == FOUND.model_copy(update={"reused": True})
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]


@pytest.mark.parametrize(
    "changed",
    [
        {"boot_id": "c"},
        {"kernel": "6.1"},
        {"cpu_model": "other"},
        {"governor": "powersave"},
        {"versions": {"python": "3.12"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_host_that_has_changed_measures_anew(tmp_path: Path, changed: dict[str, Any]) -> None:
    """And its figures take the place of the old ones."""
    CalibrationCache(tmp_path, HOST).keep(shape(tmp_path), FOUND)
    now = CalibrationCache(tmp_path, HOST.model_copy(update=changed))
    assert now.find(shape(tmp_path)) is None
    now.keep(shape(tmp_path), FOUND)
    assert now.find(shape(tmp_path)) is not None
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"host": 1}', b"[" * 100_000])
def test_a_broken_file_is_ignored_and_written_anew(tmp_path: Path, content: bytes) -> None:
    """Whatever stands in it."""
    cache = CalibrationCache(tmp_path, HOST)
    cache.keep(shape(tmp_path), FOUND)
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    assert cache.find(shape(tmp_path)) is None
    cache.keep(shape(tmp_path), FOUND)
    assert cache.find(shape(tmp_path)) is not None


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_cache(tmp_path: Path) -> None:
    """The run goes on."""
    cache = CalibrationCache(tmp_path / "nowhere", HOST)
    cache.keep(shape(tmp_path), FOUND)
    assert cache.find(shape(tmp_path)) is None


def test_the_blob_cache_beside_it_takes_it_for_one_of_its_own(tmp_path: Path) -> None:
    """It may be evicted, and it does not disturb."""
    CalibrationCache(tmp_path, HOST).keep(shape(tmp_path), FOUND)
    cache = BlobCache(tmp_path, 10**6, lambda _sha256: pytest.fail("nothing is fetched"))
    names = [entry.name for entry in cache._entries()]
    assert names == [shape(tmp_path).sha256 + SUFFIX]


def test_sizes_of_one_power_of_two_share_a_calibration(tmp_path: Path) -> None:
    """And rates too; the next size is another."""
    near = replace(SCRIPT, request_bytes=1_000, response=b"r" * 128)
    far = replace(SCRIPT, request_bytes=1_100)
    assert shape(tmp_path) == shape(tmp_path, near)
    assert shape(tmp_path).sha256 == shape(tmp_path, near).sha256
    assert shape(tmp_path).sha256 != shape(tmp_path, far).sha256


def test_each_part_of_the_shape_tells_loads_apart(tmp_path: Path) -> None:
    """Protocol, sizes, connections, cores, spinning, kernel stamps, rate, and the client's own work."""
    shapes = [
        shape(tmp_path),
        shape(tmp_path, replace(SCRIPT, protocol="grpc")),
        shape(tmp_path, replace(SCRIPT, response=b"r" * 700)),
        shape(tmp_path, replace(SCRIPT, closes=True)),
        shape(tmp_path, spec=workload(pattern="closed", concurrency=3)),
        shape(tmp_path, spec=workload(pattern="constant", rate=50)),
        shape(tmp_path, spec=workload(pattern="constant", rate=500)),
        shape(tmp_path, cores=(2,)),
        shape(tmp_path, client_cores=(3,)),
        shape(tmp_path, own_core=True),
        shape(tmp_path, kernel_timestamps=True),
        shape(tmp_path, encoded=(), raw=((b"x" * 100,),)),
        shape(tmp_path, encoded=(), raw=((b"x" * 1_000,),)),
    ]
    assert len({found.sha256 for found in shapes}) == len(shapes)


@pytest.mark.parametrize(("value", "rounded"), [(0, 0), (1, 1), (2, 2), (3, 4), (1024, 1024), (1025, 2048)])
def test_sizes_count_up_to_the_next_power_of_two(value: int, rounded: int) -> None:
    """By hand."""
    assert power_of_two(value) == rounded


def test_the_host_is_what_inventory_and_kernel_say(tmp_path: Path) -> None:
    """Of the versions only those that the client runs on; a kernel that hides its boot id is told by the rest."""
    (tmp_path / "boot").write_text("5eed\n")
    described = inventory().model_copy(update={"versions": {"python": "3.11", "pillow": "9", "inferbench": "1"}})
    host = host_of(described, tmp_path / "boot")
    assert (host.boot_id, host.kernel, host.cpu_model) == ("5eed", "6.0", "Test CPU")
    assert host.versions == {"python": "3.11", "inferbench": "1"}
    assert host_of(described, tmp_path / "none").boot_id == ""
    assert os.path.exists("/proc/sys/kernel/random/boot_id") == bool(host_of(described).boot_id)  # noqa: PTH110
