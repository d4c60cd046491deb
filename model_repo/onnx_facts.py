"""What a look at an ONNX file finds, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class TensorFacts:
    """A graph's input or output: Open Inference Protocol datatype; -1 is a free axis."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class OnnxFacts:
    """What the leader knows of a model without loading it."""

    inputs: tuple[TensorFacts, ...]  # those that a request must carry: initializers are left out
    outputs: tuple[TensorFacts, ...]
    ir_version: int
    opset: int  # of the standard operators
    domains: tuple[str, ...]  # of all operators used, "" written as "ai.onnx"; file-local functions left out
    node_count: int  # in the graph, its subgraphs and the functions
    weight_bytes: int  # of all tensors stored in the file
    parameters: int  # elements of the floating-point tensors among them
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ElementType:
    """One value of onnx.proto's ``TensorProto.DataType``."""

    bits: int
    datatype: str | None  # in the Open Inference Protocol; None where it has no name for it
    floating: bool = False


# onnx.proto, enum TensorProto.DataType; strings (8) are counted by their bytes instead.
ELEMENT_TYPES: Final[Mapping[int, ElementType]] = {
    1: ElementType(32, "FP32", floating=True),
    2: ElementType(8, "UINT8"),
    3: ElementType(8, "INT8"),
    4: ElementType(16, "UINT16"),
    5: ElementType(16, "INT16"),
    6: ElementType(32, "INT32"),
    7: ElementType(64, "INT64"),
    8: ElementType(0, "BYTES"),
    9: ElementType(8, "BOOL"),
    10: ElementType(16, "FP16", floating=True),
    11: ElementType(64, "FP64", floating=True),
    12: ElementType(32, "UINT32"),
    13: ElementType(64, "UINT64"),
    14: ElementType(64, None, floating=True),  # complex64
    15: ElementType(128, None, floating=True),  # complex128
    16: ElementType(16, "BF16", floating=True),
    17: ElementType(8, None, floating=True),  # float8 e4m3fn
    18: ElementType(8, None, floating=True),  # float8 e4m3fnuz
    19: ElementType(8, None, floating=True),  # float8 e5m2
    20: ElementType(8, None, floating=True),  # float8 e5m2fnuz
    21: ElementType(4, None),  # uint4
    22: ElementType(4, None),  # int4
    23: ElementType(4, None, floating=True),  # float4 e2m1
    24: ElementType(8, None, floating=True),  # float8 e8m0
    25: ElementType(2, None),  # uint2
    26: ElementType(2, None),  # int2
    27: ElementType(6, None, floating=True),  # float6 e2m3
    28: ElementType(6, None, floating=True),  # float6 e3m2
}
STRING_TYPE: Final = 8
