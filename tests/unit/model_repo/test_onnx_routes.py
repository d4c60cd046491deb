"""The tables of onnx.proto against onnx's own descriptors: no way to hide an operator or a tensor is left out."""

from typing import Any

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from support.onnx_models import external, file_of, if_node, model, weights

from model_repo.onnx_check import ALLOWED_DOMAINS, check_onnx
from model_repo.onnx_schema import LAYOUTS
from shared.errors import InvalidModel

CARRIERS = {"NodeProto", "TensorProto", "OperatorSetIdProto", "FunctionProto"}
"""Messages that decide whether a model is refused."""


def message_types(root: Any) -> dict[str, Any]:
    """Every message type that can stand in ``root``, by name."""
    found: dict[str, Any] = {}
    waiting = [root]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.name not in found:
            found[descriptor.name] = descriptor
            waiting += [field.message_type for field in descriptor.fields if field.message_type]
    return found


TYPES = message_types(onnx.ModelProto.DESCRIPTOR)
SHORT_NAMES = {name: name.rpartition(".")[2] for name in LAYOUTS}


def carries(descriptor: Any, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a message of this type is, or can hold at any depth, one of the carriers."""
    if descriptor.name in CARRIERS:
        return True
    inner = seen | {descriptor.name}
    return any(
        carries(field.message_type, inner)
        for field in descriptor.fields
        if field.message_type and field.message_type.name not in inner
    )


def test_every_route_to_an_operator_or_a_tensor_is_walked() -> None:
    """Each field that can hold one, at any depth, is among the children of its message."""
    missed = [
        f"{name}.{field.name}"
        for name, descriptor in TYPES.items()
        if carries(descriptor)
        for field in descriptor.fields
        if field.message_type and carries(field.message_type) and field.number not in LAYOUTS[name].children
    ]
    assert missed == []


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_field_numbers_and_types_are_those_of_onnx(name: str) -> None:
    """Every number in the tables is the field that the table says, with the message type that it says."""
    layout, descriptor = LAYOUTS[name], TYPES[SHORT_NAMES[name]]
    fields = {field.number: field for field in descriptor.fields}
    for number, (field_name, child) in layout.children.items():
        assert fields[number].name == field_name
        assert fields[number].message_type.name == SHORT_NAMES[child]
    for number, field_name in (*layout.texts.items(), *layout.numbers.items(), *layout.lists.items()):
        assert fields[number].name == field_name
    for number in layout.sizes:
        assert fields[number].name.endswith("_data")
    stored = {field.number for field in descriptor.fields if field.name.endswith("_data") and not field.message_type}
    assert name != "TensorProto" or set(layout.sizes) == stored


def verdict(message: Any, functions: set[tuple[str, str]]) -> bool:
    """Whether the model may pass, found by onnx's own parser looking at every message in it."""
    name = message.DESCRIPTOR.name
    if name == "NodeProto" and (message.domain or "ai.onnx") not in ALLOWED_DOMAINS:
        return (message.domain, message.op_type) in functions
    if name == "TensorProto" and (message.external_data or message.data_location):
        return False
    parts = [value for field, value in message.ListFields() if field.message_type]
    lists = [[part] if hasattr(part, "ListFields") else part for part in parts]
    return all(verdict(inner, functions) for part in lists for inner in part)


@st.composite
def nodes(draw: st.DrawFn, depth: int = 2) -> onnx.NodeProto:
    """An operator of some domain, with tensors, subgraphs or nothing in its attributes."""
    kind = draw(st.sampled_from(["plain", "tensor", "subgraph"] if depth else ["plain", "tensor"]))
    if kind == "subgraph":
        return if_node(*draw(st.lists(nodes(depth - 1), min_size=1, max_size=2)))
    if kind == "tensor":
        return helper.make_node("Constant", [], ["y"], value=draw(tensors))
    domain = draw(st.sampled_from(["", "", "", "ai.onnx.ml", "com.microsoft", "local", "evil.corp"]))
    return helper.make_node(draw(st.sampled_from(["Relu", "Block"])), ["x"], ["y"], domain=domain)


tensors = st.sampled_from([weights("t", 2), weights("t", 2), weights("t", 2), external("t", location="../t")])


@given(
    body=st.lists(nodes(), max_size=4),
    stored=st.lists(tensors, max_size=2),
    inner=st.none() | st.lists(nodes(), max_size=2),
)
@settings(max_examples=300, deadline=None)
def test_the_verdict_is_that_of_a_full_parser(
    body: list[onnx.NodeProto], stored: list[onnx.TensorProto], inner: list[onnx.NodeProto] | None
) -> None:
    """Over random models with faults in random places, the walk refuses exactly what a look at everything refuses."""
    imports = [helper.make_opsetid("", 17)]
    functions = [] if inner is None else [helper.make_function("local", "Block", ["x"], ["y"], inner, imports)]
    proto = model(body, initializers=stored, functions=functions)
    try:
        check_onnx(file_of(proto))
    except InvalidModel:
        passed = False
    else:
        passed = True
    assert passed == verdict(proto, {(function.domain, function.name) for function in functions})
