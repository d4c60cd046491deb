"""The job file as strict models. Everything a job may ask for stands here, whether or not a follower has it.

Reading a file with line numbers is ``shared.jobs.document``; sweeps and repeats are ``shared.jobs.sweep``.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from shared.jobs.endpoint_address import parse_address
from shared.jobs.endpoint_api import EndpointSpec, TemplateApi
from shared.jobs.formats import SERVES, TRAINED, PlatformName
from shared.jobs.network import NetworkSpec
from shared.jobs.pipeline import CtcDecode, PipelineSpec
from shared.jobs.section import Contradiction, Section, refuse
from shared.jobs.slo import SloSpec
from shared.jobs.units import DurationNs
from shared.jobs.workload import MLPERF_MULTI_STREAM_SAMPLES, ColdStartWorkload, MlperfWorkload, WorkloadSpec

API_VERSION: Final = "inferbench/v1"
NAME_PATTERN: Final = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"
LABEL_PATTERN: Final = r"^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$"
URL_PATTERN: Final = r"^https?://[^\s]{1,2000}$"
MAX_SEED: Final = 2**63 - 1
MAX_TRAIN_STEPS: Final = 100
MAX_DEADLINE_NS: Final = 30 * 86_400_000_000_000

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Label = Annotated[str, Field(pattern=LABEL_PATTERN)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED, description="Seed of the weights.")]
TrainSteps = Annotated[
    int,
    Field(
        ge=0,
        le=MAX_TRAIN_STEPS,
        description="Steps of training from there, on synthetic samples; for platforms that load SavedModel or"
        " TorchScript.",
    ),
]


class NamedModel(Section):
    """A model of the repository."""

    name: Name = Field(description="Name of a registered model.")
    version: Annotated[int, Field(ge=1, le=MAX_SEED)] | Literal["latest"] = Field(
        "latest", description="Version number, or `latest`, which is pinned at submit."
    )


class FullyConnectedModel(Section):
    """A stack of fully connected layers with ReLU."""

    family: Literal["fc"] = Field(description="Fully connected.")
    layers: int = Field(4, ge=1, le=256, description="Hidden layers.")
    width: int = Field(512, ge=1, le=16384, description="Neurons in each layer.")
    seed: Seed = 0
    train_steps: TrainSteps = 0


class ResidualCnnModel(Section):
    """A stem, residual blocks of two 3x3 convolutions, global pooling, a classifier."""

    family: Literal["cnn"] = Field(description="Residual CNN.")
    layers: int = Field(8, ge=1, le=128, description="Residual blocks.")
    width: int = Field(64, ge=1, le=2048, description="Channels.")
    image_size: int = Field(64, ge=8, le=1024, description="Height and width of the input in pixels.")
    seed: Seed = 0
    train_steps: TrainSteps = 0


class LstmModel(Section):
    """A stack of LSTM layers over a sequence of vectors."""

    family: Literal["lstm"] = Field(description="LSTM.")
    layers: int = Field(2, ge=1, le=64, description="LSTM layers.")
    width: int = Field(256, ge=1, le=8192, description="Hidden units.")
    sequence_length: int = Field(32, ge=1, le=4096, description="Steps.")
    seed: Seed = 0
    train_steps: TrainSteps = 0


class AttentionModel(Section):
    """Transformer encoder blocks: self-attention, feed-forward, layer norm."""

    family: Literal["attention"] = Field(description="Transformer encoder.")
    layers: int = Field(4, ge=1, le=128, description="Blocks.")
    width: int = Field(256, ge=8, le=8192, description="Model width.")
    heads: int = Field(4, ge=1, le=128, description="Attention heads; divides width.")
    sequence_length: int = Field(64, ge=1, le=4096, description="Tokens.")
    seed: Seed = 0
    train_steps: TrainSteps = 0

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        refuse(self._uneven_heads())
        return self

    def _uneven_heads(self) -> Iterator[Contradiction]:
        if self.width % self.heads:
            yield Contradiction(("heads",), f"width {self.width} is not a multiple of heads {self.heads}")


CanonicalSpec = Annotated[
    FullyConnectedModel | ResidualCnnModel | LstmModel | AttentionModel, Field(discriminator="family")
]


class GeneratedModel(Section):
    """A canonical model, made from hyper-parameters on the follower."""

    generate: CanonicalSpec = Field(description="Hyper-parameters of a canonical network, chosen by `family`.")


def _model_kind(value: Any) -> str:
    if isinstance(value, dict):
        return "GeneratedModel" if "generate" in value else "NamedModel"
    return "GeneratedModel" if isinstance(value, GeneratedModel) else "NamedModel"


ModelSpec = Annotated[
    Annotated[NamedModel, Tag("NamedModel")] | Annotated[GeneratedModel, Tag("GeneratedModel")],
    Discriminator(_model_kind),
]


class BatchingSpec(Section):
    """Dynamic batching in the server."""

    max_batch_size: int = Field(1, ge=1, le=4096, description="Most samples executed together.")
    max_delay_ms: float = Field(0.0, ge=0, le=10_000, description="Longest wait for a batch to fill.")


class ServiceSpec(Section):
    """What serves the model, and how."""

    platform: PlatformName = Field(
        "onnxruntime", description="The serving software; `endpoint` is one that already runs, at `url`."
    )
    launch: Literal["process", "docker"] = Field("process", description="How the follower starts the software.")
    protocol: Literal["http", "grpc"] = Field("http", description="What the requests are sent over.")
    device: Literal["cpu", "cuda"] = Field("cpu", description="What executes the model.")
    threads: int = Field(1, ge=1, le=1024, description="Threads inside one inference.")
    instances: int = Field(1, ge=1, le=256, description="Copies of the model that run side by side.")
    batching: BatchingSpec = BatchingSpec()
    url: Annotated[str, Field(pattern=URL_PATTERN)] | None = Field(
        None, description="Address of the existing endpoint; for platform `endpoint` and no other."
    )
    endpoint: EndpointSpec | None = Field(
        None,
        description="What is spoken there, chosen by `api`; Open Inference Protocol where absent. For platform"
        " `endpoint` and no other.",
    )
    ready_timeout: DurationNs = Field(
        60_000_000_000,
        gt=0,
        le=3_600_000_000_000,
        description="Longest wait until the server is ready; above 0s, at most 1h.",
    )

    @model_validator(mode="after")
    def _url_belongs_to_endpoint(self) -> Self:
        refuse([*self._misplaced_url(), *self._misplaced_endpoint()])
        return self

    def _misplaced_url(self) -> Iterator[Contradiction]:
        if self.platform == "endpoint" and self.url is None:
            yield Contradiction(("platform",), "platform endpoint needs service.url, the address of what already runs")
        if self.platform == "endpoint" and self.url is not None:
            try:
                parse_address(self.url)
            except ValueError as error:
                yield Contradiction(("url",), str(error))
        if self.platform != "endpoint" and self.url is not None:
            yield Contradiction(
                ("url",), f"a url goes with platform endpoint only; {self.platform} is started by the follower"
            )

    def _misplaced_endpoint(self) -> Iterator[Contradiction]:
        if self.platform != "endpoint" and self.endpoint is not None:
            message = f"goes with platform endpoint only; {self.platform} says itself what it speaks"
            yield Contradiction(("endpoint",), message)
        if self.endpoint is not None and self.endpoint.secret is not None and not (self.url or "").startswith("https:"):
            yield Contradiction(
                ("endpoint", "secret"), "a secret is sent over https only; the url has to begin with it"
            )
        if isinstance(self.endpoint, TemplateApi) and self.protocol != "http":
            yield Contradiction(("protocol",), f"api template is plain HTTP; {self.protocol} has no such requests")


class RequestsSpec(Section):
    """What is sent."""

    dataset: Name = Field("synthetic", description="Built-in or uploaded dataset, or `synthetic` tensors.")
    batch_size: int = Field(1, ge=1, le=4096, description="Samples in one request.")
    distinct: int = Field(16, ge=1, le=4096, description="Different payloads in rotation (synthetic data).")


class CollectSpec(Section):
    """What is recorded beside every request's own stamps."""

    kernel_timestamps: bool = Field(
        False, description="Take the wire latency from the kernel's time stamps; HTTP only, where the kernel has them."
    )
    request_stages: bool = Field(
        True, description="Have a server that can (triton) write down the stages of every request, at a small cost."
    )


