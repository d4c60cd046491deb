"""What a good ONNX file tells, and which faults of a bad one are named."""

from importlib import metadata
from io import BytesIO
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import external, file_of, if_node, model, value, weights

from model_repo.onnx_check import MAX_PROBLEMS, check_onnx
from model_repo.onnx_facts import ELEMENT_TYPES, TensorFacts
from shared.errors import InvalidModel

CUSTOM = helper.make_node("Evil", ["x"], ["y"], domain="evil.corp")


def refusal(proto: onnx.ModelProto) -> InvalidModel:
    """The error that checking the model raises."""
    with pytest.raises(InvalidModel) as caught:
        check_onnx(file_of(proto))
    return caught.value


def test_a_good_model_is_described() -> None:
    """Inputs, outputs, opset, operators and weights are those that were put in."""
    facts = check_onnx(file_of(model()))
    assert facts.inputs == (TensorFacts("x", "FP32", (-1, 2)),)
    assert facts.outputs == (TensorFacts("y", "FP32", (-1, 3)),)
    assert (facts.opset, facts.ir_version, facts.node_count) == (17, 8, 1)
    assert (facts.weight_bytes, facts.parameters) == (24, 6)
    assert facts.domains == ("ai.onnx",)


def test_initializers_are_not_inputs() -> None:
    """Old exporters list weights among the graph's inputs; a request does not carry them."""
    proto = model(inputs=[value("x", ["N", 2]), value("w", [2, 3])])
    assert [tensor.name for tensor in check_onnx(file_of(proto)).inputs] == ["x"]


def test_metadata_is_kept() -> None:
    """Metadata entries come out as they went in, line breaks included."""
    proto = model()
    helper.set_model_props(proto, {"character": "a\nb\n€", "task": "ocr"})
    assert check_onnx(file_of(proto)).metadata == {"character": "a\nb\n€", "task": "ocr"}


@pytest.mark.parametrize("code", sorted(set(ELEMENT_TYPES) - {TensorProto.STRING}))
def test_the_size_of_every_element_type_agrees_with_onnx(code: int) -> None:
    """A stored tensor of each type takes the bytes that onnx itself writes for it."""
    dtype = helper.tensor_dtype_to_np_dtype(code)
    tensor = numpy_helper.from_array(np.zeros((5, 3), dtype), "t")
    facts = check_onnx(file_of(model(initializers=[weights("w", 2, 3), tensor])))
    assert facts.weight_bytes - 24 == len(tensor.raw_data)


@pytest.mark.parametrize(
    ("element", "values"),
    [(TensorProto.FLOAT, [0.5, 2.0]), (TensorProto.INT64, [1, -1]), (TensorProto.INT8, [1, -1]),
     (TensorProto.DOUBLE, [0.5, 2.0]), (TensorProto.UINT64, [0, 1]), (TensorProto.FLOAT16, [0.5, 2.0])],
)  # fmt: skip
def test_tensors_with_typed_data_are_accepted(element: int, values: list[float]) -> None:
    """Data in the typed fields, not in raw_data, is counted by its shape too."""
    tensor = helper.make_tensor("t", element, [2], values)
    assert not tensor.raw_data
    facts = check_onnx(file_of(model(initializers=[weights("w", 2, 3), tensor])))
    assert facts.weight_bytes - 24 == 2 * helper.tensor_dtype_to_np_dtype(element).itemsize


