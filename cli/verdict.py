"""The verdict block: a record as the few lines that a person asks for first."""

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import Any, Final

from cli.quantities import NOT_AVAILABLE, cpu, fitted, milliseconds, percent, printable, rate, size
from shared.measure.metrics import METRICS
from shared.measure.record import STAGES, Answer, LatencySummary, Quality, Record, Resources, SloCheck

COLUMNS: Final = 100
MAX_LINES: Final = 24
_LABEL: Final = 12
_BAR: Final = 30
_EXAMPLES: Final = 3
_FLOORS: Final = {name for name, metric in METRICS.items() if metric.higher_is_better}


def verdict_block(record: Record, *, name: str = "") -> list[str]:
    """At most ``MAX_LINES`` lines of at most ``COLUMNS`` columns. ``name`` is the job's."""
    lines = [
        *_labelled("run", [" · ".join(part for part in (record.run_id, printable(name), _attempt(record)) if part)]),
        *_labelled("what", [_subject(record)]),
        *_labelled("verdict", _verdict(record)),
        *_labelled("SLO", _slo(record.slo)),
        *_labelled("response", [_latency(record.response_latency)]),
        *_labelled("service", [_latency(record.service_latency)]),
        *_labelled("throughput", [_throughput(record)]),
        *_labelled("stages", _stages(record)),
        *_labelled("errors", [_errors(record)]),
        *_labelled("cold start", [_cold_start(record)]),
        *_labelled("server", [f"{_resources(record.server)} · batch {_batch(record.batch_size_mean)}"]),
        *_labelled("client", [_resources(record.client)]),
        *_labelled("quality", _quality(record.quality)),
        *_labelled("more", [f"inferbench get | logs | samples {record.run_id}"]),
    ]
    return [fitted(line, COLUMNS) for line in lines]


def _labelled(label: str, lines: Iterable[str]) -> Iterator[str]:
    """The label stands before the first line only."""
    for line in lines:
        yield f"{label:<{_LABEL}}{line}".rstrip()
        label = ""


def _wrapped(text: str, max_lines: int) -> list[str]:
    return wrap(text, COLUMNS - _LABEL, max_lines=max_lines, placeholder=" …") or [""]


def _attempt(record: Record) -> str:
    return f"attempt {record.attempt}" if record.attempt > 1 else ""


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
    reasons = "; ".join(map(printable, record.validity.reasons))
    return _wrapped(record.validity.verdict.upper() + (f": {reasons}" if reasons else ""), 2)


def _slo(checks: Sequence[SloCheck]) -> list[str]:
    if not checks:
        return ["none asked for"]
    unmet = [check for check in checks if not check.met]
    told = ", ".join(map(_check, [*unmet, *(check for check in checks if check.met)]))
    return _wrapped(f"{'NOT MET' if unmet else 'MET'}: {told}", 2)


def _check(check: SloCheck) -> str:
    """What was measured against what was allowed, with the relation that was asked for."""
    measured = NOT_AVAILABLE if check.measured is None else f"{check.measured:.4g}"
    relation = ">=" if check.limit in _FLOORS else "<="
    return f"{check.limit} {measured} (asked {relation} {check.allowed:g})"


def _latency(latency: LatencySummary) -> str:
    values = (
        ("p50", latency.p50_ms), ("p90", latency.p90_ms), ("p95", latency.p95_ms), ("p99", latency.p99_ms),
        ("max", latency.max_ms), ("mean", latency.mean_ms),
    )  # fmt: skip
    return "  ".join(f"{name} {milliseconds(value):>6}" for name, value in values) + f"  ms  n={latency.n}"


def _throughput(record: Record) -> str:
    load = record.load
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
        return f"none of {record.load.sent} requests"
    return f"{percent(record.error_rate)}: " + ", ".join(f"{printable(kind)} {count}" for kind, count in kinds)


def _cold_start(record: Record) -> str:
    cold = record.cold_start
    phases = (
        ("spawned", cold.spawned_ms), ("port open", cold.port_open_ms), ("model loaded", cold.model_loaded_ms),
        ("ready", cold.ready_ms), ("first answer", cold.first_inference_ms),
    )  # fmt: skip
    return ", ".join(f"{name} {'n/a' if value is None else format(value, '.0f')}" for name, value in phases) + " ms"


def _resources(use: Resources) -> str:
    return f"CPU mean {cpu(use.cpu_mean_pct)}, max {cpu(use.cpu_max_pct)} · memory {size(use.rss_max_bytes)}"


def _batch(mean: float | None) -> str:
    return NOT_AVAILABLE if mean is None else f"{mean:.2f} mean"


def _quality(quality: Quality | None) -> Iterator[str]:
    if quality is None:
        yield "not checked: no labels"
        return
    value = NOT_AVAILABLE if quality.value is None else f"{quality.value:.3f}"
    yield f"{quality.metric} {value} over {quality.n} samples"
    yield from map(_example, _examples(quality.answers))


def _examples(answers: Sequence[Answer]) -> list[Answer]:
    """A wrong answer, if there is one, among right ones: both say something."""
    wrong = [answer for answer in answers if answer.label is not None and answer.answer != answer.label]
    chosen = [*wrong[:1], *(answer for answer in answers if answer not in wrong), *wrong[1:]][:_EXAMPLES]
    return sorted(chosen, key=answers.index)


def _example(answer: Answer) -> str:
    said = f"'{printable(answer.answer)}'"
    sure = "" if answer.confidence is None else f" ({answer.confidence:.2f})"
    if answer.label is None:
        return f"  ?      {printable(answer.sample)}: {said}{sure}"
    if answer.answer == answer.label:
        return f"  right  {printable(answer.sample)}: {said}{sure}"
    return f"  WRONG  {printable(answer.sample)}: {said}{sure}, label '{printable(answer.label)}'"
