"""Do these tensors fit this model? Pure checks that name what is wrong and what would be right."""

from collections.abc import Mapping, Sequence

from follower.serve.modelserver.server.codec import Tensor
from follower.serve.modelserver.server.refusal import Refused
from follower.serve.openinference.tensors import ModelMetadata, TensorInfo


def check_inputs(metadata: ModelMetadata, tensors: Mapping[str, Tensor], *, batched: bool) -> None:
    """Every input, once, with its datatype and shape; with batching also one batch size for all.

    Raises:
        Refused: otherwise, with status 400.
    """
    wanted = {tensor.name: tensor for tensor in metadata.inputs}
    if tensors.keys() != wanted.keys():
        message = f"model {metadata.name!r} takes inputs {sorted(wanted)}, but the request has {sorted(tensors)}"
        raise Refused(message)
    for name, tensor in tensors.items():
        _check_one(wanted[name], tensor)
    if batched:
        sizes = {name: tensor.array.shape[0] for name, tensor in tensors.items()}
        if len(set(sizes.values())) > 1:
            raise Refused(f"inputs must have the same first dimension, but they have {sizes}")


def check_outputs(metadata: ModelMetadata, names: Sequence[str]) -> None:
    """Only outputs that the model has.

    Raises:
        Refused: otherwise, with status 400.
    """
    known = {tensor.name for tensor in metadata.outputs}
    for name in names:
        if name not in known:
            raise Refused(f"model {metadata.name!r} has outputs {sorted(known)}, but the request asks for {name!r}")


def can_batch(metadata: ModelMetadata) -> bool:
    """Whether the first dimension of every input and output is free."""
    return all(tensor.shape[:1] == (-1,) for tensor in (*metadata.inputs, *metadata.outputs))


def _check_one(wanted: TensorInfo, tensor: Tensor) -> None:
    if tensor.datatype != wanted.datatype:
        raise Refused(f"input {wanted.name!r} has datatype {wanted.datatype}, but the request sends {tensor.datatype}")
    shape = tensor.array.shape
    fits = len(shape) == len(wanted.shape) and all(
        want in {-1, got} for want, got in zip(wanted.shape, shape, strict=True)
    )
    if not fits:
        expected = f"shape {list(wanted.shape)} (-1 is free)"
        raise Refused(f"input {wanted.name!r} has {expected}, but the request sends {list(shape)}")