def test_weights_inside_constant_nodes_count() -> None:
    """Some exporters keep every weight in a Constant node."""
    nodes = [
        helper.make_node("Constant", [], ["w"], value=weights("", 2, 3)),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    assert check_onnx(file_of(model(nodes, initializers=[]))).weight_bytes == 24


def test_string_tensors_count_by_their_bytes() -> None:
    """A string has no fixed size; its bytes are what is stored."""
    tensor = TensorProto(name="t", data_type=TensorProto.STRING, dims=[2], string_data=[b"abc", b"defg"])
    assert check_onnx(file_of(model(initializers=[weights("w", 2, 3), tensor]))).weight_bytes == 24 + 7


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
def test_built_in_operator_domains_are_allowed(domain: str) -> None:
    """Operators that the runtime has built in need no library."""
    node = helper.make_node("Op", ["x"], ["y"], domain=domain)
    assert check_onnx(file_of(model([node]))).domains == (domain or "ai.onnx",)


def test_a_custom_operator_is_refused_by_name() -> None:
    """The problem names the operator, its domain and what is allowed."""
    (problem,) = refusal(model([CUSTOM])).problems
    assert "'Evil'" in problem.message
    assert problem.found == "evil.corp"
    assert problem.allowed is not None
    assert "com.microsoft" in problem.allowed


def test_a_custom_operator_in_a_subgraph_is_found() -> None:
    """The branch of an If node is searched, and the branch of an If node in it."""
    assert refusal(model([if_node(if_node(CUSTOM))])).problems[0].found == "evil.corp"


def test_a_custom_operator_in_a_function_is_found() -> None:
    """A function body is searched even where its own domain is harmless."""
    imports = [helper.make_opsetid("", 17)]
    function = helper.make_function("local", "Block", ["x"], ["y"], [CUSTOM], imports)
    call = helper.make_node("Block", ["x"], ["y"], domain="local")
    (problem,) = refusal(model([call], functions=[function])).problems
    assert problem.found == "evil.corp"


def test_a_function_of_the_file_is_not_a_custom_operator() -> None:
    """What the file itself defines needs no library."""
    imports = [helper.make_opsetid("", 17)]
    body = [helper.make_node("Relu", ["x"], ["y"])]
    function = helper.make_function("local", "Block", ["x"], ["y"], body, imports)
    call = helper.make_node("Block", ["x"], ["y"], domain="local")
    assert check_onnx(file_of(model([call], functions=[function]))).domains == ("ai.onnx",)
    stranger = helper.make_node("Other", ["x"], ["y"], domain="local")
    assert refusal(model([stranger], functions=[function])).problems[0].found == "local"


def test_a_custom_operator_in_training_information_is_found() -> None:
    """Training graphs are searched like any other."""
    proto = model()
    proto.training_info.add().algorithm.CopyFrom(helper.make_graph([CUSTOM], "g", [], []))
    assert refusal(proto).problems[0].found == "evil.corp"


@pytest.mark.parametrize(
    ("location", "fault"),
    [
        ("../../etc/passwd", "climbs out with '..'"),
        ("weights/../../secret", "climbs out with '..'"),
        ("..\\..\\secret", "climbs out with '..'"),
        ("/etc/passwd", "absolute"),
        ("C:\\secret", "absolute"),
        ("\\\\host\\share\\secret", "absolute"),
        ("folder\\weights.bin", "backslash"),
        ("*/_ORT_MEM_ADDR_/*", "memory address"),
        ("weights.bin", "another file"),
        ("", "another file"),
    ],
)
def test_external_data_is_refused_and_its_trick_named(location: str, fault: str) -> None:
    """A model is one file: any other file is refused, and what the path tries is said."""
    (problem,) = refusal(model(initializers=[external("w", location=location)])).problems
    assert fault in problem.message
    assert "'w'" in problem.message
    assert problem.found == location


@pytest.mark.parametrize(("key", "text"), [("offset", "-1"), ("length", "9" * 20), ("length", "0x10"), ("offset", "²")])
def test_absurd_offsets_and_lengths_are_named(key: str, text: str) -> None:
    """Negative, enormous and non-decimal sizes are part of the message."""
    (problem,) = refusal(model(initializers=[external("w", location="w.bin", **{key: text})])).problems
    assert f"its {key} is" in problem.message


def test_external_data_is_found_wherever_a_tensor_can_stand() -> None:
    """Attributes, attribute lists, sparse tensors, subgraphs, functions and attribute defaults are all searched."""
    hidden = external("h", location="../h")
    sparse = onnx.SparseTensorProto(values=hidden, indices=weights("i", 1), dims=[6])
    constant = helper.make_node("Constant", [], ["y"], value=hidden)
    listed = helper.make_node("Op", ["x"], ["y"])
    listed.attribute.add(name="ts", type=onnx.AttributeProto.TENSORS).tensors.append(hidden)
    imports = [helper.make_opsetid("", 17)]
    body = helper.make_function("local", "F", ["x"], ["y"], [constant], imports)
    default = helper.make_function("local", "F", ["x"], ["y"], [], imports)
    default.attribute_proto.append(helper.make_attribute("value", hidden))
    in_sparse_initializer = model()
    in_sparse_initializer.graph.sparse_initializer.append(sparse)
    hosts = [
        model([constant]),
        model([listed]),
        model([helper.make_node("Constant", [], ["y"], sparse_value=sparse)]),
        model([if_node(constant)]),
        model(functions=[body]),
        model(functions=[default]),
        in_sparse_initializer,
    ]
    for host in hosts:
        assert "climbs out" in refusal(host).problems[0].message


def test_either_sign_of_external_data_is_enough() -> None:
    """A location without the flag, and the flag without a location, are both refused."""
    unflagged = external("w", location="w.bin")
    unflagged.data_location = TensorProto.DEFAULT
    for tensor in (unflagged, external("w")):
        assert "another file" in refusal(model(initializers=[tensor])).problems[0].message


def test_all_problems_are_told_at_once_up_to_a_limit() -> None:
    """Two faults give two problems; a thousand give a list that can still be read."""
    assert len(refusal(model([CUSTOM], initializers=[external("w", location="w")])).problems) == 2
    many = [external(f"w{index}", location="w") for index in range(1000)]
    assert len(refusal(model(initializers=many)).problems) == MAX_PROBLEMS


def test_inputs_that_cannot_be_sent_are_refused() -> None:
    """A sequence, a type without a name in the protocol and an unknown rank cannot be put into a request."""
    sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [2])
    rankless = onnx.ValueInfoProto(name="x")
    rankless.type.tensor_type.elem_type = TensorProto.FLOAT
    for bad in (sequence, rankless, value("x", [2], TensorProto.COMPLEX64), onnx.ValueInfoProto(name="x")):
        assert "input 'x' is not a tensor" in refusal(model(inputs=[bad])).problems[0].message
    assert "no output" in refusal(model(outputs=[])).problems[0].message


