"""The plan of a run, from its raw file alone: drawn again from the seed, or read from the due times of a trace."""

from pydantic import ValidationError

from shared.errors import InvalidInput
from shared.jobs.spec import RunSpec
from shared.jobs.workload import TraceWorkload
from shared.measure.manifest import Manifest
from shared.measure.samples_file import Samples
from shared.measure.windows import in_due_order
from shared.workload.arrivals import make_plan
from shared.workload.plan import Plan


def plan_again(samples: Samples) -> Plan:
    """The plan that the run was made with.

    The trace of a trace run is not in the file; its plan holds every request's due time, and so does the file.

    Raises:
        InvalidInput: there is no manifest, its run is not valid, or the plan comes out with another digest.
    """
    manifest = manifest_of(samples)
    workload, trace_ns = run_spec_of(manifest).workload, None
    if isinstance(workload, TraceWorkload):
        trace_ns = in_due_order(samples.columns)["due_ns"] - manifest.circumstances.origin_ns
        workload = workload.model_copy(update={"speed": 1.0})
    plan = make_plan(workload, manifest.payload_count, trace_ns)
    if plan.sha256 != manifest.plan_sha256:
        raise InvalidInput(
            f"the plan of {manifest.run_id} comes out with digest {plan.sha256}, and was {manifest.plan_sha256}:"
            " the file was changed, or a version of this program draws another plan from the seed"
        )
    return plan


def manifest_of(samples: Samples) -> Manifest:
    """The manifest.

    Raises:
        InvalidInput: there is none.
    """
    if samples.manifest is None:
        raise InvalidInput("the raw samples have no manifest, so what they are of is not known; the run was cut short")
    return samples.manifest


def run_spec_of(manifest: Manifest) -> RunSpec:
    """The run as it was carried out.

    Raises:
        InvalidInput: it is none that this version knows.
    """
    try:
        return RunSpec.model_validate(manifest.spec)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"the manifest of {manifest.run_id} holds no valid run: {where}: {first['msg']}") from error
