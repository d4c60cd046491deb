"""``inferbench platforms``: what this machine can serve with, and what it lacks."""

import json
import subprocess
import sys

from support.engines import require_engine

from cli.tables import platforms_table


def inferbench(*words: str) -> "subprocess.CompletedProcess[str]":
    """One command line."""
    return subprocess.run([sys.executable, "-m", "cli", *words], capture_output=True, text=True, check=False)


def test_every_platform_is_listed_with_its_version() -> None:
    """The one that is always there is."""
    listed = inferbench("platforms", "list", "-o", "json")
    assert listed.returncode == 0, listed.stderr
    found = {each["platform"]: each["offer"] for each in json.loads(listed.stdout)["platforms"]}
    assert found["onnxruntime"]["protocol"] == ["http"]


def test_what_is_missing_is_told_with_how_to_get_it() -> None:
    """A platform whose engine is not installed."""
    table = platforms_table([{"platform": "triton", "offer": None, "engine": "triton"}])
    assert table[1].split()[0] == "triton"
    assert table[1].endswith("inferbench platforms install triton")


def test_an_unknown_engine_is_refused() -> None:
    """With the known ones."""
    refused = inferbench("platforms", "install", "caffe")
    assert refused.returncode == 1
    assert "unknown engine 'caffe'; there are openvino, tensorflow, torch, triton" in refused.stderr


def test_an_engine_that_is_there_is_left_alone() -> None:
    """No network is needed to find that out."""
    require_engine("openvino")
    again = inferbench("platforms", "install", "openvino")
    assert again.returncode == 0, again.stderr
    assert "was installed already" in again.stderr
