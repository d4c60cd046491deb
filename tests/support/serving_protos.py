"""TensorFlow Serving's messages for Google's protobuf library, from a description written down here after their files.

So that most tests need no TensorFlow; ``tests/integration/test_tensorflow_stubs.py`` holds against the real stubs.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

_KINDS: Final = {"bytes": 12, "string": 9, "int32": 5, "int64": 3, "uint32": 13, "uint64": 4, "float": 2, "double": 1,
                 "bool": 8}  # fmt: skip
_PACKAGE: Final = "inferbench.reference"

_MESSAGES: Final[dict[str, list[tuple[int, str, str, bool]]]] = {
    "Dim": [(1, "size", "int64", False), (2, "name", "string", False)],
    "TensorShape": [(2, "dim", "Dim", True), (3, "unknown_rank", "bool", False)],
    "Tensor": [
        (1, "dtype", "int32", False),
        (2, "tensor_shape", "TensorShape", False),
        (3, "version_number", "int32", False),
        (4, "tensor_content", "bytes", False),
        (13, "half_val", "int32", True),
        (5, "float_val", "float", True),
        (6, "double_val", "double", True),
        (7, "int_val", "int32", True),
        (8, "string_val", "bytes", True),
        (10, "int64_val", "int64", True),
        (11, "bool_val", "bool", True),
        (16, "uint32_val", "uint32", True),
        (17, "uint64_val", "uint64", True),
    ],
    "ModelSpec": [(1, "name", "string", False), (3, "signature_name", "string", False)],
    "Entry": [(1, "key", "string", False), (2, "value", "Tensor", False)],  # a map is a list of these on the wire
    "PredictRequest": [(1, "model_spec", "ModelSpec", False), (2, "inputs", "Entry", True)],
    "PredictResponse": [(1, "outputs", "Entry", True), (2, "model_spec", "ModelSpec", False)],
}


def _classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="reference.proto", package=_PACKAGE, syntax="proto3")
    for name, described in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, field, kind, repeated in described:
            added = message.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind in _KINDS:
                added.type = _KINDS[kind]
            else:
                added.type = 11  # a message
                added.type_name = f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


CLASSES: Final = _classes()
PredictRequest: Final[Any] = CLASSES["PredictRequest"]
PredictResponse: Final[Any] = CLASSES["PredictResponse"]
