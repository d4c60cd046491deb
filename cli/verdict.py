"""The verdict block: a record as the few lines that a person asks for first."""

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import Any, Final

from cli.cold_starts import cold_start_lines
from cli.latencies import WHY_THEY_DIFFER, latency_picture, response_lines, service_line
from cli.quantities import NOT_AVAILABLE, cpu, fitted, milliseconds, percent, printable, rate, size
from cli.reused import origin_text
from shared.measure.metrics import METRICS
from shared.measure.record import (
    STAGES,
    Answer,
    ColdStarts,
    Goodput,
    LoadFidelity,
    Quality,
    Record,
    Resources,
    SloCheck,
)
from shared.wire.views import OriginView

COLUMNS: Final = 100
MAX_LINES: Final = 24
_LABEL: Final = 12
_BAR: Final = 30
_EXAMPLES: Final = 3
_FLOORS: Final = {"good_share", *(name for name, metric in METRICS.items() if metric.higher_is_better)}


def verdict_block(
    record: Record, *, name: str = "", run_id: str | None = None, origin: OriginView | None = None
) -> list[str]:
    """At most ``MAX_LINES`` lines of at most ``COLUMNS`` columns, the verdict first.

    Args:
        record: what was measured.
        name: the job's.
        run_id: the run that is shown, where it is not the record's own.
        origin: where the record is from, if the run itself was not run.
    """
    shown = " · ".join(part for part in (run_id or record.run_id, printable(name), _attempt(record, origin)) if part)
    head = [*_labelled("run", [shown]), *_labelled("origin", _wrapped(origin_text(origin), 2) if origin else [])]
    picture = list(latency_picture(record.response_latency, record.service_latency))
    fewer = [(picture, examples) for examples in range(_EXAMPLES, -1, -1)]
    blocks = (_lines(record, head, *given) for given in [*fewer, ([], 0)])
    lines = next((block for block in blocks if len(block) <= MAX_LINES), [])
    return [fitted(line, COLUMNS) for line in lines]


def _lines(record: Record, head: Sequence[str], picture: Sequence[str], examples: int) -> list[str]:
    if record.cold_starts is not None:
        return _cold_start_block(record, record.cold_starts, head)
    return [
        *_labelled("verdict", _verdict(record)),
        *head,
        *_labelled("what", [_subject(record)]),
        *_labelled("SLO", _slo(record.slo, record.goodput)),
        *_labelled("response", response_lines(record.response_latency, COLUMNS - _LABEL)),
        *_labelled("service", [service_line(record.service_latency)]),
        *_labelled("wire", [service_line(record.wire_latency)] if record.wire_latency else []),
        *_labelled("", [WHY_THEY_DIFFER, *picture]),
        *_labelled("throughput", [_throughput(record.load)] if record.load else []),
        *_labelled("stages", _stages(record)),
        *_labelled("errors", [_errors(record)]),
        *_labelled("cold start", [_cold_start(record)]),
        *_labelled("used", [_used(record)]),
        *_labelled("quality", _quality(record.quality, examples)),
        *_labelled("more", [f"inferbench get | logs | samples {record.run_id}"]),
    ]


def _cold_start_block(record: Record, starts: ColdStarts, head: Sequence[str]) -> list[str]:
    """No latency, throughput or stage: there was no load."""
    return [
        *_labelled("verdict", _verdict(record)),
        *head,
        *_labelled("what", [_subject(record)]),
        *_labelled("cold start", cold_start_lines(starts)),
        *_labelled("no load", _wrapped("latencies, stages, throughput and errors are n/a: no load was asked for", 1)),
        *_labelled("more", [f"inferbench get | logs {record.run_id}"]),
    ]


def _labelled(label: str, lines: Iterable[str]) -> Iterator[str]:
    """The label stands before the first line only."""
    for line in lines:
        yield f"{label:<{_LABEL}}{line}".rstrip()
        label = ""


def _wrapped(text: str, max_lines: int) -> list[str]:
    return wrap(text, COLUMNS - _LABEL, max_lines=max_lines, placeholder=" …") or [""]


def _attempt(record: Record, origin: OriginView | None) -> str:
    return f"attempt {record.attempt}" if record.attempt > 1 and origin is None else ""


def _subject(record: Record) -> str:
    service = record.spec.get("service", {})
    platform = f"{service.get('platform', '?')} on {service.get('device', '?')}"
    return printable(f"{_model_name(record.spec.get('model', {}))}, {platform}, follower {record.follower}")


def _model_name(model: dict[str, Any]) -> str:
    generated = model.get("generate")
    if generated:
        return f"{generated.get('family')} {generated.get('layers')}x{generated.get('width')}"
    return f"{model.get('name', '?')} v{model.get('version', '?')}"


def _verdict(record: Record) -> list[str]:
    """The kind, and what speaks for it; a reason need not name the kind again."""
    verdict = record.verdict
    reasons = "; ".join(printable(reason).removeprefix(f"{verdict.kind}: ") for reason in verdict.reasons)
    return _wrapped(verdict.kind.upper() + (f": {reasons}" if reasons else ""), 2)


