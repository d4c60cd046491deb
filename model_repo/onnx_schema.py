"""The part of onnx.proto that can carry operators, tensors, types or references to files, as tables.

Source: onnx.proto of ONNX 1.23 (IR version 14). Fields that are not named here are stepped over.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Layout:
    """Field numbers of one message type, by how they are read."""

    children: Mapping[int, tuple[str, str]] = field(default_factory=dict)  # number -> (field name, message type)
    texts: Mapping[int, str] = field(default_factory=dict)
    numbers: Mapping[int, str] = field(default_factory=dict)  # one varint
    lists: Mapping[int, str] = field(default_factory=dict)  # repeated varints
    sizes: Mapping[int, str] = field(default_factory=dict)  # only how many bytes there are, summed


LAYOUTS: Final[Mapping[str, Layout]] = {
    "ModelProto": Layout(
        children={
            7: ("graph", "GraphProto"),
            8: ("opset_import", "OperatorSetIdProto"),
            14: ("metadata_props", "StringStringEntryProto"),
            20: ("training_info", "TrainingInfoProto"),
            25: ("functions", "FunctionProto"),
        },
        numbers={1: "ir_version"},
    ),
    "TrainingInfoProto": Layout(children={1: ("initialization", "GraphProto"), 2: ("algorithm", "GraphProto")}),
    "GraphProto": Layout(
        children={
            1: ("node", "NodeProto"),
            5: ("initializer", "TensorProto"),
            11: ("input", "ValueInfoProto"),
            12: ("output", "ValueInfoProto"),
            15: ("sparse_initializer", "SparseTensorProto"),
        },
    ),
    "FunctionProto": Layout(
        children={
            7: ("node", "NodeProto"),
            9: ("opset_import", "OperatorSetIdProto"),
            11: ("attribute_proto", "AttributeProto"),
        },
        texts={1: "name", 10: "domain"},
    ),
    "NodeProto": Layout(children={5: ("attribute", "AttributeProto")}, texts={4: "op_type", 7: "domain"}),
    "AttributeProto": Layout(
        children={
            5: ("t", "TensorProto"),
            6: ("g", "GraphProto"),
            10: ("tensors", "TensorProto"),
            11: ("graphs", "GraphProto"),
            22: ("sparse_tensor", "SparseTensorProto"),
            23: ("sparse_tensors", "SparseTensorProto"),
        },
    ),
    "SparseTensorProto": Layout(children={1: ("values", "TensorProto"), 2: ("indices", "TensorProto")}),
    "TensorProto": Layout(
        children={13: ("external_data", "StringStringEntryProto")},
        texts={8: "name"},
        numbers={2: "data_type", 14: "data_location"},
        lists={1: "dims"},
        sizes={
            4: "typed_data",  # floats
            5: "typed_data",  # int32 and narrower
            6: "string_data",
            7: "typed_data",  # int64
            9: "raw_data",
            10: "typed_data",  # doubles
            11: "typed_data",  # uint64
        },
    ),
    "ValueInfoProto": Layout(children={2: ("type", "TypeProto")}, texts={1: "name"}),
    "TypeProto": Layout(children={1: ("tensor_type", "TypeProto.Tensor")}),
    "TypeProto.Tensor": Layout(children={2: ("shape", "TensorShapeProto")}, numbers={1: "elem_type"}),
    "TensorShapeProto": Layout(children={1: ("dim", "Dimension")}),
    "Dimension": Layout(numbers={1: "dim_value"}),
    "OperatorSetIdProto": Layout(texts={1: "domain"}, numbers={2: "version"}),
    "StringStringEntryProto": Layout(texts={1: "key", 2: "value"}),
}
