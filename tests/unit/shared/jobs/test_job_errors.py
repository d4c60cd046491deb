"""A gallery of wrong job files and what a user is told, kept in tests/golden/job-errors.txt and read as a user would.

Write it anew with ``python tests/unit/shared/jobs/test_job_errors.py``, then read the difference.
"""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from shared.errors import InvalidJobFile, TooLarge
from shared.jobs.document import JSON, YAML, read_job

GOLDEN = Path(__file__).parents[3] / "golden" / "job-errors.txt"

GOOD_HEAD = """\
name: demo
model: {name: resnet50}
workload: {pattern: poisson, rate: 50}
"""

WRONG: dict[str, str | bytes] = {
    "misspelt keys, a bad value and a missing section, all at once": """\
        name: Demo Job
        model: {nme: resnet50}
        service:
          platfrom: triton
          threads: 0
          batching: {max_batchsize: 8}
        """,
    "a key in the wrong section": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: poisson, rate: 50}
        threads: 4
        service: {max_batch_size: 8}
        """,
    "values of the wrong kind": """\
        name: demo
        model: resnet50
        repeats: "3"
        service: {threads: fast, batching: 8}
        pipeline:
          preprocess: [decode_image, {op: resize, size: [224], keep_aspect: yes}]
        workload: poisson
        """,
    "names that are nearly right": """\
        name: demo
        model: {generate: {family: atention}}
        service: {platform: onnx-runtime, device: gpu}
        pipeline: {postprocess: [{op: softmx}]}
        workload: {pattern: poison, rate: 5}
        network: 4g
        """,
    "durations": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: constant, rate: 50, warmup: 5, duration: 30 sec, request_timeout: 0s}
        """,
    "a rate below zero and one that no memory could plan": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: poisson, rate: -1}
        sweep: {workload.rate: [10, 20, 0]}
        """,
    "too many requests to plan": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: constant, rate: 1000000, duration: 1h}
        """,
    "bursts that never end and are none": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: mmpp, rate: 5, burst_ratio: 1, burst_share: 1.0, burst_length: 2h}
        """,
    "bursts shorter than any": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: mmpp, rate: 5, burst_ratio: 4, burst_share: 0.5, burst_length: 1us, duration: 1m}
        """,
    "a ramp from nothing": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: ramp, from_rate: 0, to_rate: 1000000, arrivals: random, duration: 1h}
        """,
    "a ramp that ends too high": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: ramp, from_rate: 1, to_rate: 10000, arrivals: constant, duration: 1h}
        """,
    "steps without a rate": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: step, rates: [], max_in_flight: 0}
        sweep: {workload.rates: [[1, 2], [2, 1]]}
        """,
    "a spike outside the window": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: spike, rate: 5, spike_rate: 50, spike_at: 8s, spike_duration: 5s, duration: 10s}
        """,
    "a swing below zero, and gaps that vary too much": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: sine, rate: 5, amplitude: 1.5, period: 0s}
        sweep: {workload.amplitude: [0.5, 2], workload.cv: [2]}
        """,
    "gaps of no known spread": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: gamma, rate: 5, cv: 0}
        """,
    "a trace by its file instead of its name, and backwards": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: trace, trace: ./Traces/june.csv, speed: -1}
        """,
    "offline with a rate and without a number": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: offline, rate: 5}
        """,
    "MLPerf's scenarios with each other's keys": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: mlperf, scenario: server, requests: 10}
        """,
    "MLPerf's multi-stream with one sample in a query": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: mlperf, scenario: multi-stream}
        """,
    "a search without a limit, that starts above its end": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: search, slo: {}, start_rate: 200, max_rate: 100}
        """,
    "a search with a limit in the wrong place, and more probes than it may have": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: search, p99_ms: 50, slo: {p99: 50}, probes: 11, precision: 0}
        """,
    "the keys of another pattern": """\
        name: demo
        model: {name: resnet50, generate: {family: fc, heads: 4}}
        workload: {pattern: closed, rate: 50}
        """,
    "impossible combinations, beside a wrong value": """\
        name: demo
        model: {generate: {family: attention, width: 256, heads: 3}}
        service: {device: cpu, url: "http://127.0.0.1:9"}
        requires: {device: cuda}
        pipeline:
          preprocess: [{op: normalize, mean: [0.5, 0.5, 0.5], std: [0.2, 0.2]}]
        workload: {pattern: closed, concurrency: 0}
        """,
    "ops that cannot follow each other": """\
        name: demo
        model: {generate: {family: cnn}}
        requests: {dataset: images-small}
        pipeline:
          preprocess: [{op: resize, size: [64, 64]}, {op: decode_image}, {op: channels_first}, {op: normalize}]
          postprocess: [{op: ctc_decode}, {op: softmax}]
        workload: {pattern: closed}
        """,
    "ops on synthetic tensors, and a device that contradicts another": """\
        name: demo
        model: {name: resnet50}
        service: {device: cuda}
        requires: {device: cpu}
        pipeline: {postprocess: [{op: softmax}]}
        workload: {pattern: closed}
        """,
    "the same key twice": """\
        name: demo
        model: {name: resnet50}
        workload:
          pattern: poisson
          rate: 50
          rate: 60
        name: other
        """,
    "keys that are not text": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: closed}
        1: one
        true: yes
        """,
    "empty sections": """\
        name: demo
        model:
        service:
        workload:
          pattern: poisson
          rate:
        """,
    "anchors, aliases and tags": """\
        name: &n demo
        team: *n
        model: {name: !!str resnet50}
        workload: {pattern: closed}
        """,
    "a bomb": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"{n}: &{n} [{', '.join([f'*{p}'] * 9)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)),
    "two documents": GOOD_HEAD + "---\n" + GOOD_HEAD,
    "a tab": "name: demo\nmodel:\n\tname: resnet50\n",
    "a bracket that is never closed": "name: demo\nmodel: {name: resnet50\nworkload: {pattern: closed}\n",
    "a line out of its block": "name: demo\nmodel:\n    name: resnet50\n  version: 3\n",
    "a colon too many": "name: demo: job\n",
    "an empty file": "",
    "a list": "- name: demo\n",
    "nesting without end": "name: " + "[" * 500,
    "not UTF-8": b"name: demo\nteam: caf\xe9\n",
    "too large": "# " + "x" * 70_000,
    "a sweep over paths that do not exist": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: poisson, rate: 50}
        repeats: 3
        sweep:
          service.batching.max_batchsize: [1, 2]
          batch_size: [1, 2]
          service.batching: [1]
          repeats: [1, 2]
          pipeline.preprocess.0.size: [1, 2]
        """,
    "a sweep of 100,000 points": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: poisson, rate: 50}
        sweep:
          workload.rate: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
          service.threads: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
          service.instances: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
          requests.batch_size: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
          requests.distinct: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        """,
    "sweep values that are wrong by themselves or together": """\
        name: demo
        model: {generate: {family: attention, width: 256, heads: 4}}
        workload: {pattern: closed}
        sweep:
          model.generate.width: [256, 384]
          model.generate.heads: [4, 5, 6, 8]
          service.threads: [1, two, 1]
        """,
    "sweep values that do not go with the rest": """\
        name: demo
        model: {name: resnet50}
        service: {device: cpu}
        requires: {device: cpu}
        workload: {pattern: poisson, rate: 50}
        sweep:
          service.device: [cpu, cuda]
          workload.pattern: [poisson, constant, closed]
          service.batching.max_delay_ms: [0, 2]
        """,
    "a value that only the sweep gives": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: poisson}
        sweep: {workload.rate: [10, 20]}
        """,
    "not a list of values": """\
        name: demo
        model: {name: resnet50}
        workload: {pattern: closed}
        requires: {labels: {"the zone": lab 2}}
        sweep: {workload.concurrency: 4, service.threads: [], service.instances: [null, [1]]}
        """,
}

