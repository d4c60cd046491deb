"""What every canonical network has in common, and the numbers that its family does not leave to the user."""

from typing import Final

from shared.jobs.spec import AttentionModel, CanonicalSpec, FullyConnectedModel, LstmModel, ResidualCnnModel

GENERATOR_VERSION: Final = 1
"""Grows whenever a spec would give other bytes than before; part of every digest."""

TRAINER_VERSION: Final = 1
"""Grows whenever training would give other weights than before; part of the digest of every trained model."""

OPSET: Final = 17  # the first with LayerNormalization
IR_VERSION: Final = 8  # the one that belongs to it
INPUT: Final = "input"
OUTPUT: Final = "scores"

CLASSES: Final = 10  # every family ends in a linear layer of this width
IMAGE_CHANNELS: Final = 3
KERNEL: Final = 3  # height and width of every convolution
STEM_STRIDE: Final = 2
FEED_FORWARD: Final = 4  # the hidden width of a feed-forward layer in widths (Vaswani et al. 2017, section 3.3)

MAX_WEIGHT_BYTES: Final = 2_000_000_000
"""An ONNX model in one file is one protobuf message, which ends at 2 GiB."""


def input_shape(spec: CanonicalSpec) -> tuple[int, ...]:
    """Shape of one sample, without the batch axis."""
    match spec:
        case FullyConnectedModel():
            return (spec.width,)
        case ResidualCnnModel():
            return (IMAGE_CHANNELS, spec.image_size, spec.image_size)
        case LstmModel() | AttentionModel():
            return (spec.sequence_length, spec.width)


def feature_map_size(spec: ResidualCnnModel) -> int:
    """Height and width after the stem; "same" padding keeps it from there on."""
    return -(-spec.image_size // STEM_STRIDE)
