"""TensorFlow's words for tensors and signatures, beside the Open Inference Protocol's.

Source: ``tensorflow/core/framework/types.proto``.
"""

from collections.abc import Mapping
from typing import Final

from follower.serve.openinference.tensors import BYTES

SIGNATURE: Final = "serving_default"
"""What TensorFlow Serving takes where a request names no signature, and every exporter's default."""

_DATATYPES: Final = (
    ("FP32", 1, "DT_FLOAT"),
    ("FP64", 2, "DT_DOUBLE"),
    ("INT32", 3, "DT_INT32"),
    ("UINT8", 4, "DT_UINT8"),
    ("INT16", 5, "DT_INT16"),
    ("INT8", 6, "DT_INT8"),
    (BYTES, 7, "DT_STRING"),
    ("INT64", 9, "DT_INT64"),
    ("BOOL", 10, "DT_BOOL"),
    ("UINT16", 17, "DT_UINT16"),
    ("FP16", 19, "DT_HALF"),
    ("UINT32", 22, "DT_UINT32"),
    ("UINT64", 23, "DT_UINT64"),
)

NUMBER_OF: Final[Mapping[str, int]] = {datatype: number for datatype, number, _ in _DATATYPES}
DATATYPE_OF: Final[Mapping[int, str]] = {number: datatype for datatype, number, _ in _DATATYPES}
DATATYPE_NAMED: Final[Mapping[str, str]] = {name: datatype for datatype, _, name in _DATATYPES}
"""As metadata in JSON spell it."""
NAME_OF: Final[Mapping[str, str]] = {datatype: name for datatype, _, name in _DATATYPES}