WRONG_JSON: dict[str, str] = {
    "JSON with an unknown key, a key twice and a value out of range": """\
        {
          "name": "demo",
          "model": {"name": "resnet50", "name": "other"},
          "workload": {"pattern": "poisson", "rate": -1},
          "reapeats": 3
        }
        """,
    "JSON that ends too soon": '{"name": "demo", "model": {',
}


def _told(text: str | bytes, content_type: str) -> str:
    with pytest.raises((InvalidJobFile, TooLarge)) as caught:
        read_job(text, content_type=content_type)
    return "\n".join(str(problem) for problem in caught.value.problems) or caught.value.detail


def _shown(text: str | bytes) -> str:
    printable = text.decode("latin-1") if isinstance(text, bytes) else text
    lines = [
        line if len(line) <= 110 else f"{line[:100]} ... ({len(line):,} characters)" for line in printable.splitlines()
    ]
    return "\n".join(f"  {number:3} | {line}" for number, line in enumerate(lines, 1))


def gallery() -> str:
    """Every wrong file with what is said about it."""
    entries = [(title, text, YAML) for title, text in WRONG.items()]
    entries += [(title, text, JSON) for title, text in WRONG_JSON.items()]
    parts = []
    for title, text, content_type in entries:
        source = dedent(text) if isinstance(text, str) else text
        parts.append(f"## {title}\n\n{_shown(source)}\n\n{_told(source, content_type)}\n")
    return "\n".join(parts)


def test_every_wrong_file_is_told_as_in_the_gallery() -> None:
    """What users read about a wrong file changes only on purpose."""
    assert gallery() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(0 if GOLDEN.write_text(gallery(), encoding="utf-8") else 1)
