"""Everything before the service starts: is the host idle, the model's bytes, the dataset's samples, the trace."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from follower.attempt.order import AttemptDir, AttemptOrder
from follower.attempt.story import Story
from follower.generate.blob_cache import BlobCache
from follower.generate.datasets.dataset import Dataset
from follower.generate.model_tokenizer import tokenizer_of
from follower.generate.models import Model, obtain_model
from follower.inventory.preflight import (
    CpuReading,
    Preflight,
    busy_share,
    judge,
    read_cpu_ticks,
    wait_until_long_enough,
)
from follower.link.run_link import RunLink
from follower.serve.containers.images import image_of
from follower.serve.protocol import ServeRequest, ServerPipeline, TensorInfo
from model_repo.cards import TensorCard
from shared.errors import AttemptFailed, InvalidInput, NotFound
from shared.jobs.endpoint_api import TemplateApi
from shared.jobs.feeding import Feed, Misfit, feeds_of
from shared.jobs.lifecycle import Cause
from shared.jobs.network import link_of
from shared.jobs.section import path_of
from shared.jobs.spec import GeneratedModel
from shared.wire.assignment import BlobPin

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Prepared:
    """What the later phases work with."""

    order: AttemptOrder
    directory: AttemptDir
    preflight: Preflight
    model: Model
    dataset: Dataset | None  # None: synthetic tensors
    trace_ns: npt.NDArray[np.int64] | None = None  # arrivals of the trace that is replayed, from 0
    link: RunLink = field(default_factory=RunLink)

    @property
    def slot_cores(self) -> tuple[int, ...]:
        """All cores of the slot; those that we may use where it names none."""
        slot = self.order.slot
        return tuple(sorted({*slot.server_cores, *slot.client_cores})) or tuple(sorted(os.sched_getaffinity(0)))

    def serve_request(self) -> ServeRequest:
        """What the platform is asked to start."""
        slot, spec = self.order.slot, self.order.assignment.spec
        return ServeRequest(
            model_path=self.model.path,
            model_name=self.model.name,
            service=spec.service,
            server_cores=slot.server_cores,
            workdir=self.directory.server,
            example_shapes=self._example_shapes(),
            example=self._example(),
            pipeline=self._server_pipeline(),
            request_stages=spec.collect.request_stages,
            labels=self._labels(),
            allowed_endpoints=self.order.endpoint_hosts,
            endpoint_ca_file=self.order.endpoint_ca_file,
            endpoint_secrets_file=self.order.endpoint_secrets_file,
            image=image_of(spec.service.platform, self.order.images),
        )

    def _server_pipeline(self) -> ServerPipeline | None:
        """What the server is to do itself.

        Raises:
            PipelineFailed: the ops cannot be built; better told now than by a server that does not start.
        """
        pipeline = self.order.assignment.spec.pipeline
        if self.dataset is None or not pipeline.in_server:
            return None
        from follower.pipeline.chain import build_postprocess  # noqa: PLC0415 - Pillow is slow to import

        build_postprocess(pipeline, self.model.card.labels)
        return ServerPipeline(spec=pipeline, labels=self.model.card.labels, tokenizer=self.tokenizer)

    @cached_property
    def tokenizer(self) -> str | None:
        """The model's own, where the pipeline asks for it and the file has one."""
        op = self.order.assignment.spec.pipeline.tokenize
        return tokenizer_of(self.model) if op is not None and op.tokenizer == "model" else None

    def feeds(self, inputs: Sequence[TensorInfo | TensorCard]) -> tuple[Feed, ...]:
        """Which of the model's inputs gets what of a sample.

        Raises:
            AttemptFailed: PIPELINE_FAILED where the pipeline does not feed the model.
        """
        try:
            return feeds_of(self.order.assignment.spec.pipeline, inputs)
        except Misfit as error:
            where = path_of(("pipeline", *error.contradiction.loc))
            raise AttemptFailed(Cause.PIPELINE_FAILED, f"{where}: model {self.model.name}: {error}") from error

    def _labels(self) -> Mapping[str, str]:
        assignment = self.order.assignment
        return {
            "inferbench.follower": self.order.follower,
            "inferbench.incarnation": self.order.incarnation,
            "inferbench.run": assignment.run_id,
            "inferbench.attempt": str(assignment.attempt),
            "inferbench.fence": str(assignment.fence),
        }

    def _example_shapes(self) -> Mapping[str, Sequence[int]]:
        """The first inference has the shape of a real sample where there is one to look at.

        Raises:
            AttemptFailed: PIPELINE_FAILED where the ops do not feed what the model's card says it takes.
        """
        spec = self.order.assignment.spec
        inputs = self.model.card.inputs
        if self.dataset is None or not inputs:
            return {}
        feeds = self.feeds(inputs)
        if not spec.pipeline.preprocess:
            return {}
        from follower.pipeline.chain import build_parts, inputs_of  # noqa: PLC0415 - Pillow is slow to import

        sample = build_parts(spec.pipeline, self.tokenizer)(self.dataset.samples[0].data)
        return {name: array.shape for name, array in inputs_of(spec.pipeline, feeds, [sample]).items()}

    def _example(self) -> npt.NDArray[Any] | None:
        """The first sample, where the service needs one to answer anything at all.

        Raises:
            PipelineFailed: it cannot be pre-processed.
        """
        spec = self.order.assignment.spec
        if self.dataset is None or not isinstance(spec.service.endpoint, TemplateApi):
            return None
        from follower.pipeline.chain import batch_of, build_preprocess  # noqa: PLC0415 - Pillow is slow to import

        return batch_of(spec.pipeline, [build_preprocess(spec.pipeline)(self.dataset.samples[0].data)])