def _slo(checks: Sequence[SloCheck], goodput: Goodput | None) -> list[str]:
    if not checks and goodput is None:
        return ["none asked for"]
    ordered = [check for met in (False, None, True) for check in checks if check.met is met]
    told = [_check(check) for check in ordered]
    if goodput is not None:
        told.append(f"goodput {rate(goodput.rps)} req/s, {percent(goodput.share)} of {goodput.offered} good")
    answer = {False: "NOT MET: ", None: "UNDECIDED: ", True: "MET: "}[ordered[0].met] if ordered else ""
    return _wrapped(answer + ", ".join(told), 2)


def _check(check: SloCheck) -> str:
    """What was measured against what was allowed, with the relation that was asked for."""
    measured = NOT_AVAILABLE if check.measured is None else f"{check.measured:.4g}"
    asked = f"asked {'>=' if check.limit in _FLOORS else '<='} {check.allowed:g}"
    if check.met is None:
        return f"{check.limit} {measured} ({asked}; {printable(check.reason or 'undecided')})"
    return f"{check.limit} {measured} ({asked})"


def _throughput(load: LoadFidelity) -> str:
    offered = f"offered {rate(load.offered_rps)}" if load.offered_rps is not None else "closed loop"
    pending = f", {load.pending} unanswered" if load.pending else ""
    return (
        f"{offered}, sent {rate(load.sent_rps)}, completed {rate(load.completed_rps)} req/s{pending}"
        f" · sent late by p99 {milliseconds(load.send_lateness_p99_ms)} ms"
    )


def _stages(record: Record) -> Iterator[str]:
    for stage in STAGES:
        summary = record.stages.get(stage)
        share = summary.share if summary else None
        bar = "█" * round(_BAR * min(1.0, max(0.0, share or 0.0)))
        mean, p99 = (_aligned(summary.mean_ms), _aligned(summary.p99_ms)) if summary else (_aligned(None),) * 2
        yield f"{stage:<13} mean {mean}  p99 {p99}  ms  {percent(share):>7}  {bar}"


def _aligned(value_ms: float | None) -> str:
    """With the decimal points beneath each other, so that the stages can be added by eye."""
    return f"{NOT_AVAILABLE:>9}" if value_ms is None else f"{value_ms:9.3f}"


def _errors(record: Record) -> str:
    kinds = sorted(record.errors.items(), key=lambda item: (-item[1], item[0]))
    if not kinds:
        return f"none of {record.load.sent if record.load else 0} requests"
    return f"{percent(record.error_rate)}: " + ", ".join(f"{printable(kind)} {count}" for kind, count in kinds)


def _cold_start(record: Record) -> str:
    cold = record.cold_start
    phases = (
        ("spawned", cold.spawned_ms), ("port open", cold.port_open_ms), ("model loaded", cold.model_loaded_ms),
        ("ready", cold.ready_ms), ("first answer", cold.first_inference_ms),
    )  # fmt: skip
    return ", ".join(f"{name} {'n/a' if value is None else format(value, '.0f')}" for name, value in phases) + " ms"


def _used(record: Record) -> str:
    batch = _batch(record.batch_size_mean)
    return f"server {_resources(record.server)}, batch {batch} · client {_resources(record.client)}"


def _resources(use: Resources) -> str:
    return f"CPU {cpu(use.cpu_mean_pct)} (max {cpu(use.cpu_max_pct)}), {size(use.rss_max_bytes)}"


def _batch(mean: float | None) -> str:
    return NOT_AVAILABLE if mean is None else f"{mean:.2f}"


def _quality(quality: Quality | None, examples: int) -> Iterator[str]:
    if quality is None:
        yield "not checked: no labels"
        return
    value = NOT_AVAILABLE if quality.value is None else f"{quality.value:.3f}"
    yield f"{quality.metric} {value} over {quality.n} samples"
    yield from map(_example, _examples(quality.answers, examples))


def _examples(answers: Sequence[Answer], most: int) -> list[Answer]:
    """A wrong answer, if there is one, among right ones: both say something."""
    wrong = [answer for answer in answers if answer.label is not None and answer.answer != answer.label]
    chosen = [*wrong[:1], *(answer for answer in answers if answer not in wrong), *wrong[1:]][:most]
    return sorted(chosen, key=answers.index)


def _example(answer: Answer) -> str:
    said = f"'{printable(answer.answer)}'"
    sure = "" if answer.confidence is None else f" ({answer.confidence:.2f})"
    if answer.label is None:
        return f"  ?      {printable(answer.sample)}: {said}{sure}"
    if answer.answer == answer.label:
        return f"  right  {printable(answer.sample)}: {said}{sure}"
    return f"  WRONG  {printable(answer.sample)}: {said}{sure}, label '{printable(answer.label)}'"