class RequiresSpec(Section):
    """Which followers may take the run."""

    device: Literal["cpu", "cuda"] | None = Field(None, description="Must be `service.device`; says it aloud.")
    labels: dict[Label, Label] = Field(
        default_factory=dict, max_length=32, description="Labels that the follower must carry."
    )


class RunSpec(Section):
    """One fully resolved configuration: a job file without sweep and repeats."""

    model: ModelSpec = Field(description="What is served: a registered model, or one to `generate`.")
    service: ServiceSpec = ServiceSpec()
    pipeline: PipelineSpec = PipelineSpec()
    requests: RequestsSpec = RequestsSpec()
    workload: WorkloadSpec = Field(description="The arrival process, chosen by `pattern`.")
    network: NetworkSpec = Field("none", description="The link to the server: a profile, or its numbers.")
    collect: CollectSpec = CollectSpec()
    slo: SloSpec | None = None
    requires: RequiresSpec = RequiresSpec()

    @model_validator(mode="after")
    def _sections_fit(self) -> Self:
        refuse(contradictions({name: getattr(self, name) for name in RunSpec.model_fields}))
        return self


def _device_differs(service: ServiceSpec, requires: RequiresSpec) -> Iterator[Contradiction]:
    if requires.device not in (None, service.device):
        message = f"{requires.device} contradicts service.device {service.device}"
        yield Contradiction(("requires", "device"), message)


