"""What the engine is asked for when a model is to be confined; the same limits on a real one: test_containers.py."""

from pathlib import Path

import pytest

from follower.serve.containers.confinement import (
    NOBODY,
    User,
    as_facts,
    container_settings,
    host_settings,
    memory_limit,
    user_for,
)
from follower.serve.containers.images import DEFAULT_IMAGES, image_of
from follower.serve.containers.leftovers import is_leftover, works_below
from follower.serve.launch.protocol import LaunchRequest
from shared.jobs.formats import SERVES

REQUEST = LaunchRequest(
    argv=["server", "--port=1"],
    cores=[2, 3],
    threads=2,
    workdir=Path("/work/run"),
    log_path=Path("/work/log"),
    environment={"MODEL": "x"},
    memory_bytes=1 << 30,
    image="image:1",
    reads=[Path("/models/m.onnx")],
    labels={"inferbench.run": "r-1"},
)
USER = User(uid=7, gid=8)
HOST_BYTES = 10 << 30


def test_a_root_follower_serves_as_nobody_and_any_other_as_itself() -> None:
    """So that what the follower made can be read, and root is never inside."""
    assert user_for(0, 0) == User(uid=NOBODY, gid=NOBODY)
    assert user_for(1000, 100) == User(uid=1000, gid=100)


def test_every_privilege_is_taken_away() -> None:
    """Whatever the request says."""
    limits = host_settings(REQUEST, memory_bytes=HOST_BYTES, network="n")
    assert limits["cap_drop"] == ["ALL"]
    assert limits["security_opt"] == ["no-new-privileges"]
    assert limits["read_only"] is True
    assert limits["network_mode"] == "n"
    assert not limits.keys() & {"privileged", "cap_add", "devices", "port_bindings", "pid_mode", "publish_all_ports"}


def test_files_keep_their_paths_and_only_the_work_directory_can_be_written() -> None:
    """One command line fits inside and outside."""
    assert host_settings(REQUEST, memory_bytes=HOST_BYTES, network="n")["binds"] == {
        "/work/run": {"bind": "/work/run", "mode": "rw"},
        "/models/m.onnx": {"bind": "/models/m.onnx", "mode": "ro"},
    }


def test_memory_is_limited_also_where_nobody_asked() -> None:
    """To nine tenths of the host's, without swap."""
    unlimited = LaunchRequest(argv=["x"], cores=[], threads=1, workdir=Path("/w"), log_path=Path("/l"))
    assert memory_limit(REQUEST, HOST_BYTES) == 1 << 30
    assert memory_limit(unlimited, HOST_BYTES) == round(0.9 * HOST_BYTES)
    limits = host_settings(unlimited, memory_bytes=HOST_BYTES, network="n")
    assert limits["mem_limit"] == limits["memswap_limit"] == round(0.9 * HOST_BYTES)


def test_cores_are_pinned_where_the_slot_names_some() -> None:
    """And left alone otherwise."""
    unpinned = LaunchRequest(argv=["x"], cores=[], threads=1, workdir=Path("/w"), log_path=Path("/l"))
    assert host_settings(REQUEST, memory_bytes=HOST_BYTES, network="n")["cpuset_cpus"] == "2,3"
    assert host_settings(unpinned, memory_bytes=HOST_BYTES, network="n")["cpuset_cpus"] is None


def test_a_container_gets_the_minimal_environment_and_its_labels() -> None:
    """Its home is its work directory, by which leftovers are known; its scratch is in memory."""
    settings = container_settings(REQUEST, USER)
    assert settings["environment"] == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/work/run",
        "TMPDIR": "/tmp",  # noqa: S108 - the container's
        "PYTHONUNBUFFERED": "1",
        **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "2"),
        "MODEL": "x",
    }
    assert settings["labels"] == {"inferbench.run": "r-1", "inferbench.workdir": "/work/run"}
    assert settings["user"] == "7:8"
    assert settings["command"][-2:] == ["server", "--port=1"]
    assert settings["stdin_open"] is True


def test_the_record_is_told_the_limits_in_force() -> None:
    """Runs under other limits are other runs."""
    facts = as_facts(REQUEST, USER, HOST_BYTES)
    limits = host_settings(REQUEST, memory_bytes=HOST_BYTES, network="n")
    assert (facts["memory_bytes"], facts["pids"], facts["shm_bytes"]) == (
        limits["mem_limit"], limits["pids_limit"], limits["shm_size"],
    )  # fmt: skip
    assert (facts["user"], facts["cores"], facts["capabilities"]) == ("7:8", [2, 3], [])


MINE = {"inferbench.follower": "f", "inferbench.incarnation": "old", "inferbench.workdir": "/home/attempts/a/server"}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (MINE, True),
        (MINE | {"inferbench.incarnation": "new"}, False),
        (MINE | {"inferbench.follower": "g"}, False),
        (MINE | {"inferbench.workdir": "/home/attempts-of-another/a/server"}, False),
        ({name: value for name, value in MINE.items() if name != "inferbench.incarnation"}, False),
        ({name: value for name, value in MINE.items() if name != "inferbench.workdir"}, False),
        ({}, False),
    ],
)
def test_a_leftover_has_our_name_an_older_incarnation_and_our_directory(labels: dict[str, str], expected: bool) -> None:
    """All three, or it is not ours to remove."""
    assert is_leftover(labels, follower="f", incarnation="new", root=Path("/home/attempts")) is expected


def test_a_directory_counts_with_everything_below_it() -> None:
    """And a name that only begins alike does not."""
    assert works_below(MINE, Path("/home/attempts/a"))
    assert works_below(MINE, Path("/home/attempts/a/server"))
    assert not works_below(MINE, Path("/home/attempts/a/serv"))


def test_the_operators_image_goes_before_the_platforms_own() -> None:
    """A platform that has neither has none."""
    assert image_of("onnxruntime", {}) == DEFAULT_IMAGES["onnxruntime"]
    assert image_of("onnxruntime", {"onnxruntime": "mine:1"}) == "mine:1"
    assert image_of("nothing", {}) is None
    assert DEFAULT_IMAGES.keys() <= SERVES.keys()
