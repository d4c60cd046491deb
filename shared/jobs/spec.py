"""The job file as strict models. Everything a job may ask for stands here, whether or not a follower has it.

Reading a file with line numbers is ``shared.jobs.document``; sweeps and repeats are ``shared.jobs.sweep``.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from shared.jobs.network import NetworkSpec
from shared.jobs.pipeline import PipelineSpec
from shared.jobs.units import DurationNs
from shared.jobs.workload import WorkloadSpec

API_VERSION: Final = "inferbench/v1"
NAME_PATTERN: Final = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"

Name = Annotated[str, Field(pattern=NAME_PATTERN, examples=["resnet50-batching"])]


class Section(BaseModel):
    """A part of the job file: unknown keys are errors, because a misspelt key must never mean a default."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NamedModel(Section):
    """A model of the repository."""

    name: Name = Field(description="Name of a registered model.")
    version: Annotated[int, Field(ge=1)] | Literal["latest"] = Field(
        "latest", description="Version number, or `latest`, which is pinned at submit."
    )


class FullyConnectedModel(Section):
    """A stack of fully connected layers with ReLU."""

    family: Literal["fc"]
    layers: int = Field(4, ge=1, le=256, description="Hidden layers.")
    width: int = Field(512, ge=1, le=16384, description="Neurons in each layer.")
    seed: int = Field(0, ge=0, description="Seed of the weights.")


class ResidualCnnModel(Section):
    """A stem, residual blocks of two 3x3 convolutions, global pooling, a classifier."""

    family: Literal["cnn"]
    layers: int = Field(8, ge=1, le=128, description="Residual blocks.")
    width: int = Field(64, ge=1, le=2048, description="Channels.")
    image_size: int = Field(64, ge=8, le=1024, description="Height and width of the input in pixels.")
    seed: int = Field(0, ge=0, description="Seed of the weights.")


class LstmModel(Section):
    """A stack of LSTM layers over a sequence of vectors."""

    family: Literal["lstm"]
    layers: int = Field(2, ge=1, le=64, description="LSTM layers.")
    width: int = Field(256, ge=1, le=8192, description="Hidden units.")
    sequence_length: int = Field(32, ge=1, le=4096, description="Steps.")
    seed: int = Field(0, ge=0, description="Seed of the weights.")


class AttentionModel(Section):
    """Transformer encoder blocks: self-attention, feed-forward, layer norm."""

    family: Literal["attention"]
    layers: int = Field(4, ge=1, le=128, description="Blocks.")
    width: int = Field(256, ge=8, le=8192, description="Model width.")
    heads: int = Field(4, ge=1, le=128, description="Attention heads; divides width.")
    sequence_length: int = Field(64, ge=1, le=4096, description="Tokens.")
    seed: int = Field(0, ge=0, description="Seed of the weights.")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of heads {self.heads}")
        return self


CanonicalSpec = Annotated[
    FullyConnectedModel | ResidualCnnModel | LstmModel | AttentionModel, Field(discriminator="family")
]


class GeneratedModel(Section):
    """A canonical model, made from hyper-parameters on the follower."""

    generate: CanonicalSpec


def _model_kind(value: Any) -> str:
    if isinstance(value, dict):
        return "generated" if "generate" in value else "named"
    return "generated" if isinstance(value, GeneratedModel) else "named"


ModelSpec = Annotated[
    Annotated[NamedModel, Tag("named")] | Annotated[GeneratedModel, Tag("generated")],
    Discriminator(_model_kind),
]


class BatchingSpec(Section):
    """Dynamic batching in the server."""

    max_batch_size: int = Field(1, ge=1, le=4096, description="Most samples executed together.")
    max_delay_ms: float = Field(0.0, ge=0, le=10_000, description="Longest wait for a batch to fill.")


class ServiceSpec(Section):
    """What serves the model, and how."""

    platform: Literal["onnxruntime", "triton", "tfserving", "torchscript", "endpoint"] = "onnxruntime"
    launch: Literal["process", "docker"] = "process"
    protocol: Literal["http", "grpc"] = "http"
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = Field(1, ge=1, le=1024, description="Threads inside one inference.")
    instances: int = Field(1, ge=1, le=256, description="Copies of the model that run side by side.")
    batching: BatchingSpec = BatchingSpec()
    url: str | None = Field(None, description="Address of an existing endpoint; only for platform endpoint.")
    ready_timeout: DurationNs = Field(60_000_000_000, gt=0, description="Longest wait until the server is ready.")

    @model_validator(mode="after")
    def _url_belongs_to_endpoint(self) -> Self:
        if (self.platform == "endpoint") != (self.url is not None):
            raise ValueError("platform endpoint needs a url, and no other platform takes one")
        return self


class RequestsSpec(Section):
    """What is sent."""

    dataset: Name = Field("synthetic", description="Built-in or uploaded dataset, or `synthetic` tensors.")
    batch_size: int = Field(1, ge=1, le=4096, description="Samples in one request.")
    distinct: int = Field(16, ge=1, le=4096, description="Different payloads in rotation (synthetic data).")


class SloSpec(Section):
    """Limits that the run must meet, on the response latency unless named otherwise."""

    p50_ms: float | None = Field(None, gt=0)
    p90_ms: float | None = Field(None, gt=0)
    p95_ms: float | None = Field(None, gt=0)
    p99_ms: float | None = Field(None, gt=0)
    error_rate: float | None = Field(None, ge=0, le=1, description="Largest share of failed requests.")
    throughput_rps: float | None = Field(None, gt=0, description="Least completed requests per second.")


class RequiresSpec(Section):
    """Which followers may take the run."""

    device: Literal["cpu", "cuda"] | None = None
    labels: dict[str, str] = Field(default_factory=dict, description="Labels that the follower must carry.")


class RunSpec(Section):
    """One fully resolved configuration: a job file without sweep and repeats."""

    model: ModelSpec
    service: ServiceSpec = ServiceSpec()
    pipeline: PipelineSpec = PipelineSpec()
    requests: RequestsSpec = RequestsSpec()
    workload: WorkloadSpec
    network: NetworkSpec = "none"
    slo: SloSpec | None = None
    requires: RequiresSpec = RequiresSpec()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.requires.device not in (None, self.service.device):
            raise ValueError(f"requires.device {self.requires.device} contradicts service.device {self.service.device}")
        if self.requests.dataset == "synthetic" and (self.pipeline.preprocess or self.pipeline.postprocess):
            raise ValueError("synthetic tensors have nothing to pre- or post-process; name a dataset or drop the ops")
        return self


SweepValue = bool | int | float | str


class JobSpec(RunSpec):
    """A whole job file."""

    apiVersion: Literal["inferbench/v1"] = Field(API_VERSION)  # noqa: N815 - the file format's spelling
    kind: Literal["Job"] = "Job"
    name: Name
    team: Name = "default"
    priority: Literal["low", "normal", "high"] = "normal"
    repeats: int = Field(1, ge=1, le=100, description="Runs of each configuration.")
    sweep: dict[str, Annotated[list[SweepValue], Field(min_length=1)]] = Field(
        default_factory=dict, description="Dotted path -> values; the runs are their product."
    )
