"""Training is part of what a canonical model is; a model that is not trained is what it always was."""

import hashlib
import json

import pytest
from pydantic import ValidationError

from model_repo.canonical.architecture import CLASSES
from model_repo.canonical.describe import canonical_digest, describe
from model_repo.canonical.training import STEP_LENGTH, Lessons, step_factor
from model_repo.identity import model_digest
from shared.jobs.keys import comparability_key, task_of
from shared.jobs.spec import FullyConnectedModel, LstmModel, RunSpec


def run_of(steps: int, platform: str = "torchscript") -> RunSpec:
    """A run of a small network, as a job file asks for it."""
    return RunSpec.model_validate(
        {
            "model": {"generate": {"family": "fc", "layers": 2, "width": 8, "train_steps": steps}},
            "service": {"platform": platform},
            "workload": {"pattern": "closed"},
        }
    )


def test_a_model_that_is_not_trained_keeps_the_digest_that_it_had_before_training_existed() -> None:
    """Stored records are found by it."""
    before = {"generator": 1, "spec": {"family": "fc", "layers": 4, "seed": 0, "width": 512}}
    text = json.dumps(before, sort_keys=True, separators=(",", ":"))
    assert canonical_digest(FullyConnectedModel(family="fc")) == hashlib.sha256(text.encode()).hexdigest()


def test_every_number_of_steps_is_a_model_of_its_own() -> None:
    """In the digest, and in the key by which records are ranked together."""
    runs = [run_of(steps) for steps in (0, 1, 2)]
    digests = [model_digest(run, None) for run in runs]
    assert len(set(digests)) == 3
    assert len({comparability_key(run, digest, None) for run, digest in zip(runs, digests, strict=True)}) == 3
    assert [task_of(run, None, None)["model"]["generate"].get("train_steps") for run in runs] == [None, 1, 2]


@pytest.mark.parametrize("platform", ["onnxruntime", "openvino", "triton"])
def test_a_platform_that_is_given_onnx_is_refused_with_those_that_are_not(platform: str) -> None:
    """Nothing but a framework trains."""
    assert run_of(0, platform).service.platform == platform
    with pytest.raises(ValidationError, match="takes no canonical model that is trained first; torchscript, tfserving"):
        run_of(1, platform)


def test_a_few_steps_are_few() -> None:
    """A follower prepares a run; it is no place to train."""
    with pytest.raises(ValidationError, match="less than or equal to 100"):
        run_of(101)


def test_the_card_says_that_the_weights_were_trained() -> None:
    """Costs stay."""
    plain, trained = (describe(LstmModel(family="lstm", train_steps=steps)) for steps in (0, 7))
    assert (plain.flops_per_sample, plain.parameters) == (trained.flops_per_sample, trained.parameters)
    assert plain.description.endswith("seed 0; random weights")
    assert trained.description.endswith("seed 0; random weights, trained for 7 steps")


def test_samples_are_the_same_every_time_and_never_come_twice() -> None:
    """Each batch has every class once; the held-out samples are drawn before any step."""
    spec = FullyConnectedModel(family="fc", width=6, seed=3)
    one, other = Lessons(spec), Lessons(spec)
    assert (one.held_out.samples == other.held_out.samples).all()
    batches = [one.next(), one.next()]
    assert [sorted(batch.labels) for batch in batches] == [list(range(CLASSES))] * 2
    assert (batches[0].samples == other.next().samples).all()
    assert not (batches[0].samples == batches[1].samples).any()
    assert one.held_out.samples.shape == (40, 6)
    assert not (Lessons(spec.model_copy(update={"seed": 4})).held_out.samples == one.held_out.samples).any()


def test_samples_of_a_class_are_nearer_to_each_other_than_to_those_of_another() -> None:
    """Else nothing could be learnt."""
    held_out = Lessons(FullyConnectedModel(family="fc", width=256)).held_out
    first, again, other = (held_out.samples[place] for place in (0, CLASSES, 1))
    assert abs(first - again).mean() < 0.9 * abs(first - other).mean()


def test_every_step_is_equally_long() -> None:
    """A gradient of nothing moves nothing."""
    assert [norm * step_factor(norm) for norm in (1e-3, 1.0, 1e3)] == pytest.approx([STEP_LENGTH] * 3)
    assert step_factor(0.0) == 0
