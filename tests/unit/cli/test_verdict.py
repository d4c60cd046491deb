"""The verdict block: what a person asks first, on one screen, with nothing dressed up."""

from collections.abc import Callable
from dataclasses import fields

import pytest
from rich.cells import cell_len
from support.records import QUALITY, RUN_ID, latency, record, stage

from cli.verdict import COLUMNS, MAX_LINES, verdict_block
from shared.measure.cold_starts import analyze_cold_starts
from shared.measure.record import (
    Answer,
    ColdStart,
    ColdStartRepeat,
    Goodput,
    LoadFidelity,
    Quality,
    Record,
    Resources,
    SloCheck,
    Verdict,
)

NAMES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "error_rate", "throughput_rps")


def line(block: list[str], label: str) -> str:
    """The line with this label."""
    return next(text for text in block if text.startswith(label))


def everything_wrong() -> Record:
    """A record in which every part takes the room it can take."""
    return record(
        attempt=4,
        verdict=Verdict(kind="invalid", reasons=tuple(f"reason {n} " + "why " * 12 for n in range(9))),
        slo=tuple(SloCheck(limit=name, allowed=1234.5678, measured=98765.4321, met=False) for name in NAMES),
        response_latency=latency(123456.0, n=1_000_000),
        wire_latency=latency(111111.0, n=1_000_000),
        goodput=Goodput(good=1, offered=1_000_000, rps=0.1, share=1e-6),
        errors={f"http-{code}": code for code in range(500, 540)},
        error_rate=0.999,
        stages={name: stage(1e6, 1e6) for name in record().stages},
        quality=Quality(
            metric="exact-match",
            value=0.0,
            n=3,
            answers=tuple(Answer(sample="s" * 80, answer="测试" * 40, label="字" * 90) for _ in range(5)),
        ),
    )


def nothing_known() -> Record:
    """A record in which everything that may be missing is missing."""
    return record(
        cold_start=ColdStart(
            spawned_ms=5, port_open_ms=None, model_loaded_ms=None, ready_ms=None, first_inference_ms=None
        ),
        load=LoadFidelity(
            pattern="closed", offered_rps=None, sent_rps=1.0, completed_rps=1.0, planned=None, sent=0, completed=0,
            pending=2, send_lateness_p50_ms=None, send_lateness_p99_ms=None, send_lateness_max_ms=None,
            max_in_flight=1, seed=1, plan_sha256="",
        ),
        response_latency=latency(None, n=0),
        service_latency=latency(None, n=0),
        stages={name: stage(None) for name in record().stages},
        server=Resources(cpu_mean_pct=None, cpu_max_pct=None, rss_max_bytes=None, samples=0),
        client=Resources(cpu_mean_pct=None, cpu_max_pct=None, rss_max_bytes=None, samples=0),
        batch_size_mean=None,
        quality=None,
        slo=(),
    )  # fmt: skip


def test_a_good_record_reads_like_this() -> None:
    """The whole block, character by character."""
    assert verdict_block(record(service_latency=latency()), name="quickstart") == [
        "verdict     STABLE",
        f"run         {RUN_ID} · quickstart",
        "what        ppocr-rec v1, onnxruntime on cpu, follower local",
        "SLO         MET: p99_ms 31.22 (asked <= 50)",
        "response    p50 14.0 (13.3-14.7)  p90 16.8 (16.0-17.6)  p95 18.2 (17.3-19.1)  p99 31.2 (29.7-32.8)",
        "            p99.9 42.0 (39.9-44.1)  mean 15.0  max 43.4  ms n=600",
        "service     p50 14.0  p90 16.8  p95 18.2  p99 31.2  p99.9 42.0  mean 15.0  max 43.4  ms n=600",
        "            response counts from when a request was due, service from its send, wire in the kernel",
        "throughput  offered 20.0, sent 20.0, completed 19.9 req/s · sent late by p99 0.400 ms",
        "stages      preprocess    mean     1.500  p99     3.000  ms   10.0 %  ███",
        "            transmission  mean     0.500  p99     1.000  ms    3.3 %  █",
        "            queue         mean     0.250  p99     0.500  ms    1.7 %",
        "            inference     mean    12.000  p99    24.000  ms   80.0 %  ████████████████████████",
        "            postprocess   mean     0.500  p99     1.000  ms    3.3 %  █",
        "            unattributed  mean     0.250  p99     0.500  ms    1.7 %",
        "errors      none of 600 requests",
        "cold start  spawned 6, port open 812, model loaded 1204, ready 1251, first answer 1302 ms",
        "used        server CPU 97 % (max 121 %), 210 MiB, batch 1.25 · client CPU 12 % (max 20 %), 80.0 MiB",
        "quality     exact-match 0.875 over 8 samples",
        "              right  word-1.jpg: 'HELLO' (0.98)",
        "              right  word-2.jpg: 'BENCH' (0.97)",
        "              WRONG  word-4.jpg: 'W0RLD' (0.61), label 'WORLD'",
        f"more        inferbench get | logs | samples {RUN_ID}",
    ]