def _nothing_to_process(requests: RequestsSpec, pipeline: PipelineSpec) -> Iterator[Contradiction]:
    if requests.dataset == "synthetic" and (pipeline.preprocess or pipeline.postprocess):
        message = "synthetic tensors have nothing to pre- or post-process; name a requests.dataset or drop the ops"
        yield Contradiction(("pipeline",), message)


def _nothing_that_trains(model: ModelSpec, service: ServiceSpec) -> Iterator[Contradiction]:
    if not isinstance(model, GeneratedModel) or not model.generate.train_steps:
        return
    trains = [name for name, formats in SERVES.items() if formats and formats[0] in TRAINED]
    if service.platform not in trains:
        message = f"{service.platform} takes no canonical model that is trained first; {', '.join(trains)} do"
        yield Contradiction(("model", "generate", "train_steps"), message)


def _no_labels_to_decode(model: ModelSpec, pipeline: PipelineSpec) -> Iterator[Contradiction]:
    for index, op in enumerate(pipeline.postprocess):
        if isinstance(op, CtcDecode) and isinstance(model, GeneratedModel):
            message = "ctc_decode takes its labels from the model's card, and a generated model has none"
            yield Contradiction(("pipeline", "postprocess", index, "op"), message)


def _not_multi_stream(requests: RequestsSpec, workload: WorkloadSpec) -> Iterator[Contradiction]:
    if not isinstance(workload, MlperfWorkload) or workload.scenario != "multi-stream":
        return
    if requests.batch_size != MLPERF_MULTI_STREAM_SAMPLES:
        message = f"MLPerf's multi-stream sends {MLPERF_MULTI_STREAM_SAMPLES} samples in each query; set it to that"
        yield Contradiction(("requests", "batch_size"), message)


def _nothing_to_start(service: ServiceSpec, workload: WorkloadSpec) -> Iterator[Contradiction]:
    if isinstance(workload, ColdStartWorkload) and service.platform == "endpoint":
        message = "an endpoint already runs and is not ours to start; name a platform that the follower starts"
        yield Contradiction(("service", "platform"), message)


def _request_too_large(service: ServiceSpec, requests: RequestsSpec) -> Iterator[Contradiction]:
    largest = service.batching.max_batch_size
    if service.platform == "triton" and 1 < largest < requests.batch_size:
        message = f"triton refuses requests of more samples than service.batching.max_batch_size, which is {largest}"
        yield Contradiction(("requests", "batch_size"), message)