def prepare(order: AttemptOrder, directory: AttemptDir, story: Story) -> Prepared:
    """Get ready to start the service. The host is watched while our own work goes on, which is taken off again.

    Raises:
        AttemptFailed: the model, the dataset or the trace cannot be had, or the host is too busy and a busy one is
            refused.
    """
    slot = order.slot
    cores = {*slot.server_cores, *slot.client_cores} or os.sched_getaffinity(0)
    before = read_cpu_ticks(cores, own_pids())
    story.tell("preparing", f"attempt {order.assignment.attempt} on slot {slot.name} of {order.follower}")
    link = _link(order, directory, story)
    cache = BlobCache(order.cache_dir, order.max_cache_bytes, lambda sha256: _blob(order, sha256))
    model = _model(order, directory, cache, story)
    dataset = _dataset(order, directory, cache)
    trace_ns = _trace(order.assignment.trace, directory, cache)
    preflight = _preflight(order, before, cores)
    if preflight.reason is not None:
        story.tell("warning", preflight.reason)
    return Prepared(order, directory, preflight, model, dataset, trace_ns, link)


def _link(order: AttemptOrder, directory: AttemptDir, story: Story) -> RunLink:
    """The network link, not yet open. One that nothing here can carry is refused before anything is fetched."""
    spec = order.assignment.spec
    link = RunLink(
        asked=link_of(spec.network),
        seed=spec.workload.seed,
        client_cores=order.slot.client_cores,
        folder=directory.root,
        tell=story.tell,
    )
    link.require()
    return link


def own_pids() -> tuple[int, ...]:
    """This process and the agent: what they use is not the host's business."""
    return os.getpid(), os.getppid()


def _preflight(order: AttemptOrder, before: CpuReading, cores: set[int]) -> Preflight:
    if order.preflight == "off":
        return Preflight(busy_share=None)
    wait_until_long_enough(before)
    verdict = judge(busy_share(before, read_cpu_ticks(cores, own_pids())), order.max_busy_share, order.preflight)
    if verdict.refused:
        raise AttemptFailed(Cause.FOLLOWER_ERROR, f"{verdict.reason}; this follower refuses to measure on a busy host")
    return verdict


def _model(order: AttemptOrder, directory: AttemptDir, cache: BlobCache, story: Story) -> Model:
    assignment = order.assignment
    if isinstance(assignment.spec.model, GeneratedModel):
        story.tell("generating-model", f"canonical {assignment.spec.model.generate.family}")
    elif assignment.model is not None:
        size_bytes = assignment.model.size_bytes
        story.tell("fetching-model", f"{assignment.model.name}, {size_bytes} bytes", size_bytes=size_bytes)
    return obtain_model(assignment, directory.model, cache)


def _dataset(order: AttemptOrder, directory: AttemptDir, cache: BlobCache) -> Dataset | None:
    name = order.assignment.spec.requests.dataset
    if name == SYNTHETIC:
        return None
    try:
        return _uploaded(order.assignment.dataset, directory, cache) if order.assignment.dataset else _builtin(name)
    except (InvalidInput, NotFound) as error:
        raise AttemptFailed(Cause.PIPELINE_FAILED, f"dataset {name}: {error.detail}") from error


def _builtin(name: str) -> Dataset:
    from follower.generate.datasets.builtin import load_builtin  # noqa: PLC0415 - Pillow is slow to import

    return load_builtin(name)


def _uploaded(pin: BlobPin, directory: AttemptDir, cache: BlobCache) -> Dataset:
    from follower.generate.datasets.parquet import load_parquet  # noqa: PLC0415 - pyarrow is slow to import

    path = directory.root / "dataset.parquet"
    cache.link(pin, path)
    return load_parquet(path, name=pin.name, version=pin.version)


def _trace(pin: BlobPin | None, directory: AttemptDir, cache: BlobCache) -> npt.NDArray[np.int64] | None:
    if pin is None:
        return None
    from shared.workload.trace import read_trace  # noqa: PLC0415 - seldom needed

    path = directory.root / "trace"
    cache.link(pin, path)
    try:
        return read_trace(path.read_bytes(), pin.name)
    except InvalidInput as error:
        raise AttemptFailed(Cause.PIPELINE_FAILED, error.detail) from error


@contextmanager
def _blob(order: AttemptOrder, sha256: str) -> Iterator[Iterator[bytes]]:
    from follower.agent.leader import LeaderClient  # noqa: PLC0415 - httpx is slow to import, and seldom needed
    from follower.settings import read_token  # noqa: PLC0415 - the same

    client = LeaderClient(order.leader_url, read_token(order.token_file), order.follower)
    try:
        with client.blob(sha256) as chunks:
            yield chunks
    finally:
        client.close()