@pytest.mark.parametrize("make", [record, everything_wrong, nothing_known])
def test_it_fits_one_screen(make: Callable[[], Record]) -> None:
    """Never more than 24 lines or 100 columns, whatever the record holds."""
    block = verdict_block(make(), name="n" * 64)
    assert len(block) <= MAX_LINES < 25
    assert max(map(cell_len, block)) <= COLUMNS == 100


def test_the_verdict_stands_before_any_figure() -> None:
    """It is the first line, whatever it says; only then come names and numbers."""
    for make in (record, everything_wrong, nothing_known):
        assert verdict_block(make())[0].startswith("verdict ")


def test_two_latencies_that_differ_are_drawn() -> None:
    """A p90 of 16.8 ms of which 7.2 were spent at the server: the rest, in dots, is waiting in the client."""
    block = verdict_block(record(service_latency=latency(6.0)))
    drawn = [text for text in block if "█" in text and "p90" in text]
    assert drawn[0] == f"            response p90 {'█' * 40} 16.8 ms"
    assert drawn[1] == f"            service  p90 {'█' * 17}{'·' * 23} 7.20 ms, dots: not yet sent"


def test_latencies_that_hardly_differ_are_not_drawn() -> None:
    """Within 10 % there is nothing to explain."""
    assert not [text for text in verdict_block(record(service_latency=latency(12.8))) if "·····" in text]


def test_where_kernel_stamps_were_taken_all_three_latencies_are_named() -> None:
    """The third one has a line of its own, and only then."""
    labels = [text.split()[0] for text in verdict_block(record(wire_latency=latency(11.0))) if not text[0].isspace()]
    assert labels[4:7] == ["response", "service", "wire"]
    assert not [text for text in verdict_block(record()) if text.startswith("wire")]


def test_an_undecided_limit_is_neither_met_nor_missed() -> None:
    """It says that the sample is too small, and stands behind what was missed."""
    undecided = SloCheck(limit="p99_ms", allowed=50, measured=None, met=None, reason="undecided: 3 of 118 took longer")
    assert line(verdict_block(record(slo=(undecided,))), "SLO") == (
        "SLO         UNDECIDED: p99_ms n/a (asked <= 50; undecided: 3 of 118 took longer)"
    )
    missed = SloCheck(limit="good_share", allowed=0.9, measured=0.5, met=False)
    assert line(verdict_block(record(slo=(undecided, missed))), "SLO").startswith(
        "SLO         NOT MET: good_share 0.5 (asked >= 0.9), p99_ms n/a"
    )


def test_goodput_stands_with_the_limits_that_define_it() -> None:
    """Requests that kept every limit, over all offered."""
    good = Goodput(good=540, offered=600, rps=18.0, share=0.9)
    assert line(verdict_block(record(goodput=good)), "SLO").endswith("goodput 18.0 req/s, 90.0 % of 600 good")
    assert line(verdict_block(record(slo=(), goodput=good)), "SLO").startswith("SLO         goodput 18.0")


def test_an_unmet_limit_comes_first_and_says_what_was_asked() -> None:
    """Of several limits the broken one is told first, with its measured value and its direction."""
    checks = (
        SloCheck(limit="p99_ms", allowed=50, measured=31.2, met=True),
        SloCheck(limit="throughput_rps", allowed=25, measured=19.9, met=False),
    )
    assert line(verdict_block(record(slo=checks)), "SLO") == (
        "SLO         NOT MET: throughput_rps 19.9 (asked >= 25), p99_ms 31.2 (asked <= 50)"
    )


def test_a_marked_measurement_says_why() -> None:
    """The reasons stand beside the verdict, not in a log."""
    marked = record(verdict=Verdict(kind="stable", reasons=("host was busy: 31 %", "single core")))
    assert line(verdict_block(marked), "verdict") == "verdict     STABLE: host was busy: 31 %; single core"