def _unfit_for_a_template(
    service: ServiceSpec, requests: RequestsSpec, pipeline: PipelineSpec
) -> Iterator[Contradiction]:
    template = service.endpoint
    if not isinstance(template, TemplateApi):
        return
    if requests.batch_size != 1:
        yield Contradiction(("requests", "batch_size"), "a template's request carries one sample; set it to 1")
    if requests.dataset == "synthetic" and (template.sample != "json" or template.shape is None):
        message = "synthetic tensors go into a template as sample: json of a given shape; or name a dataset"
        yield Contradiction(("requests", "dataset"), message)
    if pipeline.preprocess and template.sample != "json":
        message = f"sample {template.sample} sends the dataset's bytes as they are; drop the ops or use sample: json"
        yield Contradiction(("pipeline", "preprocess"), message)
    if pipeline.frames is not None:
        yield Contradiction(("pipeline", "preprocess"), "a template's request carries one sample, and not its frames")
    if pipeline.postprocess and template.answer is None:
        message = "nothing to post-process: say with service.endpoint.answer where the scores are"
        yield Contradiction(("pipeline", "postprocess"), message)


def _no_load_to_limit(slo: SloSpec | None, workload: WorkloadSpec) -> Iterator[Contradiction]:
    if isinstance(workload, ColdStartWorkload) and slo is not None:
        yield Contradiction(("slo",), "a cold start has no load that could meet a limit; drop slo")


def _no_link_to_cross(network: NetworkSpec, workload: WorkloadSpec) -> Iterator[Contradiction]:
    if isinstance(workload, ColdStartWorkload) and network != "none":
        yield Contradiction(("network",), "a cold start is timed beside the server, over no link; leave it at none")


_RULES: Final[tuple[tuple[tuple[str, ...], Callable[..., Iterator[Contradiction]]], ...]] = (
    (("service", "requires"), _device_differs),
    (("requests", "pipeline"), _nothing_to_process),
    (("model", "service"), _nothing_that_trains),
    (("model", "pipeline"), _no_labels_to_decode),
    (("requests", "workload"), _not_multi_stream),
    (("service", "workload"), _nothing_to_start),
    (("service", "requests"), _request_too_large),
    (("service", "requests", "pipeline"), _unfit_for_a_template),
    (("slo", "workload"), _no_load_to_limit),
    (("network", "workload"), _no_link_to_cross),
)
"""What has to hold between sections: the sections that a rule reads, and the rule."""


def contradictions(sections: dict[str, Any]) -> list[Contradiction]:
    """What is impossible between the sections given; rules that read a section not given are passed over."""
    ready = [(names, rule) for names, rule in _RULES if all(name in sections for name in names)]
    return [found for names, rule in ready for found in rule(*(sections[name] for name in names))]


SweepValue = bool | int | float | str
ReuseMode = Literal["never", "if-equal", "extend"]


class JobSpec(RunSpec):
    """A whole job file."""

    apiVersion: Literal["inferbench/v1"] = Field(API_VERSION, description="Version of this format.")  # noqa: N815 - the file format's spelling
    kind: Literal["Job"] = Field("Job", description="What the document is.")
    name: Name = Field(description="What people call the job.", examples=["resnet50-batching"])
    team: Name = Field("default", description="Who it counts for.")
    priority: Literal["low", "normal", "high", "urgent"] = Field(
        "normal",
        description="Higher first; long waiting raises a run, but never to urgent, which administrators alone may set.",
    )
    deadline: Annotated[DurationNs, Field(gt=0, le=MAX_DEADLINE_NS)] | None = Field(
        None,
        description="A run that has not ended so long after the submit is timed out; orders the queue, too, if so set.",
    )
    reuse: ReuseMode = Field(
        "never",
        description="Take numbers from equal runs: `if-equal`, of the same seed; `extend`, as repeats under any seed.",
    )
    repeats: int = Field(1, ge=1, le=100, description="Runs of each configuration; repeat r uses workload.seed + r.")
    sweep: dict[str, Annotated[list[SweepValue], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Dotted path -> values; the runs are the product of all values, times `repeats`; at most 1000.",
    )

    def given(self) -> dict[str, Any]:
        """What the file gives and no defaults, as JSON has it: what to store.

        A sweep over a variant, such as the family of a generated model, leaves each variant its own defaults; they
        must not have been filled in from another one.
        """
        return self.model_dump(mode="json", exclude_unset=True)