def test_essential_parts_must_be_there() -> None:
    """Without graph, versions or with two versions of the standard operators a file is no model."""
    without_graph = model()
    without_graph.ClearField("graph")
    assert "0 graphs" in refusal(without_graph).detail
    twice = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx", 12)]
    for broken in (model(opset_imports=twice), model(opset_imports=[helper.make_opsetid("ai.onnx.ml", 3)])):
        assert "does not say which version" in refusal(broken).detail


@pytest.mark.parametrize("dims", [[-1, 3], [1 << 50], [1 << 30, 1 << 30], [2, 4], [1] * 65])
def test_shapes_that_the_stored_bytes_cannot_fill_are_refused(dims: list[int]) -> None:
    """Negative, enormous and merely wrong shapes are refused before anything allocates memory for them."""
    tensor = weights("w", 2, 3)
    tensor.ClearField("dims")
    tensor.dims.extend(dims)
    assert refusal(model(initializers=[tensor])).detail.startswith("The model is not a complete ONNX file")
    tensor.ClearField("raw_data")
    tensor.float_data.append(1.0)
    if dims != [2, 4]:
        assert refusal(model(initializers=[tensor]))


@pytest.mark.parametrize("name", ["det_infer", "rec_infer", "cls_infer"])
def test_real_models_pass(name: str) -> None:
    """Networks that exporters in daily use wrote are accepted."""
    files = metadata.distribution("rapidocr-onnxruntime").files or []
    (found,) = [file for file in files if name in str(file) and str(file).endswith(".onnx")]
    path = Path(str(found.locate()))
    with path.open("rb") as file:
        facts = check_onnx(file)
    assert facts.inputs[0].shape[1] == 3
    assert 0.8 < facts.weight_bytes / path.stat().st_size < 1


def test_nothing_at_all_is_not_a_model() -> None:
    """An empty upload is refused as a model, not as an error of ours."""
    with pytest.raises(InvalidModel):
        check_onnx(BytesIO(b""))