def test_a_reason_does_not_name_the_kind_again() -> None:
    """Reasons stand alone in the API; beside the kind they need no name."""
    overloaded = record(verdict=Verdict(kind="overloaded", reasons=("overloaded: 100 were due",), capacity_rps=50.0))
    assert line(verdict_block(overloaded), "verdict") == "verdict     OVERLOADED: 100 were due"


def test_what_is_not_known_is_not_zero() -> None:
    """Missing numbers are n/a in every line that could hold them."""
    block = verdict_block(nothing_known())
    assert "no percentile (not certified" in line(block, "response")
    assert "mean n/a" in "".join(block)
    assert line(block, "throughput").startswith("throughput  closed loop, sent 1.0")
    assert line(block, "used") == "used        server CPU n/a (max n/a), n/a, batch n/a · client CPU n/a (max n/a), n/a"
    assert line(block, "cold start").endswith("ready n/a, first answer n/a ms")
    assert line(block, "SLO") == "SLO         none asked for"
    assert line(block, "quality") == "quality     not checked: no labels"
    assert "2 unanswered" in line(block, "throughput")


def test_errors_are_told_by_kind_and_most_frequent_first() -> None:
    """The share of failed requests, then the kinds."""
    failing = record(errors={"http-500": 2, "timeout": 7}, error_rate=0.015)
    assert line(verdict_block(failing), "errors") == "errors      1.5 %: timeout 7, http-500 2"


def test_all_right_answers_need_no_wrong_one() -> None:
    """Three examples are shown where all are right, and unlabelled ones are not judged."""
    answers = (*QUALITY.answers[:3], Answer(sample="x.jpg", answer="?", label=None))
    quality = QUALITY.model_copy(update={"answers": answers})
    shown = verdict_block(record(service_latency=latency(), quality=quality))
    assert sum("right" in text for text in shown) == 3
    unlabelled = QUALITY.model_copy(update={"answers": answers[3:]})
    assert any(text.strip() == "?      x.jpg: '?'" for text in verdict_block(record(quality=unlabelled)))


def test_an_answer_cannot_speak_to_the_terminal() -> None:
    """Escape sequences in what a model or a server said are shown, not obeyed."""
    hostile = QUALITY.model_copy(update={"answers": (Answer(sample="a\n", answer="\x1b[2J\u202e", label=None),)})
    text = "".join(verdict_block(record(quality=hostile)))
    assert text.isprintable()
    assert "\\x1b[2J" in text


def test_a_generated_model_is_named_by_its_shape() -> None:
    """Family, layers and width say what a canonical model is."""
    spec = {"model": {"generate": {"family": "fc", "layers": 2, "width": 64}}, "service": {"platform": "onnxruntime"}}
    assert "fc 2x64, onnxruntime" in line(verdict_block(record(spec=spec)), "what")


def test_a_later_attempt_says_so() -> None:
    """That a run needed more than one attempt is worth a word."""
    assert line(verdict_block(record(attempt=2)), "run").endswith("· attempt 2")


def test_a_cold_start_shows_a_table_of_phases_and_no_latency() -> None:
    """One line a phase, with least, median and greatest; what only a load has is not drawn as zero."""
    phases = [
        ColdStart(
            spawned_ms=1, port_open_ms=300 + i, model_loaded_ms=None, ready_ms=400 + i, first_inference_ms=500 + i
        )
        for i in (0, 20, 10)
    ]
    repeats = [
        ColdStartRepeat(phases=one, inferences=50, steady_ms=1.25, steady_after=after, cached_share=0.0, stopped_ms=30)
        for one, after in zip(phases, (4, 0, 2), strict=True)
    ]
    measured = analyze_cold_starts(repeats, "cold")
    figures = {field.name: getattr(measured, field.name) for field in fields(measured)}
    block = verdict_block(record(**figures | {"quality": None}))
    assert block[0] == "verdict     STABLE"
    table = [one[12:] for one in block if one[:12].strip() in {"", "cold start"}]
    assert table == [
        "3 starts, cache cold: 0.0 % of the model in the page cache before the start, at most",
        "                    min    median       max  ms    n",
        "spawned             1.0       1.0       1.0        3",
        "port open         300.0     310.0     320.0        3  ██████████████████",
        "model loaded        n/a       n/a       n/a        0",
        "ready             400.0     410.0     420.0        3  ████████████████████████",
        "first answer      500.0     510.0     520.0        3  ██████████████████████████████",
        "steady after          0         2         4  inferences · steady at 1.25 to 1.25 ms",
        "p50 not certified: 3 effective samples, 11 are needed",
    ]
    assert not any(one.startswith(("response", "throughput", "stages", "errors")) for one in block)
